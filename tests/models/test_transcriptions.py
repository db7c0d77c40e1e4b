"""Both models against NumPy written from the papers, logits and gradients.

Gradients are compared with central differences of the NumPy transcription,
in float64, at every single parameter.
"""

import functools

import ctc_in_numpy
import derivatives
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick
import transcription

from fedjax_asr import config
from fedjax_asr.models import ctc, model
from fedjax_asr.speech import alphabets

NUM_FEATURES = 6
LENGTHS = (9, 6, 1)
# A repeat, for which an alignment needs a blank.
LABELS = ([3, 7], [4, 4], [5])


def ds1(**fields):
  settings = {
    'context_frames': 2,
    'dense_sizes': (6, 5, 4),
    'recurrent_size': 3,
    'final_size': 4,
  }
  return config.ModelConfig(
    architecture=config.Architecture.DS1,
    ds1=config.DeepSpeech1Config(**settings | fields),
  )


def ds2(**fields):
  settings = {
    'conv_channels': (4, 2),
    'conv_time_kernels': (5, 2),
    'conv_frequency_kernels': (3, 4),
    'conv_time_strides': (2, 1),
    'conv_frequency_strides': (1, 2),
    'num_recurrent_layers': 2,
    'recurrent_size': 4,
    'num_norm_groups': 2,
  }
  return config.ModelConfig(ds2=config.DeepSpeech2Config(**settings | fields))


CELL, NORM = config.Cell, config.Norm
CASES = {
  'ds1_paper': ds1(time_stride=2),
  'ds1_paper_every_window': ds1(context_frames=1),
  'ds1_mozilla': ds1(cell=CELL.LSTM, bidirectional=False),
  'ds1_gru': ds1(cell=CELL.GRU, time_stride=2),
  'ds2_gru_layer': ds2(),
  'ds2_rnn_batch': ds2(cell=CELL.RNN, norm=NORM.BATCH),
  'ds2_lstm_group_one_way': ds2(
    cell=CELL.LSTM,
    norm=NORM.GROUP,
    # A group of one channel would cancel the convolution's bias.
    conv_channels=(4, 4),
    bidirectional=False,
  ),
  'ds2_rnn_no_norm_one_way': ds2(
    cell=CELL.RNN, norm=NORM.NONE, bidirectional=False
  ),
}
by_case = pytest.mark.parametrize('name', CASES)


@functools.cache
def built(name):
  """(model, params, norm_state), float32 and random throughout."""
  acoustic = model.acoustic(CASES[name], NUM_FEATURES)
  shapes = jax.eval_shape(acoustic.init, jax.random.key(0))
  params, norm_state = derivatives.direction_like(shapes)
  params = jax.tree.map(
    lambda leaf: np.array(leaf) / np.sqrt(max(1, leaf.size / leaf.shape[-1])),
    params,
  )
  if name.startswith('ds1'):
    # A unit that is always cut at 20.
    params['dense_1']['bias'][0] = 40.0
  return acoustic, params, jax.tree.map(np.abs, norm_state)


def speech():
  """Features of the batch, zeros behind each utterance, and lengths."""
  rng = np.random.default_rng(1)
  features = rng.standard_normal((len(LENGTHS), 11, NUM_FEATURES))
  for row, length in zip(features, LENGTHS, strict=True):
    row[length:] = 0
  return jnp.asarray(features, jnp.float32), jnp.asarray(LENGTHS)


def mean_loss(params, acoustic, *inputs):
  """CTC, averaged over the batch."""
  labels = np.zeros((len(LABELS), 2), np.int32)
  for row, sequence in zip(labels, LABELS, strict=True):
    row[: len(sequence)] = sequence
  num_labels = np.array([len(sequence) for sequence in LABELS])
  logits, num_outputs, _ = acoustic.apply(params, *inputs, train=False)
  losses = ctc.loss(
    logits, num_outputs, jnp.asarray(labels), jnp.asarray(num_labels)
  )
  return losses.mean()


def numpy_utterances(features):
  return [
    np.asarray(row, np.float64)[:length]
    for row, length in zip(features, LENGTHS, strict=True)
  ]


def numpy_loss(cfg, params, norm_state, features):
  """Mean over the batch, [...] for parameters with axes [...] ahead."""
  losses = [
    ctc_in_numpy.loss(
      transcription.logits(cfg, params, norm_state, row), labels
    )
    for row, labels in zip(numpy_utterances(features), LABELS, strict=True)
  ]
  return sum(losses) / len(losses)


def slopes(loss, params, index):
  """Central differences along every entry of a leaf, extrapolated.

  Raises:
    AssertionError: the two steps disagree, as where a clipped ReLU has a kink
      between; take another seed.
  """
  leaves, treedef = jax.tree.flatten(params)
  leaf = leaves[index]
  steps = np.array([1e-4, 5e-5])
  moves = np.eye(leaf.size).reshape(leaf.size, *leaf.shape)
  moves = np.multiply.outer(np.multiply.outer(steps, [1, -1]), moves)
  leaves[index] = leaf + moves
  above, below = loss(treedef.unflatten(leaves)).swapaxes(0, 1)
  wide, narrow = (above - below) / (2 * steps[:, None])
  scale = np.abs(narrow).max()
  np.testing.assert_allclose(wide, narrow, rtol=0, atol=1e-4 * scale)
  return ((4 * narrow - wide) / 3).reshape(leaf.shape)


@by_case
def test_logits_equal_the_transcription(name):
  acoustic, params, norm_state = built(name)
  features, num_frames = speech()
  run = quick.jit(acoustic.apply, static_argnames='train')
  logits, counts, _ = run(params, norm_state, features, num_frames, train=False)
  assert logits.dtype == jnp.float32
  assert logits.shape[-1] == alphabets.ENGLISH.size
  weights = transcription.in_float64((params, norm_state))
  for item, row in enumerate(numpy_utterances(features)):
    wanted = transcription.logits(CASES[name], *weights, row)
    assert len(wanted) == counts[item]
    found = logits[item, : len(wanted)]
    np.testing.assert_allclose(
      found, wanted, rtol=0, atol=1e-5 * max(1, np.abs(wanted).max())
    )


@by_case
def test_gradient_equals_finite_differences_of_the_transcription(name):
  acoustic, params, norm_state = built(name)
  features, num_frames = speech()
  weights, averages = transcription.in_float64((params, norm_state))
  with derivatives.float64():
    run = quick.jit(jax.value_and_grad(mean_loss), static_argnums=1)
    found, gradient = run(
      weights,
      acoustic,
      averages,
      transcription.in_float64(features),
      num_frames,
    )

  def loss(moved):
    return numpy_loss(CASES[name], moved, averages, features)

  np.testing.assert_allclose(found, loss(weights), rtol=1e-10)
  for index, (path, slope) in enumerate(jax.tree.leaves_with_path(gradient)):
    where = jax.tree_util.keystr(path)
    wanted = slopes(loss, weights, index)
    # Relative to the largest entry of each array of parameters.
    scale = np.abs(wanted).max()
    assert scale > 1e-5, where
    np.testing.assert_allclose(
      slope, wanted, rtol=0, atol=1e-5 * scale, err_msg=where
    )
