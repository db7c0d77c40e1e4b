"""FedBuff on linear clients, by hand, and on a tiny recogniser."""

import jax
import linear
import numpy as np
import optax
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import optimizers
from fedjax_asr.federated.algorithms import fedavg, fedbuff

# Each round's clients learn more slowly than those before.
SETTINGS = config.FederatedConfig(
  num_rounds=5,
  client=config.ClientConfig(
    learning_rate=0.1, schedule=config.Schedule.LINEAR
  ),
)
STALENESS = [(0, 0), (1, 0), (0, 2), (3, 1), (3, 3)]
LAYOUTS = [(0, 1), (1, 1), (1, 2), (4, 1)]
CASES = [(0.5, *layout) for layout in LAYOUTS] + [(0.0, 0, 1), (2.0, 0, 1)]


def buffered(weighting=config.Weighting.UTTERANCES, **fields):
  return fedbuff.fedbuff(
    linear.gradient,
    optax.sgd,
    weighting,
    config.FedBuffConfig(**{'max_staleness': 3} | fields),
  )


@pytest.mark.parametrize(('exponent', 'block_size', 'num_devices'), CASES)
def test_stale_clients_start_from_their_version_and_weigh_less(
  exponent, block_size, num_devices
):
  simulation = linear.Simulation(
    buffered(staleness_exponent=exponent),
    SETTINGS,
    block_size=block_size,
    num_devices=num_devices,
  )
  versions = [np.zeros(2)]
  for index, staleness in enumerate(STALENESS):
    simulation.round([0, 1], staleness)
    deltas, weights = [], []
    for each, stale in zip(linear.UNEQUAL, staleness, strict=True):
      start = versions[index - stale]
      rate = optimizers.client_rate(SETTINGS, index - stale)
      mine = start.copy()
      for rows in each.batches:
        mine -= float(rate) * linear.slope_by_hand(mine, rows)
      deltas.append(start - mine)
      size = sum(len(rows) for rows in each.batches)
      weights.append(size / (1 + stale) ** exponent)
    versions.append(versions[-1] - np.average(deltas, axis=0, weights=weights))
    np.testing.assert_allclose(simulation.w, versions[-1], rtol=2e-5)


def test_without_staleness_it_is_fedavg():
  averaged = fedavg.fedavg(
    linear.gradient, optax.sgd, config.Weighting.UTTERANCES
  )
  ours, theirs = (
    linear.Simulation(method, SETTINGS) for method in (buffered(), averaged)
  )
  for _ in range(3):
    ours.round()
    theirs.round()
    np.testing.assert_array_equal(ours.w, theirs.w)


def test_a_recogniser_remembers_its_averages_and_its_loss_falls():
  settings = population.federated(
    algorithm=config.AlgorithmName.FEDBUFF,
    num_rounds=8,
    fedbuff=config.FedBuffConfig(max_staleness=2),
    client={'learning_rate': 0.05},
  )
  simulation = population.Simulation(
    population.acoustic_model(norm=config.Norm.BATCH), settings
  )
  state = simulation.start()
  seen, losses = [], []
  for index in range(8):
    seen.append(jax.device_get((state.params, state.norm_state)))
    members = simulation.members(index)
    stale = np.minimum(members.client_ids % 3, index).astype(np.int32)
    members = members._replace(
      staleness=np.where(members.client_ids >= 0, stale, 0)
    )
    state, metrics = simulation.step(state, members)
    losses.append(float(metrics.loss))
  assert np.mean(losses[-2:]) < np.mean(losses[:2])
  memory = jax.device_get(state.memory)
  for back in range(2):
    then = jax.tree.map(
      lambda leaf, back=back: leaf[back], (memory.params, memory.norm_state)
    )
    assert population.distance(then, seen[-1 - back]) == 0
  assert population.norm(memory.norm_state) > 0
