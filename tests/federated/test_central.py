"""One client that holds everything: the round is a central optimizer step."""

import jax
import numpy as np
import optax
import population
import quick

from fedjax_asr import config
from fedjax_asr.federated import local_gradient

_CENTRAL = population.federated(
  partition=config.Partition.IID,
  num_clients=1,
  cohort_size=1,
  block_size=1,
  client={'learning_rate': 1.0, 'local_steps': 1, 'batch_size': 4},
  server={
    'optimizer': config.ServerOptimizer.ADAM,
    'learning_rate': 0.01,
    'beta2': 0.99,
  },
)


def test_rounds_of_one_client_are_minibatch_adam():
  simulation = population.Simulation(population.acoustic_model(), _CENTRAL)
  got, _ = simulation.run(3)

  start = jax.device_get(simulation.start())
  adam = optax.adam(0.01, 0.9, 0.99, 1e-8)
  params, opt_state = start.params, adam.init(start.params)
  gradient = quick.jit(
    jax.grad(
      lambda params, batch: local_gradient.batch_loss(
        simulation.acoustic, params, {}, batch, jax.random.key(0)
      )[0]
    )
  )
  for index in range(3):
    batches = population.batches(simulation.members(index))
    batch = jax.tree.map(lambda leaf: leaf[0, 0, 0, 0], batches)
    assert (batch.num_frames > 0).sum() == 4
    updates, opt_state = adam.update(gradient(params, batch), opt_state, params)
    params = optax.apply_updates(params, updates)
  moved = population.distance(got.params, start.params)
  assert moved > 0.1
  assert population.distance(got.params, params) < 1e-4 * moved
  assert np.asarray(got.round) == 3
