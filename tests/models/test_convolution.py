import functools

import derivatives
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.models import convolution

FLOAT32 = jnp.dtype('float32')
GEOMETRIES = [
  # (time, frequency) kernel, strides, frames, bins.
  ((11, 21), (2, 2), 30, 20),
  ((11, 41), (2, 2), 7, 81),
  ((3, 3), (1, 1), 9, 8),
  ((4, 6), (3, 2), 17, 13),
  ((2, 5), (1, 3), 6, 7),
  ((3, 2), (4, 5), 10, 11),
  ((7, 8), (2, 1), 1, 4),
]


def random(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape)


def banded(kernel, strides, channels=3, dtype=FLOAT32):
  return convolution.BandedConv(
    channels=channels, kernel=kernel, strides=strides, dtype=dtype
  )


def random_params(kernel, seed=0):
  """Kernel and bias for 2 channels in and 3 out."""
  values = random(*kernel, 2, 3, seed=seed), random(3, seed=seed + 100)
  kernel, bias = (jnp.asarray(value, jnp.float32) for value in values)
  return {'kernel': kernel, 'bias': bias}


def explicit_padding(size, kernel, stride):
  """(kernel - 1) // 2 before, and after whatever the last output reaches."""
  before = (kernel - 1) // 2
  outputs = -(-size // stride)
  return before, (outputs - 1) * stride + kernel - before - size


def lax_convolution(params, inputs, strides):
  kernel = params['kernel']
  padding = [
    explicit_padding(*sizes)
    for sizes in zip(inputs.shape[1:3], kernel.shape[:2], strides, strict=True)
  ]
  outputs = jax.lax.conv_general_dilated(
    inputs,
    kernel,
    strides,
    padding,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    precision='highest',
  )
  return outputs + params['bias']


@pytest.mark.parametrize(('kernel', 'strides', 'frames', 'bins'), GEOMETRIES)
def test_equals_lax_convolution_in_value_and_gradient(
  kernel, strides, frames, bins
):
  with derivatives.float64():
    inputs = jnp.asarray(random(2, frames, bins, 2))
    params = derivatives.in_float64(random_params(kernel))
    module = banded(kernel, strides)

    def loss(convolve, params, inputs):
      outputs = convolve(params, inputs)
      weight = jnp.sin(jnp.arange(float(outputs.size)))
      return jnp.sum(weight.reshape(outputs.shape) * outputs), outputs

    def run(convolve):
      both = functools.partial(loss, convolve)
      both = jax.grad(both, argnums=(0, 1), has_aux=True)
      return jax.jit(both)(params, inputs)

    own = run(lambda params, x: module.apply({'params': params}, x))
    wanted = run(lambda params, x: lax_convolution(params, x, strides))
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10, strict=True),
      own,
      wanted,
    )


@pytest.mark.parametrize(('kernel', 'strides', 'frames', 'bins'), GEOMETRIES)
def test_taps_as_slices_are_taps_as_a_gather(kernel, strides, frames, bins):
  """Linear, so in direction x the tangent is the value, made another way."""
  inputs = jnp.asarray(random(2, frames, bins), jnp.float32)
  value, tangent = jax.jvp(
    lambda x: convolution.time_taps(x, kernel[0], strides[0]),
    (inputs,),
    (inputs,),
  )
  np.testing.assert_array_equal(value, tangent)
  assert jnp.abs(value).max() > 0


def test_equals_flax_convolution_with_the_same_parameters():
  inputs = jnp.asarray(random(2, 15, 21, 2), jnp.float32)
  variables = {'params': random_params((5, 7))}
  reference = nn.Conv(3, (5, 7), (2, 1), padding=((2, 2), (3, 3)))
  with jax.default_matmul_precision('highest'):
    np.testing.assert_allclose(
      jax.jit(banded((5, 7), (2, 1)).apply)(variables, inputs),
      jax.jit(reference.apply)(variables, inputs),
      atol=1e-4,
    )


@pytest.mark.parametrize(
  ('kernel', 'strides', 'frames', 'bins'), GEOMETRIES[1::2]
)
def test_zero_frames_behind_change_no_output(kernel, strides, frames, bins):
  inputs = jnp.asarray(random(2, frames, bins, 2), jnp.float32)
  params = random_params(kernel)
  apply = jax.jit(banded(kernel, strides).apply)
  short = apply({'params': params}, inputs)
  for extra in (1, 6):
    padded = jnp.pad(inputs, ((0, 0), (0, extra), (0, 0), (0, 0)))
    long = apply({'params': params}, padded)
    np.testing.assert_allclose(long[:, : short.shape[1]], short, atol=1e-4)


def test_clients_under_vmap_equal_each_by_itself():
  apply = jax.jit(banded((5, 7), (2, 2)).apply)
  inputs = jnp.asarray(random(3, 2, 12, 10, 2), jnp.float32)
  clients = [random_params((5, 7), seed) for seed in range(3)]
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *clients)
  together = jax.vmap(apply)({'params': stacked}, inputs)
  for client, params in enumerate(clients):
    np.testing.assert_allclose(
      together[client],
      apply({'params': params}, inputs[client]),
      atol=1e-4,
    )


def test_bfloat16_rounds_the_operands_and_nothing_else():
  inputs = jnp.asarray(random(2, 12, 10, 2), jnp.float32)
  module = banded((5, 7), (2, 2), dtype=jnp.dtype('bfloat16'))
  variables = module.init(jax.random.key(0), inputs)
  rounded = [
    jax.tree.map(lambda x: x.astype('bfloat16').astype('float32'), x)
    for x in (variables['params'], inputs)
  ]
  value = module.apply(variables, inputs)
  assert value.dtype == jnp.float32
  np.testing.assert_allclose(
    value, lax_convolution(*rounded, (2, 2)), atol=1e-5
  )


@pytest.mark.parametrize('strides', [(2, 2), (3, 1, 2), (1,), ()])
def test_frames_after_is_the_length_of_the_outputs(strides):
  for frames in (1, 2, 3, 4, 7, 12, 13):
    values = jax.ShapeDtypeStruct((1, frames, 3, 1), jnp.float32)
    for stride in strides:
      module = banded((3, 3), (stride, 1), channels=1)
      values, _ = jax.eval_shape(
        module.init_with_output, jax.random.key(0), values
      )
    assert convolution.frames_after(frames, strides) == values.shape[1]


def test_frames_after_takes_ints_and_both_kinds_of_arrays():
  lengths = np.array([0, 1, 2, 3, 4, 5, 99, 100])
  wanted = [0, 1, 1, 1, 1, 2, 25, 25]
  after = convolution.frames_after(lengths, (2, 2))
  assert isinstance(after, np.ndarray)
  np.testing.assert_array_equal(after, wanted)
  after = convolution.frames_after(jnp.asarray(lengths), (2, 2))
  assert isinstance(after, jax.Array)
  np.testing.assert_array_equal(after, wanted)
  assert [convolution.frames_after(int(n), (2, 2)) for n in lengths] == wanted
  assert type(convolution.frames_after(5, (2, 2))) is int


@pytest.mark.parametrize('garbage', [1.0, np.inf, np.nan])
def test_zero_padding_clears_value_and_gradient_beyond_the_end(garbage):
  values = np.full((3, 4, 2), garbage, np.float32)
  num_frames = jnp.array([0, 3, 4])
  real = np.arange(4) < np.array([0, 3, 4])[:, None]
  values[real] = 7
  cleared, pull = jax.vjp(
    lambda v: convolution.zero_padding(v, num_frames), jnp.asarray(values)
  )
  np.testing.assert_array_equal(cleared, np.where(real[..., None], values, 0))
  (gradient,) = pull(jnp.full_like(cleared, 2.0))
  np.testing.assert_array_equal(gradient[..., 0], 2.0 * real)


def test_second_gradient_equals_that_of_lax_convolution():
  """Of the gradient's squared norm, as gradient matching takes it."""
  with derivatives.float64():
    inputs = jnp.asarray(random(2, 12, 20, 2))
    params = derivatives.in_float64(random_params((5, 7)))

    def second(convolve):
      def loss(params, inputs):
        return jnp.sum(jnp.sin(convolve(params, inputs)))

      def squared(inputs):
        gradient = jax.grad(loss)(params, inputs)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient))

      return jax.jit(jax.grad(squared))(inputs)

    module = banded((5, 7), (2, 2))
    own = second(lambda params, x: module.apply({'params': params}, x))
    wanted = second(lambda params, x: lax_convolution(params, x, (2, 2)))
    np.testing.assert_allclose(own, wanted, rtol=1e-9, atol=1e-9)
