"""The round as users compile it, against one client at a time.

Other tests of the round compile small models with few optimisations. A wrong
one (docs/xla_in_place_update.md) showed only here: all optimisations, the
shipped sizes, and as few clients in a program as there may be.
"""

import functools
import itertools

import jax
import kinks
import numpy as np
import oracle
import population
import pytest
import quick
import shipped

from fedjax_asr import config

REPETITIONS = 5
NUM_CLIENTS = len(shipped.SPOKEN)
# One client in a program, two, a block that is padded, and all of them.
BLOCKS = (1, 2, 3, NUM_CLIENTS)
DEVICES = (1, 2, 4)
# (clients in a program, devices) of tests that are not slow: one client in a
# program, in a loop and without, blocks on several devices, and a block that is
# padded. A block above a device's share of the clients is that share.
QUICK = {
  'ds1': ((1, 1), (1, 4)),
  'ds2': ((1, 1), (1, 4), (2, 2), (3, 1)),
}


def settings(
  block_size=1, num_devices=1, device_map='shard_map', num_frame_buckets=1
):
  return population.federated(
    # Small, so that a second step does not amplify the first one's rounding.
    client={
      'optimizer': config.ClientOptimizer.MOMENTUM,
      'learning_rate': 0.02,
    },
    cohort_size=NUM_CLIENTS,
    num_clients=NUM_CLIENTS,
    block_size=block_size,
    num_devices=num_devices,
    num_frame_buckets=num_frame_buckets,
    device_map=config.DeviceMap(device_map),
  )


def simulation(acoustic, **arrangement):
  return population.Simulation(
    acoustic,
    settings(**arrangement),
    shipped.examples(),
    compiled=lambda function, *given: function.lower(*given).compile(),
  )


@functools.cache
def wanted(acoustic, draw=0, jit=quick.jit):
  """(server, report) after a round; clients are programs of their own."""
  made = simulation(acoustic)
  state = made.start()
  return oracle.run_round(
    acoustic,
    made.settings,
    oracle.start(kinks.rounded(state.params, draw), state.norm_state),
    made.draw(0),
    made.examples,
    jit,
  )


@pytest.mark.slow
@pytest.mark.parametrize('name', shipped.MODELS)
def test_the_oracle_is_what_nothing_compiled_computes(name):
  acoustic = shipped.acoustic(name)
  server, _ = wanted(acoustic, jit=oracle.eagerly)
  moved = population.distance(
    server.params, simulation(acoustic).start().params
  )

  def is_so(draw, tolerance):
    found, _ = wanted(acoustic, draw)
    distance = population.distance(found.params, server.params)
    assert distance < tolerance * moved

  kinks.hold(is_so)


def check(acoustic, **arrangement):
  """A round equals the oracle's, and itself however often it is run."""
  made = simulation(acoustic, **arrangement)
  before = jax.device_get(made.start())
  runs = [round_of(made) for _ in range(REPETITIONS)]
  for again in runs[1:]:
    assert same_bits(again, runs[0])
  state, metrics = runs[0]
  moved = population.distance(state.params, before.params)
  assert moved > 0

  def is_so(draw, tolerance):
    server, report = wanted(acoustic, draw)
    distance = population.distance(state.params, server.params)
    assert distance < tolerance * moved
    assert population.distance(
      state.norm_state, server.norm_state
    ) <= tolerance * population.norm(server.norm_state)
    np.testing.assert_allclose(metrics.loss, report.loss, rtol=tolerance)

  kinks.hold(is_so)


def round_of(made):
  """(state, metrics) after the first round; the state given is used up."""
  return jax.device_get(made.step(made.start(), made.members(0)))


def same_bits(left, right):
  pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
  return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


@pytest.mark.parametrize(
  ('architecture', 'block_size', 'num_devices'),
  shipped.quick(
    itertools.product(shipped.DEFAULTS, BLOCKS, DEVICES),
    lambda architecture, *arrangement: arrangement in QUICK[architecture],
  ),
)
def test_no_arrangement_of_clients_changes_a_round(
  architecture, block_size, num_devices
):
  acoustic = shipped.acoustic(architecture)
  check(acoustic, block_size=block_size, num_devices=num_devices)


@pytest.mark.parametrize(
  ('architecture', 'num_devices'),
  shipped.quick(
    itertools.product(shipped.DEFAULTS, DEVICES),
    lambda architecture, num_devices: (architecture, num_devices) == ('ds2', 4),
  ),
)
def test_pmap_changes_nothing(architecture, num_devices):
  acoustic = shipped.acoustic(architecture)
  check(acoustic, num_devices=num_devices, device_map='pmap')


@pytest.mark.parametrize(
  'architecture',
  shipped.quick([('ds1',), ('ds2',)], lambda name: name == 'ds2'),
)
def test_the_choice_of_a_length_changes_nothing(architecture):
  """Two frame buckets: a `lax.switch` with two lengths."""
  check(shipped.acoustic(architecture), num_frame_buckets=2)


@pytest.mark.parametrize('name', shipped.marked(shipped.OTHERS))
def test_one_client_in_a_program_with_every_cell_and_norm(name):
  check(shipped.acoustic(name))
