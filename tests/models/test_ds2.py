import dataclasses
import functools

import derivatives
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick

from fedjax_asr import config
from fedjax_asr.models import ctc, model

NUM_FEATURES = 10
SMALL = config.DeepSpeech2Config(
  conv_channels=(4, 2),
  conv_time_kernels=(5, 3),
  conv_frequency_kernels=(3, 4),
  conv_time_strides=(2, 1),
  conv_frequency_strides=(2, 2),
  num_recurrent_layers=2,
  recurrent_size=4,
  num_norm_groups=2,
)
LENGTHS = (13, 6, 1, 0)
# Each cell in each direction, and each norm.
VARIANTS = [
  (config.Cell.GRU, config.Norm.LAYER, True),
  (config.Cell.GRU, config.Norm.BATCH, False),
  (config.Cell.LSTM, config.Norm.GROUP, True),
  (config.Cell.LSTM, config.Norm.NONE, False),
  (config.Cell.RNN, config.Norm.BATCH, True),
  (config.Cell.RNN, config.Norm.LAYER, False),
]
by_variant = pytest.mark.parametrize(
  ('cell', 'norm', 'bidirectional'), VARIANTS
)


@functools.cache
def built(**changes):
  """(model, params, norm_state) with random values throughout.

  Drawn by NumPy: an initialisation takes seconds to compile.
  """
  cfg = dataclasses.replace(SMALL, **changes)
  acoustic = model.deepspeech2(cfg, NUM_FEATURES)
  shapes = jax.eval_shape(acoustic.init, jax.random.key(0))
  params, norm_state = derivatives.direction_like(shapes)
  params = jax.tree.map(
    lambda leaf: leaf / np.sqrt(max(1, leaf.size / leaf.shape[-1])), params
  )
  return acoustic, params, jax.tree.map(jnp.abs, norm_state)


@functools.cache
def forward(acoustic, train=False):
  """Compiled: (params, norm_state, features, num_frames, key) -> outputs."""

  def apply(params, norm_state, features, num_frames, key=None):
    return acoustic.apply(
      params, norm_state, features, num_frames, train=train, key=key
    )

  return quick.jit(apply)


def speech(lengths=LENGTHS, frames=None, garbage=0.0):
  """Features whose padding is garbage, and their lengths."""
  rng = np.random.default_rng(0)
  shape = (len(lengths), frames or max(lengths), NUM_FEATURES)
  features = np.full(shape, garbage, np.float32)
  for row, length in zip(features, lengths, strict=True):
    row[:length] = rng.standard_normal((length, NUM_FEATURES))
  return jnp.asarray(features), jnp.asarray(lengths)


@by_variant
def test_logits_do_not_depend_on_padding_or_company(cell, norm, bidirectional):
  acoustic, params, norm_state = built(
    cell=cell, norm=norm, bidirectional=bidirectional
  )
  run = functools.partial(forward(acoustic), params, norm_state)
  features, num_frames = speech()
  logits, num_outputs, _ = run(features, num_frames)
  np.testing.assert_array_equal(
    num_outputs, acoustic.num_output_frames(num_frames)
  )
  real = np.arange(logits.shape[1]) < np.asarray(num_outputs)[:, None]
  np.testing.assert_array_equal(logits[~real], 0.0)
  alone, *_ = run(features, num_frames.at[0].set(0))
  np.testing.assert_array_equal(alone[0], 0.0)
  np.testing.assert_allclose(alone[1:], logits[1:], atol=2e-6)
  for garbage in (1e6, np.nan):
    padded, _, _ = run(*speech(frames=19, garbage=garbage))
    np.testing.assert_allclose(padded[:, : logits.shape[1]], logits, atol=2e-6)
    np.testing.assert_array_equal(padded[:, logits.shape[1] :], 0.0)


def test_each_length_of_a_batch_has_the_logits_it_has_alone():
  acoustic, params, norm_state = built()
  lengths = (9, 6, 1)
  features, num_frames = speech(lengths)
  run = functools.partial(forward(acoustic), params, norm_state)
  logits, num_outputs, _ = run(features, num_frames)
  for item, length in enumerate(lengths):
    alone, count, _ = run(
      features[item : item + 1, :length], num_frames[item : item + 1]
    )
    assert alone.shape[1] == count[0] == num_outputs[item]
    np.testing.assert_allclose(logits[item, : count[0]], alone[0], atol=2e-6)


def num_parameters(cfg):
  """Closed form: kernels and biases, a scale and a bias for each norm."""
  normed = cfg.norm is not config.Norm.NONE
  total, bins, channels = 0, NUM_FEATURES, 1
  for index, width in enumerate(cfg.conv_channels):
    taps = cfg.conv_time_kernels[index] * cfg.conv_frequency_kernels[index]
    total += taps * channels * width + width + 2 * width * normed
    bins = -(-bins // cfg.conv_frequency_strides[index])
    channels = width
  inputs = bins * channels
  gates = {'gru': 3, 'lstm': 4, 'rnn': 1}[cfg.cell]
  for _ in range(cfg.num_recurrent_layers):
    units = (1 + cfg.bidirectional) * gates * cfg.recurrent_size
    total += inputs * units + cfg.recurrent_size * units + units
    total += 2 * units * normed
    inputs = cfg.recurrent_size
  return total + inputs * 29 + 29


@by_variant
def test_number_of_parameters_has_a_closed_form(cell, norm, bidirectional):
  cfg = dataclasses.replace(
    SMALL, cell=cell, norm=norm, bidirectional=bidirectional
  )
  acoustic = model.deepspeech2(cfg, NUM_FEATURES)
  params, norm_state = jax.eval_shape(acoustic.init, jax.random.key(0))
  assert model.num_parameters(params) == num_parameters(cfg)
  assert bool(norm_state) == (norm is config.Norm.BATCH)


def test_parameters_have_these_names_and_shapes():
  acoustic, *_ = built(norm=config.Norm.BATCH)
  params, norm_state = jax.tree.map(
    lambda leaf: leaf.shape,
    jax.eval_shape(acoustic.init, jax.random.key(0)),
  )
  layer = {
    'bias': (2, 12),
    'norm': {'bias': (24,), 'scale': (24,)},
    'recurrent_kernel': (2, 4, 12),
  }
  assert params == {
    'conv_0': {'kernel': (5, 3, 1, 4), 'bias': (4,)},
    'conv_norm_0': {'bias': (4,), 'scale': (4,)},
    'conv_1': {'kernel': (3, 4, 4, 2), 'bias': (2,)},
    'conv_norm_1': {'bias': (2,), 'scale': (2,)},
    'recurrent_0': layer | {'input_kernel': (6, 24)},
    'recurrent_1': layer | {'input_kernel': (4, 24)},
    'output': {'kernel': (4, 29), 'bias': (29,)},
  }
  averages = {'mean': (24,), 'variance': (24,)}
  assert norm_state == {
    'conv_norm_0': {'mean': (4,), 'variance': (4,)},
    'conv_norm_1': {'mean': (2,), 'variance': (2,)},
    'recurrent_0': {'norm': averages},
    'recurrent_1': {'norm': averages},
  }


def ctc_loss(logits, num_outputs):
  """Of utterances of two, two, one and no labels."""
  labels = jnp.array([[3, 7], [4, 4], [5, 0], [0, 0]])
  return ctc.loss(logits, num_outputs, labels, jnp.array([2, 2, 1, 0])).sum()


@functools.cache
def gradients():
  """Compiled: (params, features) -> (loss, gradients by both, second).

  The second is of the squared norm of the parameters' gradient with respect
  to the features: what an attack by gradient matching follows.
  """
  acoustic, _, norm_state = built()

  def loss(params, features):
    logits, num_outputs, _ = acoustic.apply(
      params, norm_state, features, jnp.asarray(LENGTHS), train=True
    )
    return ctc_loss(logits, num_outputs)

  def matching(features, params):
    gradient = jax.grad(loss)(params, features)
    return derivatives.slope(gradient, gradient)

  def run(params, features):
    first = jax.value_and_grad(loss, (0, 1))(params, features)
    return first, jax.value_and_grad(matching)(features, params)

  return quick.jit(run)


def test_both_derivatives_equal_finite_differences():
  _, params, _ = built()
  with derivatives.float64():
    run = gradients()
    params, (features, _) = derivatives.in_float64((params, speech()))
    (loss, (by_params, by_features)), (_, second) = run(params, features)
    assert loss.dtype == second.dtype == jnp.float64
    for slope, value in (
      (by_features, lambda moved: run(params, moved)[0][0]),
      (second, lambda moved: run(params, moved)[1][0]),
    ):
      direction = derivatives.direction_like(features)
      np.testing.assert_allclose(
        derivatives.slope(slope, direction),
        derivatives.central_difference(value, features, direction),
        rtol=1e-5,
      )
    direction = derivatives.direction_like(params)
    np.testing.assert_allclose(
      derivatives.slope(by_params, direction),
      derivatives.central_difference(
        lambda moved: run(moved, features)[0][0], params, direction
      ),
      rtol=1e-5,
    )


@pytest.mark.parametrize('garbage', [1e6, np.nan])
def test_padding_reaches_neither_derivative(garbage):
  _, params, _ = built()
  with derivatives.float64():
    run = gradients()
    params = derivatives.in_float64(params)
    clean, dirty = (
      run(params, derivatives.in_float64(speech(garbage=value)[0]))
      for value in (0.0, garbage)
    )
    jax.tree.map(np.testing.assert_array_equal, dirty, clean)
    (_, (_, by_features)), (_, second) = clean
  real = np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]
  for slope in (by_features, second):
    np.testing.assert_array_equal(slope[~real], 0.0)
    assert np.abs(slope[0]).max() > 1e-6


def test_batch_norm_while_training_does_not_see_padding():
  acoustic, params, norm_state = built(norm=config.Norm.BATCH)

  @quick.jit
  @functools.partial(jax.grad, has_aux=True)
  def run(params, features, num_frames):
    logits, _, state = acoustic.apply(
      params, norm_state, features, num_frames, train=True
    )
    return jnp.sin(logits).sum(), (logits, state)

  slopes, (logits, state) = run(params, *speech())
  padded = run(params, *speech(frames=19, garbage=np.nan))
  padded_slopes, (padded_logits, padded_state) = padded
  width = logits.shape[1]
  np.testing.assert_allclose(padded_logits[:, :width], logits, atol=1e-5)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
    (padded_state, padded_slopes),
    (state, slopes),
  )
  moved = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), state, norm_state)
  assert min(jax.tree.leaves(moved)) > 0


@pytest.mark.parametrize('cell', list(config.Cell))
def test_bfloat16_is_close_and_gives_float32(cell):
  acoustic, params, norm_state = built(cell=cell)
  wide, *_ = forward(acoustic)(params, norm_state, *speech())
  narrow_acoustic, *_ = built(cell=cell, dtype=config.Dtype.BFLOAT16)
  narrow, *_ = forward(narrow_acoustic)(params, norm_state, *speech())
  assert narrow.dtype == wide.dtype == jnp.float32
  difference = np.abs(narrow - wide).max()
  assert 0 < difference < 0.05 * np.abs(wide).max()


def test_dropout_on_real_frames_does_not_depend_on_padded_length():
  acoustic, params, norm_state = built(dropout=0.5)
  run = functools.partial(forward(acoustic, train=True), params, norm_state)
  key = jax.random.key(5)
  logits, *_ = run(*speech(), key)
  padded, *_ = run(*speech(frames=19, garbage=np.nan), key)
  np.testing.assert_allclose(padded[:, : logits.shape[1]], logits, atol=2e-6)
  other, *_ = run(*speech(), jax.random.key(6))
  assert not np.allclose(other, logits)


def test_dropout_is_off_in_evaluation():
  with_dropout, params, norm_state = built(dropout=0.5)
  without, *_ = built()
  np.testing.assert_array_equal(
    forward(with_dropout)(params, norm_state, *speech())[0],
    forward(without)(params, norm_state, *speech())[0],
  )


def test_output_frames_are_what_the_convolutions_leave():
  cfg = dataclasses.replace(SMALL, conv_time_strides=(2, 3))
  acoustic = model.deepspeech2(cfg, NUM_FEATURES)
  params, norm_state = jax.eval_shape(acoustic.init, jax.random.key(0))
  for frames in (1, 2, 3, 6, 7, 12, 13):
    logits, num_outputs, _ = jax.eval_shape(
      functools.partial(acoustic.apply, train=False),
      params,
      norm_state,
      jnp.zeros((2, frames, NUM_FEATURES)),
      jnp.full(2, frames),
    )
    assert logits.shape[1] == acoustic.num_output_frames(frames)
    assert num_outputs.shape == (2,)
