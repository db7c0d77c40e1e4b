"""Which devices take part, and what each of them holds."""

import jax
import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import devices


@pytest.mark.parametrize(
  ('num_devices', 'cohort_size', 'wanted'),
  [(0, 5, 4), (0, 3, 3), (0, 1, 1), (2, 5, 2), (4, 5, 4)],
)
def test_all_devices_that_have_a_client_or_as_many_as_asked_for(
  num_devices, cohort_size, wanted
):
  settings = population.federated(
    num_devices=num_devices, cohort_size=cohort_size
  )
  assert devices.select(settings) == jax.local_devices()[:wanted]


def test_more_devices_than_there_are_is_one_line():
  with pytest.raises(config.ConfigError, match='num_devices=5; want') as error:
    devices.select(population.federated(num_devices=5))
  assert '\n' not in str(error.value)
  assert '4 cpu' in str(error.value)


def test_spread_gives_each_device_its_slice_and_replicate_gives_all():
  four = jax.local_devices()[:4]
  values = np.arange(8.0).reshape(4, 2)
  for shard in devices.spread(values, four).addressable_shards:
    np.testing.assert_array_equal(
      shard.data, values[four.index(shard.device)][None]
    )
  for shard in devices.replicate(values, four).addressable_shards:
    np.testing.assert_array_equal(shard.data, values)


@pytest.mark.parametrize('device_map', config.DeviceMap)
@pytest.mark.parametrize('num_devices', [1, 2, 4])
def test_what_is_to_be_summed_is_and_the_rest_is_kept(device_map, num_devices):
  chosen = jax.local_devices()[:num_devices]
  mapped = devices.over_clients(
    lambda shared, local: ({'product': shared * local}, local + 1),
    chosen,
    device_map,
  )
  values = np.arange(8.0).reshape(num_devices, -1)
  total, kept = jax.jit(mapped)(
    devices.replicate(np.float32(3.0), chosen),
    devices.spread(np.float32(values), chosen),
  )
  np.testing.assert_array_equal(total['product'], 3 * values.sum(0))
  np.testing.assert_array_equal(kept, values + 1)
