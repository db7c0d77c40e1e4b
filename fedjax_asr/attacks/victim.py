"""What a client sends in a round: the update that an attack observes.

Made by the code of the round itself: local training, dropout, clipping, noise
and compression. Only this module and scores see the victim's speech.
"""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedjax_asr import config
from fedjax_asr.federated import (
  cohort,
  local_update,
  optimizers,
  partition,
  privacy,
)
from fedjax_asr.models import model


class VictimError(config.UserError):
  """A victim that does not exist, or sends nothing of that kind."""


class Sent(NamedTuple):
  """A client's message.

  update: a gradient, or server minus local parameters, as the server decodes
    it; like the parameters.
  norm_update: server minus local running averages of batch norm.
  weight: of the update in the round's mean; 0 where no utterance was usable,
    and the update then is zero or nothing but noise.
  """

  update: model.Params
  norm_update: model.NormState
  weight: Float[Array, '']


# (params, norm_state, batches, round_key, client, learning_rate) -> Sent.
SendFn = Callable[..., Sent]

# Victims' batches are padded to multiples, so that many share a compilation.
_FRAME_QUANTUM = 64
_LABEL_QUANTUM = 32


def make_send(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
  observed: config.Observed,
) -> SendFn:
  """`send(params, norm_state, batches, round_key, client, learning_rate)`.

  What the client of that index sends in the round of that key, after local
  training on `batches`, whose leading axis are its steps. For a delta it is
  what `round.make_round` adds up for this client, whatever the cohort; for a
  gradient, that of the only step, treated as a delta would be. Jitted:
  compiled once for each shape of `batches` (`padded` makes few).
  """
  training = local_update.local_training(
    acoustic, federated.client, augmentation, federated.weighting
  )
  match observed:
    case config.Observed.GRADIENT:
      update = functools.partial(_gradient, training, federated.client)
    case config.Observed.DELTA:
      update = functools.partial(_delta, training)

  def send(params, norm_state, batches, round_key, client, learning_rate):
    key = jax.random.fold_in(round_key, client)
    plain, moved, totals = update(
      params, norm_state, batches, key, learning_rate
    )
    return Sent(
      update=local_update.sent(plain, federated, key),
      norm_update=jax.tree.map(jnp.subtract, norm_state, moved),
      weight=training.weigh(totals),
    )

  return jax.jit(send)


def _gradient(training, client, params, norm_state, batches, key, _):
  """Of one step, clipped as the client's optimizer would."""
  num_steps = len(batches.num_frames)
  if num_steps != 1:
    raise VictimError(
      f'{num_steps} local steps; want 1 for config.attack.observed=gradient.'
    )
  batch = jax.tree.map(lambda leaf: leaf[0], batches)
  gradient, (norm_state, totals) = training.gradient(
    params, norm_state, batch, jax.random.fold_in(key, 0)
  )
  if client.clip_norm:
    gradient = privacy.clipped(gradient, client.clip_norm)
  return gradient, norm_state, totals


def _delta(training, params, norm_state, batches, key, learning_rate):
  """Server minus local parameters after all steps."""

  def advance(state, inputs):
    index, batch = inputs
    step_key = jax.random.fold_in(key, index)
    return training.step(state, batch, step_key, learning_rate), None

  start = training.start(params, norm_state, learning_rate)
  steps = jnp.arange(len(batches.num_frames))
  state, _ = jax.lax.scan(advance, start, (steps, batches))
  delta = jax.tree.map(jnp.subtract, params, state.params)
  return delta, state.norm_state, state.totals


def round_key(key: jax.Array, round_index: int) -> jax.Array:
  """Of the round behind which `round_index` others lie; `key` is the run's."""
  return jax.random.fold_in(key, round_index)


def learning_rate(
  federated: config.FederatedConfig, round_index: int
) -> Float[Array, '']:
  """A client's, in that round."""
  rate = optimizers.schedule(
    federated.client.schedule,
    federated.client.learning_rate,
    federated.num_rounds,
  )
  return jnp.asarray(rate(round_index), jnp.float32)


def aggregate(
  messages: Sequence[Sent], federated: config.FederatedConfig, key: jax.Array
) -> model.Params:
  """What secure aggregation shows of clients: their weighted mean.

  With the server's noise, where there is some: the attacker then is whoever
  sees what the server made of the round. Of one message, it is that client's
  update as it was sent (and the noise that one who knows all others' updates
  has to deal with). Exactly zero where no utterance was usable. `key` is the
  round's.
  """
  total = sum(message.weight for message in messages)
  shares = [
    message.weight / jnp.where(total > 0, total, 1) for message in messages
  ]
  mean = jax.tree.map(
    lambda *leaves: sum(
      share * leaf for share, leaf in zip(shares, leaves, strict=True)
    ),
    *[message.update for message in messages],
  )
  return privacy.of_server(mean, total, federated.privacy, key)


def padded(batches: cohort.Batch) -> cohort.Batch:
  """Frames and labels padded to a few lengths; this changes no update."""
  frames = _missing(batches.features.shape[-2], _FRAME_QUANTUM)
  labels = _missing(batches.labels.shape[-1], _LABEL_QUANTUM)
  axes = [(0, 0)] * batches.num_frames.ndim
  return batches._replace(
    features=np.pad(batches.features, [*axes, (0, frames), (0, 0)]),
    labels=np.pad(batches.labels, [*axes, (0, labels)]),
  )


def _missing(length: int, quantum: int) -> int:
  return max(-length % quantum, quantum - length)


def chosen(
  clients: Sequence[partition.Client],
  federated: config.FederatedConfig,
  attack: config.AttackConfig,
  seed: int,
  round_index: int,
) -> list[int]:
  """The index of the named client, or the round's cohort as it was drawn.

  Raises:
    VictimError: there is no such client.
  """
  if not attack.victim:
    drawn = cohort.sample(
      len(clients), federated.cohort_size, seed, round_index
    )
    return [int(index) for index in drawn]
  names = [client.name for client in clients]
  if attack.victim not in names:
    near = difflib.get_close_matches(attack.victim, names, 3, cutoff=0)
    raise VictimError(
      f'config.attack.victim={attack.victim!r}: no such client among '
      f'{len(names)}; nearest: {", ".join(near)}.'
    )
  return [names.index(attack.victim)]


def batches(
  clients: Sequence[partition.Client],
  index: int,
  num_frames: Int[np.ndarray, ' utterances'],
  federated: config.FederatedConfig,
  seed: int,
  round_index: int,
  *,
  num_steps: int = 0,
) -> Int[np.ndarray, 'steps batch']:
  """Utterances of each step that the run has this client take in the round.

  Positions in the training set, -1 for padding; drawn or not, what the client
  would train on. `num_steps`: in so many steps; 0: in as many as in the run.
  `dataset.Dataset.batch` makes features of them.
  """
  client = federated.client
  if num_steps:
    client = dataclasses.replace(client, local_steps=num_steps)
  return cohort.client_steps(
    clients, index, num_frames, client, seed, round_index
  )
