"""The lookahead convolution against a slow one in NumPy."""

import functools

import derivatives
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick

from fedjax_asr import config, validation
from fedjax_asr.models import lookahead, model

TAU, SIZE = 3, 5
LENGTHS = (9, 6, 2, 1, 0)
CFG = config.DeepSpeech2Config(
  conv_channels=(2,),
  conv_time_kernels=(3,),
  conv_frequency_kernels=(3,),
  conv_time_strides=(2,),
  conv_frequency_strides=(2,),
  num_recurrent_layers=1,
  recurrent_size=4,
  bidirectional=False,
  lookahead=2,
)


def slow(kernel, values, length):
  """r_t = sum_j W_j * h_{t+j}, of one utterance, by the paper."""
  outputs = np.zeros_like(values)
  for t in range(length):
    for j in range(len(kernel)):
      if t + j < length:
        outputs[t] += kernel[j] * values[t + j]
  return outputs


def drawn(num_clients, garbage=0.0):
  """Kernels [clients, ...] and values [clients, batch, ...], in float64."""
  rng = np.random.default_rng(0)
  kernels = rng.normal(size=(num_clients, TAU + 1, SIZE))
  values = rng.normal(size=(num_clients, len(LENGTHS), max(LENGTHS) + 2, SIZE))
  for item, length in enumerate(LENGTHS):
    values[:, item, length:] = garbage
  return kernels, values


def applied(kernel, values):
  module = lookahead.Lookahead(TAU)
  return module.apply(
    {'params': {'kernel': kernel}}, values, jnp.array(LENGTHS)
  )


def wanted(kernels, values):
  return np.array(
    [
      [
        slow(kernel, row, length)
        for row, length in zip(rows, LENGTHS, strict=True)
      ]
      for kernel, rows in zip(kernels, values, strict=True)
    ]
  )


@pytest.mark.parametrize('num_clients', [1, 2])
def test_clients_have_what_the_slow_one_gives(num_clients):
  kernels, values = drawn(num_clients)
  with derivatives.float64():
    got = jax.jit(jax.vmap(applied))(*map(jnp.asarray, (kernels, values)))
  np.testing.assert_allclose(got, wanted(kernels, values), atol=1e-12)
  single = jax.jit(applied)(*(jnp.float32(each[0]) for each in drawn(1)))
  np.testing.assert_allclose(single, wanted(*drawn(1))[0], atol=1e-5)


@pytest.mark.parametrize('garbage', [1e6, np.nan, np.inf])
def test_padding_reaches_neither_values_nor_gradients(garbage):
  def loss(kernel, values):
    outputs = applied(kernel, values)
    return jnp.sin(outputs).sum(), outputs

  run = jax.jit(jax.vmap(jax.grad(loss, (0, 1), has_aux=True)))
  clean, dirty = (
    run(*map(jnp.float32, drawn(2, value))) for value in (0.0, garbage)
  )
  jax.tree.map(np.testing.assert_array_equal, dirty, clean)
  (_, by_values), outputs = clean
  real = np.arange(outputs.shape[2]) < np.array(LENGTHS)[:, None]
  np.testing.assert_array_equal(outputs[:, ~real], 0)
  np.testing.assert_array_equal(by_values[:, ~real], 0)
  assert np.abs(by_values[:, 0, 0]).min() > 0


def test_gradients_are_those_of_finite_differences():
  with derivatives.float64():
    kernel, values = (jnp.asarray(each[0]) for each in drawn(1))

    @jax.jit
    def loss(kernel, values):
      return jnp.sin(applied(kernel, values)).sum()

    slopes = jax.grad(loss, (0, 1))(kernel, values)
    for slope, value, at in (
      (slopes[0], lambda moved: loss(moved, values), kernel),
      (slopes[1], lambda moved: loss(kernel, moved), values),
    ):
      direction = derivatives.direction_like(at)
      np.testing.assert_allclose(
        derivatives.slope(slope, direction),
        derivatives.central_difference(value, at, direction),
        rtol=1e-6,
      )


def test_it_begins_as_the_identity():
  module = lookahead.Lookahead(TAU)
  values = jnp.float32(drawn(1)[1][0])
  variables = module.init(jax.random.key(0), values, jnp.array(LENGTHS))
  assert variables['params']['kernel'].shape == (TAU + 1, SIZE)
  outputs = module.apply(variables, values, jnp.array(LENGTHS))
  np.testing.assert_array_equal(outputs, values)


def test_clients_weights_make_no_grouped_convolution():
  text = jax.jit(jax.vmap(applied)).lower(*map(jnp.float32, drawn(2))).as_text()
  assert 'convolution' not in text


@functools.cache
def built():
  acoustic = model.deepspeech2(CFG, 6)
  shapes = jax.eval_shape(acoustic.init, jax.random.key(0))
  params, norm_state = derivatives.direction_like(shapes)
  return acoustic, params, norm_state


def logits_of(features, num_frames):
  acoustic, params, norm_state = built()
  run = quick.jit(functools.partial(acoustic.apply, train=False))
  return run(params, norm_state, features, num_frames)[0]


def test_a_model_sees_just_so_many_outputs_ahead():
  """Stride 2 and a kernel of 3: output t sees frames to 2 (t + 2) + 1."""
  values = np.random.default_rng(0).normal(size=(1, 20, 6)).astype(np.float32)
  changed = values.copy()
  changed[:, 14:] += 1.0
  before, after = (
    logits_of(each, jnp.array([20])) for each in (values, changed)
  )
  moved = np.abs(np.asarray(before - after)[0]).max(1) > 1e-6
  # The first t with 2 t + 5 >= 14 is 5.
  np.testing.assert_array_equal(np.flatnonzero(moved), np.arange(5, 10))


@pytest.mark.parametrize('garbage', [1e6, np.nan])
def test_logits_of_a_model_do_not_depend_on_padding(garbage):
  values = np.random.default_rng(0).normal(size=(2, 20, 6)).astype(np.float32)
  padded = np.concatenate([values, np.full((2, 6, 6), garbage)], axis=1)
  padded[1, 9:] = garbage
  values[1, 9:] = 0
  lengths = jnp.array([20, 9])
  want, got = logits_of(values, lengths), logits_of(padded, lengths)
  np.testing.assert_allclose(got[:, :10], want, atol=2e-6)
  np.testing.assert_array_equal(got[:, 10:], 0)


def test_parameters_are_counted_by_feature_and_shift():
  _, params, _ = built()
  assert params['lookahead']['kernel'].shape == (3, 4)
  without = CFG.__class__(
    **{name: getattr(CFG, name) for name in CFG.__slots__} | {'lookahead': 0}
  )
  plain = jax.eval_shape(model.deepspeech2(without, 6).init, jax.random.key(0))
  assert 'lookahead' not in plain[0]
  more = model.num_parameters(params) - model.num_parameters(plain[0])
  assert more == 12


def test_a_model_of_both_directions_has_no_use_for_it():
  cfg = config.Config()
  cfg.model.ds2.lookahead = 2
  with pytest.raises(config.ConfigError) as error:
    validation.validate(cfg)
  assert str(error.value) == (
    'config.model.ds2.lookahead=2; want 0 with model.ds2.bidirectional=true, '
    'which sees all that is ahead.'
  )
  cfg.model.ds2.bidirectional = False
  validation.validate(cfg)
