"""Models along a stream, against the same models on the whole of it."""

import dataclasses
import functools

import derivatives
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick

from fedjax_asr import config
from fedjax_asr.models import model, norms, streaming

NUM_FEATURES = 6
DS2 = config.DeepSpeech2Config(
  conv_channels=(3, 2),
  conv_time_kernels=(5, 4),
  conv_frequency_kernels=(3, 3),
  conv_time_strides=(2, 2),
  conv_frequency_strides=(2, 1),
  num_recurrent_layers=2,
  recurrent_size=4,
  num_norm_groups=1,
  bidirectional=False,
)
DS1 = config.DeepSpeech1Config(
  context_frames=3,
  time_stride=2,
  dense_sizes=(5, 4, 5),
  cell=config.Cell.LSTM,
  recurrent_size=4,
  final_size=5,
  bidirectional=False,
)


def of_ds2(**changes):
  section = dataclasses.replace(DS2, **changes)
  return config.ModelConfig(ds2=section)


MODELS = {
  'gru, layer norm, lookahead': of_ds2(lookahead=3),
  'lstm, batch norm': of_ds2(cell=config.Cell.LSTM, norm=config.Norm.BATCH),
  'rnn, group norm, far': of_ds2(
    cell=config.Cell.RNN, norm=config.Norm.GROUP, lookahead=20
  ),
  'strides over kernels': of_ds2(
    conv_time_kernels=(2, 1), conv_time_strides=(3, 2), lookahead=1
  ),
  'one convolution': of_ds2(
    conv_channels=(3,),
    conv_time_kernels=(11,),
    conv_frequency_kernels=(3,),
    conv_time_strides=(1,),
    conv_frequency_strides=(2,),
  ),
  'ds1': config.ModelConfig(architecture=config.Architecture.DS1, ds1=DS1),
}


@functools.cache
def built(name):
  acoustic = model.acoustic(MODELS[name], NUM_FEATURES)
  shapes = jax.eval_shape(acoustic.init, jax.random.key(0))
  params, norm_state = derivatives.direction_like(shapes)
  params = jax.tree.map(
    lambda leaf: leaf / np.sqrt(max(1, leaf.size / leaf.shape[-1])), params
  )
  # Else all units of a convolution may be cut off at zero.
  params = jax.tree_util.tree_map_with_path(
    lambda path, leaf: jnp.abs(leaf) if norms.is_norm(path) else leaf, params
  )
  return acoustic, params, jax.tree.map(jnp.abs, norm_state)


def speech(num_frames):
  rng = np.random.default_rng(num_frames)
  return rng.normal(size=(num_frames, NUM_FEATURES)).astype(np.float32)


@functools.cache
def forward(name):
  return quick.jit(functools.partial(built(name)[0].apply, train=False))


def whole(name, values):
  _, params, norm_state = built(name)
  padded = np.zeros((1, 144, NUM_FEATURES), np.float32)
  padded[0, : len(values)] = values
  logits, num_outputs, _ = forward(name)(
    params, norm_state, padded, np.array([len(values)])
  )
  return np.asarray(logits[0, : num_outputs[0]])


@functools.cache
def stepper(name, chunk_outputs):
  made = streaming.streaming(MODELS[name], NUM_FEATURES, 29, chunk_outputs)
  return made, quick.jit(made.step)


def streamed(name, values, chunk_outputs, knows_end=False):
  """Logits by steps; what stands behind the end is NaN."""
  made, step = stepper(name, chunk_outputs)
  _, params, norm_state = built(name)
  carry, found, size = made.start(), [], made.chunk_frames
  end = jnp.int32(len(values))
  for start in range(0, len(values) + (made.delay + 1) * made.stride, size):
    chunk = np.full((size, NUM_FEATURES), np.nan, np.float32)
    piece = values[start : start + size]
    chunk[: len(piece)] = piece
    is_known = knows_end or start + size > len(values)
    num_frames = end if is_known else jnp.int32(streaming.ENDLESS)
    outputs, carry = step(params, norm_state, chunk, num_frames, carry)
    found.append(np.asarray(outputs.logits)[np.asarray(outputs.is_real)])
  return np.concatenate(found)


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize('chunk_outputs', [1, 7])
def test_steps_give_the_logits_of_the_whole(name, chunk_outputs):
  for num_frames in (1, 2, 5, 41, 64):
    values = speech(num_frames)
    got = streamed(name, values, chunk_outputs)
    if num_frames == 64:
      assert np.ptp(got, axis=0).max() > 0.01
    np.testing.assert_allclose(
      got, whole(name, values), atol=3e-6, err_msg=f'{num_frames} frames'
    )


def test_one_chunk_may_hold_all():
  values = speech(90)
  name = 'gru, layer norm, lookahead'
  got = streamed(name, values, 100)
  np.testing.assert_allclose(got, whole(name, values), atol=3e-6)


def test_it_makes_no_difference_when_the_end_is_known():
  values, name = speech(41), 'rnn, group norm, far'
  np.testing.assert_array_equal(
    streamed(name, values, 2, knows_end=True), streamed(name, values, 2)
  )


@pytest.mark.parametrize('name', MODELS)
def test_an_output_comes_as_soon_as_what_it_sees_is_there(name):
  """By what moves the logits of the whole, and by what a step needs."""
  made, _ = stepper(name, 1)
  values, rng = speech(140), np.random.default_rng(0)
  before, at = whole(name, values), 3 * made.stride
  changed = values.copy()
  seen = at + made.ahead + made.lookahead
  changed[seen + 1 :] = 3.0
  np.testing.assert_allclose(whole(name, changed)[3], before[3], atol=1e-6)
  # One value may be lost where an activation is clipped.
  moved = []
  for _ in range(20):
    changed[seen] = rng.normal(0, 5, NUM_FEATURES)
    moved.append(np.abs(whole(name, changed)[3] - before[3]).max())
  assert max(moved) > 1e-6
  # A step later than that, rounded to strides in each layer, at most.
  needed = -(-(made.ahead + made.lookahead - made.stride + 1) // made.stride)
  assert needed <= made.delay <= needed + len(built(name)[1])


def test_a_model_of_both_directions_is_refused():
  for cfg, field in (
    (of_ds2(bidirectional=True), 'model.ds2.bidirectional=true'),
    (
      config.ModelConfig(architecture=config.Architecture.DS1),
      'model.ds1.bidirectional=true',
    ),
  ):
    with pytest.raises(config.ConfigError, match='want false') as error:
      streaming.streaming(cfg, NUM_FEATURES, 29, 1)
    assert str(error.value).startswith(field)


def test_bfloat16_is_that_of_the_whole(monkeypatch):
  cfg = of_ds2(lookahead=3, dtype=config.Dtype.BFLOAT16)
  monkeypatch.setitem(MODELS, 'bfloat16', cfg)
  values = speech(41)
  got = streamed('bfloat16', values, 3)
  np.testing.assert_allclose(got, whole('bfloat16', values), atol=2e-2)
