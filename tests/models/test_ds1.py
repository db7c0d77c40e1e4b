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

NUM_FEATURES = 4
SMALL = config.DeepSpeech1Config(
  context_frames=2,
  time_stride=2,
  dense_sizes=(6, 5, 7),
  recurrent_size=3,
  final_size=4,
)
LENGTHS = (13, 6, 1, 0)
# The paper's, Mozilla's, and the cell that neither has.
VARIANTS = [
  (config.Cell.RNN, True, 2),
  (config.Cell.LSTM, False, 1),
  (config.Cell.GRU, True, 3),
]
by_variant = pytest.mark.parametrize(
  ('cell', 'bidirectional', 'time_stride'), VARIANTS
)


def built(seed=0, **changes):
  """(model, params) with random values throughout, biases among them."""
  changes = {k: v for k, v in changes.items() if v != getattr(SMALL, k)}
  return _built(seed, **changes)


@functools.cache
def _built(seed, **changes):
  acoustic = model.deepspeech1(
    dataclasses.replace(SMALL, **changes), NUM_FEATURES
  )
  shapes, norm_state = jax.eval_shape(acoustic.init, jax.random.key(0))
  assert norm_state == {}
  params = derivatives.direction_like(shapes, seed)
  scaled = jax.tree.map(
    lambda leaf: leaf / np.sqrt(max(1, leaf.size / leaf.shape[-1])), params
  )
  return acoustic, scaled


@functools.cache
def forward(acoustic, train=False):
  """Compiled: (params, features, num_frames, key) -> (logits, counts)."""

  def apply(params, features, num_frames, key=None):
    return acoustic.apply(
      params, {}, features, num_frames, train=train, key=key
    )[:2]

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
def test_logits_do_not_depend_on_padding_or_company(
  cell, bidirectional, time_stride
):
  acoustic, params = built(
    cell=cell, bidirectional=bidirectional, time_stride=time_stride
  )
  run = functools.partial(forward(acoustic), params)
  features, num_frames = speech()
  logits, counts = run(features, num_frames)
  wanted = [-(-length // time_stride) for length in LENGTHS]
  np.testing.assert_array_equal(counts, wanted)
  real = np.arange(logits.shape[1]) < np.asarray(counts)[:, None]
  np.testing.assert_array_equal(logits[~real], 0.0)
  assert np.abs(logits[real]).min() > 0
  alone, _ = run(features, num_frames.at[0].set(0))
  np.testing.assert_array_equal(alone[0], 0.0)
  np.testing.assert_allclose(alone[1:], logits[1:], atol=2e-6)
  for garbage in (1e6, np.inf, np.nan):
    padded, _ = run(*speech(frames=19, garbage=garbage))
    np.testing.assert_allclose(padded[:, : logits.shape[1]], logits, atol=2e-6)
    np.testing.assert_array_equal(padded[:, logits.shape[1] :], 0.0)


def test_each_length_of_a_batch_has_the_logits_it_has_alone():
  acoustic, params = built()
  lengths = (9, 6, 1)
  features, num_frames = speech(lengths)
  run = functools.partial(forward(acoustic), params)
  logits, counts = run(features, num_frames)
  for item, length in enumerate(lengths):
    alone, count = run(
      features[item : item + 1, :length], num_frames[item : item + 1]
    )
    assert alone.shape[1] == count[0] == counts[item]
    np.testing.assert_allclose(logits[item, : count[0]], alone[0], atol=2e-6)


def test_output_frames_are_every_so_many_th_window():
  for stride in (1, 2, 3):
    acoustic, params = built(time_stride=stride)
    for frames in (1, 6, 7):
      logits, counts, _ = jax.eval_shape(
        functools.partial(acoustic.apply, train=False),
        params,
        {},
        jnp.zeros((2, frames, NUM_FEATURES)),
        jnp.full(2, frames),
      )
      wanted = len(range(0, frames, stride))
      assert logits.shape == (2, wanted, 29)
      assert counts.shape == (2,)
      assert acoustic.num_output_frames(frames) == wanted


def test_directions_share_their_input_weights():
  """Then, with equal recurrent weights too, time can be reversed."""
  acoustic, params = built(context_frames=0, time_stride=1)
  layer = params['recurrent']
  kernel = jnp.stack([layer['recurrent_kernel'][0]] * 2)
  params = params | {'recurrent': layer | {'recurrent_kernel': kernel}}
  features, num_frames = speech((9, 9))
  run = functools.partial(forward(acoustic), params)
  logits, _ = run(features, num_frames)
  backwards, _ = run(features[:, ::-1], num_frames)
  np.testing.assert_allclose(backwards[:, ::-1], logits, atol=2e-6)
  assert np.abs(backwards - logits).max() > 0.1


@by_variant
def test_parameters_have_these_names_and_shapes(
  cell, bidirectional, time_stride
):
  _, params = built(
    cell=cell, bidirectional=bidirectional, time_stride=time_stride
  )
  gates = {'gru': 9, 'lstm': 12, 'rnn': 3}[cell]
  assert jax.tree.map(lambda leaf: leaf.shape, params) == {
    'dense_0': {'kernel': (5 * NUM_FEATURES, 6), 'bias': (6,)},
    'dense_1': {'kernel': (6, 5), 'bias': (5,)},
    'dense_2': {'kernel': (5, 7), 'bias': (7,)},
    'recurrent': {
      'input': {'kernel': (7, gates), 'bias': (gates,)},
      'recurrent_kernel': (1 + bidirectional, 3, gates),
    },
    'final': {'kernel': (3, 4), 'bias': (4,)},
    'output': {'kernel': (4, 29), 'bias': (29,)},
  }


def biases(**changes):
  """All that a fresh model starts with, as one array."""
  cfg = dataclasses.replace(
    SMALL, cell=config.Cell.LSTM, recurrent_size=16, **changes
  )
  acoustic = model.deepspeech1(cfg, NUM_FEATURES)
  params, _ = quick.jit(acoustic.init)(jax.random.key(0))
  named = jax.tree.leaves_with_path(params)
  found = [x for path, x in named if path[-1].key == 'bias']
  assert len(found) == 6
  kernels = [x for path, x in named if path[-1].key != 'bias']
  assert all(np.abs(kernel).min() > 0 for kernel in kernels)
  return np.concatenate(found)


def test_biases_start_at_zero():
  np.testing.assert_array_equal(biases(), 0.0)


def test_biases_start_with_the_deviation_asked_for():
  found = biases(bias_stddev=0.5)
  assert len(np.unique(found)) == found.size
  np.testing.assert_allclose(found.std(), 0.5, rtol=0.2)
  np.testing.assert_allclose(found.mean(), 0.0, atol=0.15)


def test_dropout_on_real_frames_does_not_depend_on_padded_length():
  acoustic, params = built(dropout=0.5)
  run = functools.partial(forward(acoustic, train=True), params)
  key = jax.random.key(5)
  logits, _ = run(*speech(), key)
  padded, _ = run(*speech(frames=19, garbage=np.nan), key)
  np.testing.assert_allclose(padded[:, : logits.shape[1]], logits, atol=2e-6)
  again, _ = run(*speech(), key)
  np.testing.assert_array_equal(again, logits)
  other, _ = run(*speech(), jax.random.key(6))
  assert not np.allclose(other, logits)


def test_dropout_is_off_in_evaluation():
  with_dropout, params = built(dropout=0.5)
  without, _ = built()
  np.testing.assert_array_equal(
    forward(with_dropout)(params, *speech())[0],
    forward(without)(params, *speech())[0],
  )


def ctc_loss(logits, num_outputs):
  """Of utterances of two, two, one and no labels."""
  labels = jnp.array([[3, 7], [4, 4], [5, 0], [0, 0]])
  return ctc.loss(logits, num_outputs, labels, jnp.array([2, 2, 1, 0])).sum()


@functools.cache
def gradients(cell, bidirectional):
  """Compiled: (params, features) -> (loss, gradients by both, second).

  The second is of the squared norm of the parameters' gradient with respect
  to the features: what an attack by gradient matching follows.
  """
  acoustic, _ = built(cell=cell, bidirectional=bidirectional)

  def loss(params, features):
    logits, num_outputs, _ = acoustic.apply(
      params, {}, features, jnp.asarray(LENGTHS), train=True
    )
    return ctc_loss(logits, num_outputs)

  def matching(features, params):
    gradient = jax.grad(loss)(params, features)
    return derivatives.slope(gradient, gradient)

  def run(params, features):
    first = jax.value_and_grad(loss, (0, 1))(params, features)
    return first, jax.value_and_grad(matching)(features, params)

  return quick.jit(run)


by_paper = pytest.mark.parametrize(
  ('cell', 'bidirectional'),
  [(config.Cell.RNN, True), (config.Cell.LSTM, False)],
)


@by_paper
def test_both_derivatives_equal_finite_differences(cell, bidirectional):
  _, params = built(cell=cell, bidirectional=bidirectional)
  with derivatives.float64():
    run = gradients(cell, bidirectional)
    params, (features, _) = derivatives.in_float64((params, speech()))
    (loss, (_, by_features)), (_, second) = run(params, features)
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


@by_paper
@pytest.mark.parametrize('garbage', [1e6, np.nan])
def test_padding_reaches_neither_derivative(cell, bidirectional, garbage):
  _, params = built(cell=cell, bidirectional=bidirectional)
  with derivatives.float64():
    run = gradients(cell, bidirectional)
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


def test_clients_with_models_of_their_own_are_vmapped_one_by_one():
  acoustic, _ = built()
  clients = [built(seed)[1] for seed in range(3)]
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *clients)
  features, num_frames = speech()
  batches = jnp.stack([features * scale for scale in (1.0, 0.5, -1.0)])

  def gradient(params, features):
    def loss(params):
      logits, *_ = acoustic.apply(params, {}, features, num_frames, train=True)
      return jnp.sin(logits).sum(), logits

    return jax.grad(loss, has_aux=True)(params)

  together = quick.jit(jax.vmap(gradient))(stacked, batches)
  alone = quick.jit(gradient)
  for index, params in enumerate(clients):
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
      jax.tree.map(lambda leaf, i=index: leaf[i], together),
      alone(params, batches[index]),
    )


@by_variant
def test_bfloat16_is_close_and_gives_float32(cell, bidirectional, time_stride):
  variant = {
    'cell': cell,
    'bidirectional': bidirectional,
    'time_stride': time_stride,
  }
  acoustic, params = built(**variant)
  wide, _ = forward(acoustic)(params, *speech())
  narrow_acoustic, _ = built(**variant, dtype=config.Dtype.BFLOAT16)
  narrow, _ = forward(narrow_acoustic)(params, *speech())
  assert narrow.dtype == wide.dtype == jnp.float32
  difference = np.abs(narrow - wide).max()
  assert 0 < difference < 0.05 * np.abs(wide).max()
