"""Schedules by hand; optimizers are optax's."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated import optimizers

PARAMS = {'w': jnp.array([1.0, -2.0, 3.0]), 'b': jnp.array([0.5])}
GRADIENTS = [
  {'w': jnp.array([3.0, -4.0, 0.0]), 'b': jnp.array([12.0])},
  {'w': jnp.array([0.1, 0.2, -0.3]), 'b': jnp.array([-0.4])},
]


def rates(kind, num_rounds, warmup_rounds=0, peak=2.0):
  schedule = optimizers.schedule(kind, peak, num_rounds, warmup_rounds)
  return [float(schedule(index)) for index in range(num_rounds)]


@pytest.mark.parametrize(
  ('kind', 'wanted'),
  [
    ('constant', [2.0, 2.0, 2.0, 2.0]),
    ('linear', [2.0, 1.5, 1.0, 0.5]),
    ('cosine', [2.0, 1 + math.sqrt(0.5), 1.0, 1 - math.sqrt(0.5)]),
  ],
)
def test_a_schedule_starts_at_the_peak_and_decays_to_zero_after_the_end(
  kind, wanted
):
  kind = config.Schedule(kind)
  np.testing.assert_allclose(rates(kind, 4), wanted, rtol=1e-6)
  end = float(optimizers.schedule(kind, 2.0, 4)(4))
  assert end == pytest.approx(2.0 if kind == 'constant' else 0.0, abs=1e-6)


def test_an_exponential_decay_begins_late_and_halves_every_few_rounds():
  decay = config.DecayConfig(begin=2, factor=0.25, every=2)
  schedule = optimizers.schedule(
    config.Schedule.EXPONENTIAL, 2.0, 7, 1, exponential=decay
  )
  # One of warm-up, two at the peak and the one in which it begins.
  np.testing.assert_allclose(
    [float(schedule(index)) for index in range(7)],
    [1.0, 2.0, 2.0, 2.0, 1.0, 0.5, 0.25],
    rtol=1e-6,
  )


@pytest.mark.parametrize('kind', ['constant', 'linear', 'cosine'])
def test_warmup_climbs_in_equal_steps_from_the_first_round(kind):
  kind = config.Schedule(kind)
  warmed = rates(kind, 7, warmup_rounds=3)
  np.testing.assert_allclose(warmed[:3], [0.5, 1.0, 1.5], rtol=1e-6)
  np.testing.assert_allclose(warmed[3:], rates(kind, 4), rtol=1e-6)


def steps(optimizer):
  """Parameters after each gradient."""
  params, state, path = PARAMS, optimizer.init(PARAMS), []
  for gradient in GRADIENTS:
    updates, state = optimizer.update(gradient, state, params)
    params = optax.apply_updates(params, updates)
    path.append(params)
  return path


def assert_same(left, right):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
    steps(left),
    steps(right),
  )


@pytest.mark.parametrize(
  ('kind', 'wanted'),
  [
    ('sgd', optax.sgd(0.3)),
    ('momentum', optax.sgd(0.3, momentum=0.6)),
    ('adam', optax.adam(0.3)),
  ],
)
def test_a_client_optimizer_is_optax_s(kind, wanted):
  client = config.ClientConfig(
    optimizer=config.ClientOptimizer(kind), momentum=0.6
  )
  assert_same(optimizers.client_optimizer(client, 0.3), wanted)


def test_a_client_gradient_is_clipped_by_its_global_norm():
  client = config.ClientConfig(clip_norm=6.5)
  path = steps(optimizers.client_optimizer(client, 1.0))
  # The first has norm 13 and is halved; the second is shorter.
  np.testing.assert_allclose(path[0]['w'], [-0.5, 0.0, 3.0], rtol=1e-6)
  np.testing.assert_allclose(path[0]['b'], [-5.5], rtol=1e-6)
  np.testing.assert_allclose(path[1]['b'], [-5.1], rtol=1e-6)


ADAPTIVE = {'b1': 0.8, 'b2': 0.95, 'eps': 1e-3}


@pytest.mark.parametrize(
  ('kind', 'wanted'),
  [
    ('sgd', optax.sgd(0.3)),
    ('momentum', optax.sgd(0.3, momentum=0.8)),
    ('adam', optax.adam(0.3, **ADAPTIVE)),
    ('adagrad', optax.adagrad(0.3, 1e-6, eps=1e-3)),
    ('lamb', optax.lamb(0.3, **ADAPTIVE)),
    ('lars', optax.lars(0.3, trust_coefficient=1.0, momentum=0.8)),
  ],
)
def test_a_server_optimizer_is_optax_s(kind, wanted):
  server = config.ServerConfig(
    optimizer=config.ServerOptimizer(kind),
    learning_rate=0.3,
    momentum=0.8,
    beta2=0.95,
    epsilon=1e-3,
  )
  assert_same(optimizers.server_optimizer(server, 10), wanted)


@pytest.mark.parametrize('kind', ['adam', 'yogi', 'adagrad'])
def test_updates_far_below_one_are_followed_from_the_first_round(kind):
  """Reddi et al. 2021, Algorithm 2: squares start at those of tau."""
  server = config.ServerConfig(
    optimizer=config.ServerOptimizer(kind), learning_rate=0.3, epsilon=1e-9
  )
  optimizer = optimizers.server_optimizer(server, 10)
  params = {'w': np.float32([3.0, 4.0])}
  small = {'w': np.float32([1e-3, -2e-3])}
  first, _ = optimizer.update(small, optimizer.init(params), params)
  np.testing.assert_allclose(first['w'], [-0.3, 0.3], rtol=1e-2)


def test_yogi_is_that_of_fedopt():
  """Reddi et al. 2021, Algorithm 2, with bias corrected as optax does."""
  server = config.ServerConfig(
    optimizer=config.ServerOptimizer.YOGI,
    learning_rate=0.3,
    momentum=0.8,
    beta2=0.95,
    epsilon=1e-3,
  )
  optimizer = optimizers.server_optimizer(server, 10)
  params = {'w': np.float32([0.0])}
  state = optimizer.init(params)
  mean, square = 1e-6, 1e-6
  for count, gradient in enumerate((0.5, -0.2, 0.9), 1):
    step, state = optimizer.update({'w': np.float32([gradient])}, state, params)
    mean = 0.8 * mean + 0.2 * gradient
    square -= 0.05 * np.sign(square - gradient**2) * gradient**2
    wanted = mean / (1 - 0.8**count)
    wanted /= np.sqrt(square / (1 - 0.95**count)) + 1e-3
    np.testing.assert_allclose(step['w'], [-0.3 * wanted], rtol=1e-5)


def test_the_server_s_rate_follows_its_schedule():
  server = config.ServerConfig(
    learning_rate=1.0, schedule=config.Schedule.LINEAR, warmup_rounds=1
  )
  path = steps(optimizers.server_optimizer(server, 3))
  # Rates 1/2 while warming up, then 1.
  np.testing.assert_allclose(path[0]['b'], [0.5 - 6.0], rtol=1e-6)
  np.testing.assert_allclose(path[1]['b'], [-5.5 + 0.4], rtol=1e-6)


def test_lars_moves_each_array_by_a_share_of_its_norm():
  """You et al. 2017, equation 6, without weight decay; then its momentum."""
  server = config.ServerConfig(
    optimizer=config.ServerOptimizer.LARS, learning_rate=0.1, momentum=0.5
  )
  optimizer = optimizers.server_optimizer(server, 10)
  params = {'w': np.float32([3.0, 4.0])}
  state = optimizer.init(params)
  # |w| = 5, |g| = 2.
  first, state = optimizer.update({'w': np.float32([0, 2])}, state, params)
  np.testing.assert_allclose(first['w'], [0, -0.5], rtol=1e-6)
  second, _ = optimizer.update({'w': np.float32([4, 0])}, state, params)
  np.testing.assert_allclose(second['w'], [-0.5, -0.25], rtol=1e-6)


@pytest.mark.parametrize('kind', config.ServerOptimizer)
def test_a_scale_is_of_the_rate_and_one_changes_no_bit(kind):
  def scaled(rate, scale):
    server = config.ServerConfig(
      optimizer=kind, learning_rate=rate, schedule=config.Schedule.LINEAR
    )
    return steps(optimizers.server_optimizer(server, 10, scale))

  jax.tree.map(
    np.testing.assert_array_equal,
    scaled(0.3, jnp.float32(1)),
    scaled(0.3, None),
  )
  jax.tree.map(
    np.testing.assert_array_equal,
    scaled(0.5, jnp.float32(0.5)),
    scaled(0.25, None),
  )


@pytest.mark.parametrize(
  ('server', 'algorithm', 'of_clients'),
  [
    ({}, 'fedavg', True),
    ({}, 'scaffold', True),
    ({}, 'fedsgd', False),
    ({'learning_rate': 0.5}, 'fedavg', False),
    ({'optimizer': config.ServerOptimizer.MOMENTUM}, 'fedavg', False),
    ({'optimizer': config.ServerOptimizer.ADAM}, 'fedavg', False),
  ],
)
def test_clients_are_scaled_where_the_server_takes_their_mean(
  server, algorithm, of_clients
):
  federated = config.FederatedConfig(
    algorithm=config.AlgorithmName(algorithm),
    server=config.ServerConfig(**server),
  )
  scale = optimizers.step_scale(federated, 0.5)
  assert scale == ((0.5, None) if of_clients else (None, 0.5))
  assert optimizers.client_rate(federated, 3, 0.5) == np.float32(0.05)


@pytest.mark.parametrize('schedule', [*config.Schedule])
def test_the_rate_that_is_told_is_the_one_that_is_taken(schedule):
  federated = config.FederatedConfig(
    num_rounds=9,
    server=config.ServerConfig(
      learning_rate=0.5,
      warmup_rounds=3,
      schedule=schedule,
      decay=config.DecayConfig(begin=1, every=2),
    ),
  )
  optimizer = optimizers.server_optimizer(federated.server, 9, 0.25)
  state = optimizer.init(jnp.ones(()))
  for index in range(9):
    step, state = optimizer.update(jnp.ones(()), state)
    rate = optimizers.server_rate(federated, index, 0.25)
    assert -step == pytest.approx(float(rate), rel=1e-6)
