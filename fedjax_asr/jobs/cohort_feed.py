"""The cohorts of a run, on the devices."""

from collections.abc import Generator, Iterable, Sequence
from concurrent import futures
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from fedjax_asr import config
from fedjax_asr.corpora import dataset
from fedjax_asr.federated import (
  cohort,
  devices,
  partition,
  sampling,
  schedule,
  secure_protocol,
  systems,
)
from fedjax_asr.federated import secret as secret_lib


class Fed(NamedTuple):
  """One round's clients.

  frames: of each frame bucket, how many are speech and how many computed.
  client_ids: those of `members`, on the host.
  timing: when they work; None where nothing but a sample decides.
  secure: the round of secure aggregation; None without.
  """

  members: cohort.Cohort
  client_ids: Int[np.ndarray, 'devices blocks clients']
  frames: cohort.BucketFrames
  timing: systems.Round | None
  secure: secure_protocol.Round | None = None


def _check_steps(
  federated: config.FederatedConfig, layout: cohort.Layout
) -> None:
  """Where steps follow from the speech, validation cannot know them."""
  head_steps = federated.fedrep.head_steps
  if federated.algorithm is not config.AlgorithmName.FEDREP:
    return
  if head_steps >= layout.num_steps:
    raise config.ConfigError(
      f'config.federated.fedrep.head_steps={head_steps}; want fewer than the '
      f'{layout.num_steps} steps of the largest client: the others train what '
      'is shared.'
    )


class CohortFeed:
  """`feed(round_index)`: the cohort of a round, spread over the devices.

  A function of (seed, round), so a resumed run is fed what an uninterrupted
  one would have been; every cohort has the one shape of `layout`.
  """

  def __init__(
    self,
    examples: dataset.Dataset,
    federated: config.FederatedConfig,
    seed: int,
    device_list: Sequence[devices.Device],
    secret: secret_lib.Secret | None = None,
  ):
    """`secret`: of private sampling; None: what `seed` makes."""
    self._examples = examples
    self._federated = federated
    self._seed = seed
    self._devices = device_list
    self.clients = partition.partition(
      examples.speakers, examples.texts, federated, seed, examples.clients
    )
    sampling.check(federated, len(self.clients))
    self._schedule = schedule.rounds(self.clients, federated, seed, secret)
    self.layout = cohort.plan(
      self.clients,
      examples,
      federated,
      seed,
      len(device_list),
      [timing.working for timing in self._schedule] if self._schedule else None,
      sampling.places(federated, len(self.clients)),
    )
    _check_steps(federated, self.layout)
    self._protocol = None
    if federated.secure_aggregation.enabled:
      self._protocol = secure_protocol.of_config(federated)

  @property
  def participants(self) -> list[np.ndarray]:
    """Clients that send, of each round that is known in advance by more than
    its sample; [] of others."""
    return [timing.working.client_ids for timing in self._schedule or []]

  @property
  def shapes(self) -> cohort.Cohort:
    """Of every cohort, as `jax.ShapeDtypeStruct`s on the devices."""
    shapes = cohort.shapes(self.layout, self._examples.num_features)
    if self._protocol:
      masks = secure_protocol.shapes(self._protocol, shapes.client_ids.shape)
      shapes = shapes._replace(masks=masks)
    return devices.spread_shapes(shapes, self._devices)

  def __call__(self, round_index: int) -> Fed:
    timing = self._schedule[round_index] if self._schedule else None
    drawn = cohort.draw(
      self.clients,
      self._examples.num_frames,
      self._federated,
      self._seed,
      round_index,
      timing.working if timing else None,
    )
    members = cohort.assemble(drawn, self._examples, self.layout)
    frames = cohort.bucket_frames(members, self.layout)
    ids = np.asarray(members.client_ids)
    secure = None
    if self._protocol:
      begun = timing.drawn if timing else None
      secure = secure_protocol.simulated(
        drawn.client_ids if begun is None else begun,
        drawn.client_ids,
        self._protocol,
        self._seed,
        round_index,
      )
      masks = secure_protocol.placed(secure, ids, self._protocol)
      members = members._replace(masks=masks)
    spread = devices.spread(members, self._devices)
    return Fed(spread, ids, frames, timing, secure)

  def ahead(self, rounds: Iterable[int]) -> Generator[Fed, None, None]:
    """The cohorts of these rounds, each assembled while the last one is used.

    By a thread of its own, so that evaluation and checkpoints overlap with it
    too. One cohort waits on the devices beside the one in use, no more.
    """
    pool = futures.ThreadPoolExecutor(1, thread_name_prefix='cohort_feed')
    try:
      waiting = None
      for index in rounds:
        following = pool.submit(self, index)
        if waiting is not None:
          yield waiting.result()
        waiting = following
      if waiting is not None:
        yield waiting.result()
    finally:
      pool.shutdown(wait=False, cancel_futures=True)
