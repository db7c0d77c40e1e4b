import derivatives
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.models import norms

LENGTHS = np.array([5, 2, 0])
MASK = np.arange(5) < LENGTHS[:, None]
SHAPES = [(3, 5, 6), (3, 5, 4, 6)]
by_shape = pytest.mark.parametrize('shape', SHAPES)
MOMENTUM = 0.75


def random(shape, seed=0):
  return np.random.default_rng(seed).normal(2.0, 3.0, shape).astype(np.float32)


def soiled(values, garbage):
  """Garbage in every padded frame."""
  values = values.copy()
  values[~MASK] = garbage
  return values


def moments(values):
  """Mean and variance of each feature over real frames."""
  real = values[MASK].astype(np.float64).reshape(-1, values.shape[-1])
  return real.mean(0), real.var(0)


def batch_norm(inputs, mask=MASK, state=None, train=True):
  """(outputs, running averages) with scale and bias that are seen."""
  size = inputs.shape[-1]
  params = {
    'scale': jnp.arange(1.0, size + 1),
    'bias': jnp.linspace(-1.0, 1.0, size),
  }
  state = state or {'mean': jnp.zeros(size), 'variance': jnp.ones(size)}
  module = norms.SequenceBatchNorm(momentum=MOMENTUM)
  outputs, updates = module.apply(
    {'params': params, 'norm_state': state},
    jnp.asarray(inputs),
    jnp.asarray(mask),
    train,
    mutable=['norm_state'],
  )
  return outputs, updates['norm_state']


@by_shape
@pytest.mark.parametrize('garbage', [0.0, 1e6, np.inf, np.nan])
def test_batch_norm_takes_its_statistics_over_real_frames(shape, garbage):
  values = random(shape)
  mean, variance = moments(values)
  outputs, state = batch_norm(soiled(values, garbage))
  wanted = (values - mean) / np.sqrt(variance + norms.EPSILON)
  wanted = wanted * np.arange(1, 7) + np.linspace(-1, 1, 6)
  np.testing.assert_allclose(outputs[MASK], wanted[MASK], atol=1e-4)
  np.testing.assert_allclose(state['mean'], 0.25 * mean, rtol=1e-5)
  np.testing.assert_allclose(
    state['variance'], 0.75 + 0.25 * variance, rtol=1e-5
  )


@by_shape
def test_a_batch_of_padding_leaves_the_running_averages(shape):
  state = {'mean': jnp.full(6, 3.0), 'variance': jnp.full(6, 5.0)}
  outputs, after = batch_norm(
    soiled(random(shape), np.nan), np.zeros_like(MASK), state
  )
  np.testing.assert_array_equal(after['mean'], 3.0)
  np.testing.assert_array_equal(after['variance'], 5.0)
  assert np.isfinite(outputs).all()


@by_shape
def test_batch_norm_in_evaluation_uses_the_running_averages(shape):
  values = random(shape)
  state = {'mean': jnp.arange(6.0), 'variance': jnp.arange(1.0, 7.0)}
  outputs, after = batch_norm(values, state=state, train=False)
  wanted = (values - np.arange(6)) / np.sqrt(np.arange(1, 7) + norms.EPSILON)
  wanted = wanted * np.arange(1, 7) + np.linspace(-1, 1, 6)
  np.testing.assert_allclose(outputs[MASK], wanted[MASK], rtol=2e-5, atol=1e-5)
  for name, average in state.items():
    np.testing.assert_array_equal(after[name], average)


@by_shape
def test_padding_reaches_no_gradient_of_batch_norm(shape):
  def loss(inputs):
    outputs, _ = batch_norm(inputs)
    mask = MASK.reshape(*MASK.shape, *(1,) * (len(shape) - 2))
    return jnp.sum(jnp.where(mask, outputs, 0) ** 3)

  values = random(shape)
  clean = jax.grad(loss)(jnp.asarray(soiled(values, 0.0)))
  dirty = jax.grad(loss)(jnp.asarray(soiled(values, np.nan)))
  np.testing.assert_array_equal(dirty, clean)
  np.testing.assert_array_equal(dirty[~MASK], 0)


def test_gradient_of_batch_norm_equals_finite_differences():
  with derivatives.float64():
    values = jnp.asarray(random((3, 5, 6)), jnp.float64)

    def loss(inputs):
      outputs, _ = batch_norm(inputs)
      real = outputs[MASK].ravel()
      return jnp.sum(real**2 * jnp.arange(float(real.size)))

    direction = derivatives.direction_like(values)
    np.testing.assert_allclose(
      derivatives.slope(jax.grad(loss)(values), direction),
      derivatives.central_difference(loss, values, direction),
      rtol=1e-5,
    )


def frame_norm(values, num_groups):
  """Each group of features, with the axes between, of each frame."""
  outputs = np.empty_like(values, np.float64)
  for place in np.ndindex(values.shape[:2]):
    frame = values[place].astype(np.float64)
    for group in np.split(np.arange(values.shape[-1]), num_groups):
      part = frame[..., group]
      outputs[place][..., group] = (part - part.mean()) / np.sqrt(
        part.var() + norms.EPSILON
      )
  return outputs


@by_shape
@pytest.mark.parametrize('num_groups', [1, 2, 3, 6])
def test_layer_and_group_norm_see_one_frame_at_a_time(shape, num_groups):
  values = random(shape)
  params = {'scale': jnp.arange(1.0, 7), 'bias': jnp.linspace(-1, 1, 6)}
  module = norms.FrameNorm(num_groups=num_groups)
  outputs = module.apply({'params': params}, jnp.asarray(values))
  wanted = frame_norm(values, num_groups)
  wanted = wanted * np.arange(1, 7) + np.linspace(-1, 1, 6)
  np.testing.assert_allclose(outputs, wanted, atol=1e-4)


def test_a_constant_frame_is_normalised_to_zero():
  module = norms.FrameNorm(num_groups=1)
  outputs, _ = module.init_with_output(
    jax.random.key(0), jnp.full((1, 2, 6), 7.0)
  )
  np.testing.assert_array_equal(outputs, 0.0)
