"""CTC against sums over all alignments and against NumPy in float64."""

import itertools

import ctc_in_numpy
import derivatives
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.models import ctc

run = jax.jit(ctc.loss)
gradient = jax.jit(jax.grad(lambda *batch: ctc.loss(*batch).sum()))


def collapsed(path):
  """Repeats merged, then blanks (0) removed."""
  return [symbol for symbol, _ in itertools.groupby(path) if symbol]


def by_all_alignments(logits, labels):
  """-log of the sum over every path that collapses to `labels`."""
  log_probs = ctc_in_numpy.log_softmax(logits)
  frames, vocab = log_probs.shape
  total = sum(
    np.exp(sum(log_probs[t, symbol] for t, symbol in enumerate(path)))
    for path in itertools.product(range(vocab), repeat=frames)
    if collapsed(path) == list(labels)
  )
  return -np.log(total)


def padded(sequences, width=None):
  """(labels, num_labels), padded with zeros."""
  lengths = [len(sequence) for sequence in sequences]
  labels = np.zeros((len(sequences), width or max(lengths)), np.int32)
  for row, sequence in zip(labels, sequences, strict=True):
    row[: len(sequence)] = sequence
  return jnp.asarray(labels), jnp.asarray(lengths)


def random_logits(*shape, seed=0):
  values = np.random.default_rng(seed).normal(0, 2, shape)
  return jnp.asarray(values, jnp.float32)


@pytest.mark.parametrize('frames', [1, 2, 3, 5])
def test_equals_the_sum_over_all_alignments(frames):
  vocab = 3
  sequences = [
    labels
    for size in (1, 2, 3)
    for labels in itertools.product((1, 2), repeat=size)
  ]
  labels, num_labels = padded(sequences)
  logits = random_logits(len(sequences), frames, vocab)
  num_frames = jnp.full(len(sequences), frames)
  losses = run(logits, num_frames, labels, num_labels)
  possible = ctc.feasible(num_frames, labels, num_labels)
  for item, sequence in enumerate(sequences):
    wanted = (
      by_all_alignments(logits[item], sequence) if possible[item] else 0.0
    )
    np.testing.assert_allclose(losses[item], wanted, rtol=2e-5, atol=2e-6)
    repeats = sum(a == b for a, b in itertools.pairwise(sequence))
    assert bool(possible[item]) == (len(sequence) + repeats <= frames)


def realistic():
  """Four utterances of up to 300 frames over the project's 29 symbols."""
  rng = np.random.default_rng(1)
  sequences = [rng.integers(1, 29, n) for n in (60, 40, 1, 25)]
  sequences[3][5:8] = 7
  return random_logits(4, 300, 29), jnp.array([300, 170, 33, 28]), sequences


def test_equals_the_forward_algorithm_in_float64():
  logits, num_frames, sequences = realistic()
  losses = run(logits, num_frames, *padded(sequences))
  assert losses.dtype == jnp.float32
  with derivatives.float64():
    precise = run(
      derivatives.in_float64(logits), num_frames, *padded(sequences)
    )
    assert precise.dtype == jnp.float64
  for item, sequence in enumerate(sequences):
    wanted = ctc_in_numpy.loss(logits[item, : num_frames[item]], sequence)
    np.testing.assert_allclose(losses[item], wanted, rtol=1e-5)
    np.testing.assert_allclose(precise[item], wanted, rtol=1e-10)


def test_gradient_equals_finite_differences_of_the_forward_algorithm():
  logits, num_frames, sequences = realistic()
  slopes = np.asarray(gradient(logits, num_frames, *padded(sequences)))
  direction = np.random.default_rng(2).standard_normal(logits.shape)
  for item, sequence in enumerate(sequences):
    length = int(num_frames[item])
    wanted = derivatives.central_difference(
      lambda values, labels=sequence: ctc_in_numpy.loss(values, labels),
      np.asarray(logits, np.float64)[item, :length],
      direction[item, :length],
    )
    slope = (slopes * direction)[item, :length].sum()
    np.testing.assert_allclose(slope, wanted, rtol=1e-3)
    np.testing.assert_array_equal(slopes[item, length:], 0)


@pytest.mark.parametrize('garbage', [1e30, np.inf, -np.inf, np.nan])
def test_frames_beyond_the_end_do_not_matter(garbage):
  logits, num_frames, sequences = realistic()
  clean = logits, num_frames, *padded(sequences)
  mask = jnp.arange(300) < num_frames[:, None]
  soiled = jnp.where(mask[..., None], logits, garbage)
  dirty = soiled, num_frames, *padded(sequences)
  np.testing.assert_array_equal(run(*dirty), run(*clean))
  np.testing.assert_array_equal(gradient(*dirty), gradient(*clean))


def test_labels_beyond_the_end_do_not_matter():
  logits, num_frames, sequences = realistic()
  labels, num_labels = padded(sequences)
  mask = jnp.arange(labels.shape[1]) < num_labels[:, None]
  soiled = jnp.where(mask, labels, 5)
  np.testing.assert_array_equal(
    run(logits, num_frames, soiled, num_labels),
    run(logits, num_frames, labels, num_labels),
  )


def test_width_of_the_padding_does_not_matter():
  logits, num_frames, sequences = realistic()
  short = run(logits, num_frames, *padded(sequences))
  wider = jnp.pad(logits, ((0, 0), (0, 20), (0, 0)))
  np.testing.assert_allclose(
    run(wider, num_frames, *padded(sequences, 77)), short, rtol=1e-6
  )


# Too few frames, a repeat without room for a blank, no label, no frame.
IMPOSSIBLE = [((1, 2, 3), 2), ((1, 1), 2), ((), 4), ((), 0), ((1,), 0)]


@pytest.mark.parametrize('value', [0.0, np.inf, np.nan])
def test_impossible_utterances_cost_exactly_nothing(value):
  labels, num_labels = padded([labels for labels, _ in IMPOSSIBLE] + [(1, 2)])
  num_frames = jnp.array([frames for _, frames in IMPOSSIBLE] + [4])
  logits = jnp.full((6, 4, 4), value).at[5].set(random_logits(4, 4))
  batch = logits, num_frames, labels, num_labels
  losses, slopes = run(*batch), gradient(*batch)
  np.testing.assert_array_equal(losses[:5], 0.0)
  np.testing.assert_array_equal(slopes[:5], 0.0)
  np.testing.assert_allclose(
    losses[5], by_all_alignments(logits[5], (1, 2)), rtol=1e-5
  )
  assert np.abs(slopes[5]).max() > 0


def test_bfloat16_logits_are_summed_in_float32():
  logits, num_frames, sequences = realistic()
  narrow = logits.astype('bfloat16')
  losses = run(narrow, num_frames, *padded(sequences))
  assert losses.dtype == jnp.float32
  wanted = run(narrow.astype('float32'), num_frames, *padded(sequences))
  np.testing.assert_array_equal(losses, wanted)


def test_min_frames_counts_labels_and_repeats():
  labels, num_labels = padded(
    [(1, 2, 3), (1, 1, 1), (2, 2, 3, 3), (5,), (), (0, 0)]
  )
  np.testing.assert_array_equal(
    ctc.min_frames(labels, num_labels), [3, 5, 6, 1, 0, 3]
  )
