"""A round says who sent what is not finite."""

import functools

import numpy as np
import population
import pytest

from fedjax_asr import config


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


def _after(simulation, broken):
  """Metrics of a round in which these clients have features of NaN."""
  members = simulation.members(0)
  features = np.array(members.batches.features)
  # devices, blocks, steps, clients -> devices, blocks, clients.
  features = np.moveaxis(features, 2, 3)
  features[np.isin(members.client_ids, broken)] = np.nan
  members = members._replace(
    batches=members.batches._replace(features=np.moveaxis(features, 3, 2))
  )
  return simulation.step(simulation.start(), members)[1]


@pytest.mark.parametrize(
  ('num_devices', 'device_map'),
  [
    (1, config.DeviceMap.SHARD_MAP),
    (2, config.DeviceMap.SHARD_MAP),
    (2, config.DeviceMap.PMAP),
  ],
)
@pytest.mark.parametrize('broken', [(), (4,), (1, 6), range(7)])
def test_clients_that_are_not_finite_are_named(num_devices, device_map, broken):
  metrics = _after(_simulation(num_devices, device_map), list(broken))
  assert metrics.num_broken == len(broken)
  assert metrics.is_broken == bool(broken)
  named = [*broken, *[-1] * 5][:5]
  assert metrics.broken_clients.tolist() == named
