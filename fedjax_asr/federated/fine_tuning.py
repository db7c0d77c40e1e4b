"""Clients that train on, by themselves, and send nothing."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from fedjax_asr import config, streams
from fedjax_asr.corpora import dataset
from fedjax_asr.federated import (
  algorithm,
  algorithms,
  block,
  cohort,
  partition,
)
from fedjax_asr.models import model


class Split(NamedTuple):
  """Positions of one speaker's utterances; each has one or more."""

  trained: Int[np.ndarray, ' trained']
  evaluated: Int[np.ndarray, ' evaluated']


class Tuned(NamedTuple):
  """One client after its steps; `client` is its place in the list."""

  client: int
  params: model.Params
  norm_state: model.NormState


def split(
  utterances: Int[np.ndarray, ' utterances'],
  train_fraction: float,
  seed: int,
  index: int,
) -> Split:
  """Random parts of two utterances or more, a function of (seed, index)."""
  rng = streams.rng(seed, streams.Stream.FINE_TUNING_SPLIT, index)
  shuffled = rng.permutation(utterances)
  count = round(train_fraction * len(shuffled))
  count = min(max(count, 1), len(shuffled) - 1)
  return Split(np.sort(shuffled[:count]), np.sort(shuffled[count:]))


def settings(
  federated: config.FederatedConfig, num_steps: int, learning_rate: float
) -> config.FederatedConfig:
  """A round of FedAvg with the run's client optimizer and batches."""
  return config.FederatedConfig(
    num_rounds=1,
    block_size=federated.block_size,
    client=dataclasses.replace(
      federated.client,
      local_steps=num_steps,
      learning_rate=learning_rate,
      schedule=config.Schedule.CONSTANT,
      max_utterances=0,
    ),
  )


def fine_tuned(
  acoustic: model.Model,
  params: model.Params,
  norm_state: model.NormState,
  clients: Sequence[partition.Client],
  examples: dataset.Dataset,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
  seed: int,
) -> Iterator[Tuned]:
  """Each client after its local steps from these values, in any order.

  As a round trains them, block by block; one block's clients are in memory. A
  function of the seed. `federated`: `settings`.
  """
  federated = dataclasses.replace(federated, cohort_size=len(clients))
  layout = cohort.plan(clients, examples, federated, seed, 1)
  layout = layout._replace(num_blocks=1)
  drawn = cohort.draw(clients, examples.num_frames, federated, seed, 0)
  train = _block_training(acoustic, federated, augmentation, layout)
  root = jax.random.key(seed)
  for start in range(0, len(clients), layout.block_size):
    chosen = slice(start, start + layout.block_size)
    part = jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen], drawn)
    members = cohort.assemble(part, examples, layout)
    tuned = train(params, norm_state, members, root)
    for place, client in enumerate(members.client_ids[0, 0].tolist()):
      if client >= 0:
        own = jax.tree.map(lambda leaf, place=place: leaf[place], tuned)
        yield Tuned(client, *own)


def _block_training(acoustic, federated, augmentation, layout):
  """(params, norm_state, one block, root) -> both values, [clients, ...]."""
  method = algorithms.make(
    acoustic, federated, augmentation, federated.cohort_size
  )
  training = block.Training(method, layout.frame_buckets)

  def train(params, norm_state, members, root):
    members = jax.tree.map(lambda leaf: leaf[0, 0], members)
    broadcast = algorithm.Broadcast(
      params=params,
      norm_state=norm_state,
      memory=(),
      learning_rate=jnp.float32(federated.client.learning_rate),
    )
    keys = jax.vmap(
      lambda client: streams.of_root(root, streams.Stream.FINE_TUNING, client)
    )(members.client_ids)
    state = training(broadcast, members, (), keys)
    return state.params, state.norm_state

  return jax.jit(train)
