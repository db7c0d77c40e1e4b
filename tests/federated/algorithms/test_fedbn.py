"""FedBN on linear clients, by hand."""

import jax.numpy as jnp
import linear
import numpy as np
import optax
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated.algorithms import fedavg, fedbn
from fedjax_asr.models import norms

RATE = 0.1
SETTINGS = config.FederatedConfig(
  num_rounds=4, client=config.ClientConfig(learning_rate=RATE)
)
LAYOUTS = [(0, 1), (1, 1), (1, 2), (4, 1)]
# Client 1 comes later, and starts from what the server has by then.
DRAWN = ([0], [0, 1], [1], [0, 1])


@pytest.mark.parametrize(('block_size', 'num_devices'), LAYOUTS)
def test_norms_stay_with_a_client_and_the_server_has_their_mean(
  block_size, num_devices
):
  base = fedavg.fedavg(linear.gradient, optax.sgd, config.Weighting.UTTERANCES)
  simulation = linear.Simulation(
    fedbn.fedbn(base, norms.is_norm),
    SETTINGS,
    block_size=block_size,
    num_devices=num_devices,
    params={'norm': {'scale': jnp.zeros(2)}, 'w': jnp.zeros(2)},
  )
  w, norm = np.zeros(2), np.zeros(2)
  own = [np.zeros(2), np.zeros(2)]
  sizes = [sum(map(len, client.batches)) for client in linear.UNEQUAL]
  for drawn in DRAWN:
    simulation.round(drawn)
    local = []
    for index in drawn:
      mine = w.copy()
      for rows in linear.UNEQUAL[index].batches:
        # The two parts add up, so that their gradients are equal.
        slope = linear.slope_by_hand(mine + own[index], rows)
        mine, own[index] = mine - RATE * slope, own[index] - RATE * slope
      local.append((mine, own[index]))
    weights = [sizes[index] for index in drawn]
    w, norm = np.average(local, axis=0, weights=weights)
    params = simulation.state.params
    np.testing.assert_allclose(params['w'], w, rtol=1e-5)
    np.testing.assert_allclose(params['norm']['scale'], norm, rtol=1e-5)
    for kept, mine in zip(simulation.memories, own, strict=True):
      params = kept.algorithm.params
      np.testing.assert_allclose(params['norm']['scale'], mine, rtol=1e-5)
      assert params['w'] is None


def test_statistics_stay_with_a_client():
  """Of two clients in one round, each has the statistics of its own speech."""
  acoustic = population.acoustic_model(norm=config.Norm.BATCH)
  settings = population.federated(
    algorithm=config.AlgorithmName.FEDBN, client={'learning_rate': 1e-3}
  )
  simulation = population.Simulation(acoustic, settings)
  members = simulation.members(0)
  start = simulation.start()
  state, _ = simulation.step(start, members)
  kept = simulation.memories.gather(
    members.client_ids, state.params, state.norm_state
  ).algorithm
  assert set(kept.params['recurrent_0']['norm']) == {'scale', 'bias'}
  assert kept.params['recurrent_0']['recurrent_kernel'] is None
  means = kept.norm_state['recurrent_0']['norm']['mean']
  real = members.client_ids >= 0
  own = np.asarray(means)[real]
  assert all((own[0] != other).any() for other in own[1:])
  weights = (members.indices >= 0).sum((2, 4))[real]
  # 'hollow' has no alignment and does not count.
  weights[members.client_ids[real] == 6] -= 1
  np.testing.assert_allclose(
    state.norm_state['recurrent_0']['norm']['mean'],
    np.average(own, axis=0, weights=weights),
    rtol=1e-4,
    atol=1e-6,
  )


def test_a_recogniser_is_learned():
  settings = population.federated(algorithm=config.AlgorithmName.FEDBN)
  losses = population.losses(settings)
  assert losses[-1] < 0.8 * losses[0]
