import itertools

import jax.numpy as jnp
import numpy as np

from fedjax_asr.decoding import greedy
from fedjax_asr.speech import alphabets


def logits_of(paths, vocab=alphabets.ENGLISH.size):
  """Logits whose likeliest symbols are these."""
  noise = np.random.default_rng(0).uniform(0, 1, (*paths.shape, vocab))
  return jnp.asarray(noise + 2 * np.eye(vocab)[paths], jnp.float32)


def test_paths_collapse_to_what_python_collapses_them_to():
  # Three symbols, so that repeats and blanks between them are frequent.
  paths = np.random.default_rng(1).integers(0, 3, (64, 12))
  num_frames = np.random.default_rng(2).integers(0, 13, 64)
  decoded = greedy.path(logits_of(paths), jnp.asarray(num_frames))
  for row, path, length in zip(
    np.asarray(decoded), paths, num_frames, strict=True
  ):
    wanted = [s for s, _ in itertools.groupby(path[:length]) if s]
    assert list(row[row != alphabets.BLANK]) == wanted


def test_transcripts_read_the_labels():
  spelled = ['hello', "it's a bee", '']
  paths = np.zeros((3, 25), int)
  for row, words in zip(paths, spelled, strict=True):
    # A blank behind each symbol keeps the double letters.
    row[: 2 * len(words) : 2] = alphabets.ENGLISH.encode(words)
  decoded = greedy.path(logits_of(paths), jnp.full(3, 25))
  assert greedy.transcripts(np.asarray(decoded), alphabets.ENGLISH) == spelled


def test_frames_beyond_the_end_do_not_matter():
  paths = np.random.default_rng(3).integers(0, 29, (3, 10))
  num_frames = jnp.array([0, 4, 10])
  logits = logits_of(paths)
  mask = np.arange(10) < np.array([0, 4, 10])[:, None]
  soiled = jnp.where(mask[..., None], logits, jnp.nan)
  np.testing.assert_array_equal(
    greedy.path(soiled, num_frames),
    greedy.path(logits, num_frames),
  )


def test_a_repeat_is_one_letter_and_a_blank_between_makes_two():
  (b,) = alphabets.ENGLISH.encode('b')
  paths = np.array(
    [[b, b, b], [b, alphabets.BLANK, b], [alphabets.BLANK, b, b]]
  )
  decoded = greedy.path(logits_of(paths), jnp.full(3, 3))
  assert greedy.transcripts(np.asarray(decoded), alphabets.ENGLISH) == [
    'b',
    'bb',
    'b',
  ]
