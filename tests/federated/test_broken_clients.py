"""A round leaves out what is not finite, and says whose it was."""

import functools

import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import cohort


@functools.cache
def _simulation(num_devices, device_map):
  return population.Simulation(
    population.acoustic_model(norm=config.Norm.LAYER),
    population.federated(
      cohort_size=7,
      num_devices=num_devices,
      device_map=device_map,
      client={'optimizer': config.ClientOptimizer.MOMENTUM},
    ),
  )


def _with_nan(simulation, broken):
  """The cohort of a round in which these clients have features of NaN."""
  members = simulation.members(0)
  features = np.array(members.utterances.features)
  features[np.isin(members.client_ids, broken)] = np.nan
  return members._replace(
    utterances=members.utterances._replace(features=features)
  )


def _without(simulation, broken):
  """The cohort in which these clients have nothing at all."""
  drawn = simulation.draw(0)
  utterances = drawn.utterances.copy()
  utterances[np.isin(drawn.client_ids, broken)] = -1
  drawn = drawn._replace(utterances=utterances)
  return cohort.assemble(drawn, simulation.examples, simulation.layout)


LAYOUTS = [
  (1, config.DeviceMap.SHARD_MAP),
  (2, config.DeviceMap.SHARD_MAP),
  (2, config.DeviceMap.PMAP),
]


@pytest.mark.parametrize(('num_devices', 'device_map'), LAYOUTS)
@pytest.mark.parametrize('broken', [(), (4,), (1, 6)])
def test_what_is_not_finite_is_left_out_and_told(
  num_devices, device_map, broken
):
  simulation = _simulation(num_devices, device_map)
  members = _with_nan(simulation, list(broken))
  state, outcome = simulation.outcome(simulation.start(), members)
  assert outcome.metrics.num_broken == len(broken)
  assert outcome.metrics.num_clients == 7 - len(broken)
  assert not outcome.metrics.is_broken
  told = members.client_ids[np.asarray(outcome.reports.is_broken)]
  assert sorted(told.tolist()) == list(broken)
  wanted, metrics = simulation.step(
    simulation.start(), _without(simulation, list(broken))
  )
  moved = population.distance(wanted.params, simulation.start().params)
  assert population.distance(state.params, wanted.params) < 1e-5 * moved
  np.testing.assert_allclose(outcome.metrics.loss, metrics.loss, rtol=1e-5)


@pytest.mark.parametrize(('num_devices', 'device_map'), LAYOUTS)
def test_a_round_of_nothing_finite_is_broken(num_devices, device_map):
  simulation = _simulation(num_devices, device_map)
  members = _with_nan(simulation, list(range(7)))
  state, outcome = simulation.outcome(simulation.start(), members)
  assert outcome.metrics.is_broken
  assert outcome.metrics.num_broken == 7
  assert population.distance(state.params, simulation.start().params) == 0
