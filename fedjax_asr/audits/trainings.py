"""Several federated trainings as one program.

They have the clients, cohorts and padded arrays of one run in common; each does
without some of its utterances. So the round itself is vmapped, and of a cohort
only `indices` has an axis of trainings: what a training does without is padding
there, which changes nothing.
"""

import dataclasses
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from fedjax_asr import config
from fedjax_asr.corpora import dataset
from fedjax_asr.federated import (
  algorithms,
  channels,
  client_memory,
  cohort,
  devices,
  partition,
  rounds,
  sampling,
  schedule,
  server,
)
from fedjax_asr.federated import secret as secret_lib
from fedjax_asr.models import model

# (rounds done, all)
Report = Callable[[int, int], None]
_WHOLE: Any = None
_AXES = cohort.Cohort(
  utterances=cohort.Batch(*[_WHOLE] * 4),
  indices=typing.cast(Any, 0),
  bucket=_WHOLE,
  client_ids=_WHOLE,
  staleness=_WHOLE,
)


class TrainingError(config.UserError):
  """A training that cannot be repeated here, or went wrong."""


class Randomness(NamedTuple):
  """What each training draws, [trainings]: its clients' key, and the root of
  all noise."""

  keys: jax.Array
  secrets: jax.Array


class Trainings:
  """Repeats a federated training, as often as wanted at once.

  On one device.
  """

  def __init__(
    self,
    acoustic: model.Model,
    federated: config.FederatedConfig,
    augmentation: config.AugmentConfig,
    clients: Sequence[partition.Client],
    examples: dataset.Dataset,
    seed: int,
    secret: secret_lib.Secret | None = None,
  ):
    """`secret`: of private sampling.

    Raises:
      TrainingError: clients keep values between rounds.
    """
    self._federated = dataclasses.replace(
      federated, num_devices=1, device_map=config.DeviceMap.SHARD_MAP
    )
    self._clients, self._examples, self._seed = clients, examples, seed
    method = algorithms.make(acoustic, federated, augmentation, len(clients))
    line = channels.make(federated)
    initial = client_memory.initial_memory(method, line)
    if client_memory.row_layout(initial, acoustic).leaves:
      raise TrainingError(
        f'config.federated.algorithm={federated.algorithm} of the run, whose '
        'clients keep values from round to round; want one whose do not.'
      )
    self._schedule = schedule.rounds(clients, self._federated, seed, secret)
    working = [each.working for each in self._schedule or []]
    self.layout = cohort.plan(
      clients,
      examples,
      self._federated,
      seed,
      1,
      working or None,
      sampling.places(self._federated, len(clients)),
    )
    self._devices = devices.select(self._federated)
    one = rounds.traced(
      method,
      line,
      self._federated,
      self.layout.frame_buckets,
      self._devices,
    )

    def round_fn(state, members, key, secret):
      state, _, outcome = one(
        state, members, rounds.NO_MEMORIES, key, None, secret
      )
      return state, outcome.metrics.loss, outcome.metrics.is_broken

    self.round_fn = jax.jit(
      jax.vmap(round_fn, (0, _AXES, 0, 0)), donate_argnums=0
    )

  def draws(self, num_rounds: int) -> Iterator[cohort.Draw]:
    """Of each round, with every utterance; at most those of the run."""
    for index in range(num_rounds):
      yield cohort.draw(
        self._clients,
        self._examples.num_frames,
        self._federated,
        self._seed,
        index,
        self._schedule[index].working if self._schedule else None,
      )

  def times_used(self, num_rounds: int) -> Int[np.ndarray, ' utterances']:
    """How often each utterance is in a step of the first rounds."""
    counts = np.zeros(len(self._examples), int)
    for drawn in self.draws(num_rounds):
      np.add.at(counts, drawn.utterances[drawn.utterances >= 0], 1)
    return counts

  def train(
    self,
    start: server.ServerState,
    is_in: Bool[np.ndarray, 'trainings utterances'],
    randomness: Randomness,
    num_rounds: int,
    num_parallel: int,
    report: Report,
  ) -> server.Values:
    """What each ends with, on the host, outermost axis the trainings.

    All begin at `start`. `num_parallel` are trained at once, all if 0, in
    groups of one size.

    Raises:
      TrainingError: a training came to what is not finite.
    """
    groups = _groups(len(is_in), num_parallel)
    found = []
    for index, group in enumerate(groups):

      def told(done, index=index):
        report(index * num_rounds + done, len(groups) * num_rounds)

      chosen = jax.tree.map(lambda leaf, group=group: leaf[group], randomness)
      values = self._train(start, is_in[group], chosen, num_rounds, told)
      found.append(jax.device_get(values))
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)
    return jax.tree.map(lambda leaf: leaf[: len(is_in)], joined)

  def _train(self, start, is_in, randomness, num_rounds, told):
    count = len(is_in)
    state = jax.tree.map(
      lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], count, 0), start
    )
    # As a round leaves it, or the second one would be compiled again.
    state = devices.replicate(state, self._devices)
    broken = None
    for index, drawn in enumerate(self.draws(num_rounds)):
      members = self._members(drawn, is_in)
      # The one before is waited for once this one's cohort is there.
      self._check(broken, index)
      told(index)
      state, _, broken = self.round_fn(state, members, *randomness)
    self._check(broken, num_rounds)
    told(num_rounds)
    return server.Values(state.params, state.norm_state)

  def _members(self, drawn: cohort.Draw, is_in) -> cohort.Cohort:
    members = cohort.assemble(drawn, self._examples, self.layout)
    positions = cohort.positions(drawn, self.layout)
    # Padding (-1) reads the last utterance, and stays padding.
    return members._replace(
      indices=np.where(is_in[:, positions], members.indices, -1)
    )

  def _check(self, broken: Any, number: int) -> None:
    if broken is None or not (places := np.flatnonzero(broken)).size:
      return
    raise TrainingError(
      f'training {places[0] + 1} of {len(broken)} is not finite after round '
      f'{number}; want a run whose training is stable.'
    )


def _groups(count: int, num_parallel: int) -> list[np.ndarray]:
  """Indices of groups of one size; the last repeats some of the first."""
  num_groups = -(-count // (num_parallel or count))
  size = -(-count // num_groups)
  places = np.arange(num_groups * size) % count
  return list(places.reshape(num_groups, size))
