"""The cohorts of a run, on the devices."""

from collections.abc import Sequence
from typing import NamedTuple

from fedjax_asr import config
from fedjax_asr.corpora import dataset
from fedjax_asr.federated import cohort, devices, partition


class Fed(NamedTuple):
  """One round's clients; `padding_waste` is the fraction that is padding."""

  members: cohort.Cohort
  padding_waste: float


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
  ):
    self._examples = examples
    self._federated = federated
    self._seed = seed
    self._devices = device_list
    self.clients = partition.partition(examples.speakers, federated, seed)
    self.layout = cohort.plan(
      self.clients, examples, federated, seed, len(device_list)
    )

  def __call__(self, round_index: int) -> Fed:
    drawn = cohort.draw(
      self.clients,
      self._examples.num_frames,
      self._federated,
      self._seed,
      round_index,
    )
    members = cohort.assemble(drawn, self._examples, self.layout)
    waste = cohort.padding_waste(members, self.layout)
    return Fed(devices.spread(members, self._devices), waste)
