"""When words are said, against all paths there are."""

import itertools

import numpy as np
import pytest

from fedjax_asr.decoding import word_times
from fedjax_asr.speech import alphabets

_VOCAB = 4


def merged(path):
  return [key for key, _ in itertools.groupby(path) if key]


@pytest.mark.parametrize('labels', [[], [1], [2, 2], [1, 2, 1], [3, 3, 3]])
def test_the_forced_path_is_the_likeliest_of_all_that_spell_the_labels(labels):
  rng = np.random.default_rng(len(labels))
  scores = np.log(rng.dirichlet(np.ones(_VOCAB), 6))
  paths = [
    path
    for path in itertools.product(range(_VOCAB), repeat=6)
    if merged(path) == labels
  ]
  want = max(paths, key=lambda path: scores[np.arange(6), path].sum())
  got = word_times.forced_path(scores, np.array(labels, int))
  assert got is not None
  assert tuple(got) == want


def test_what_no_path_spells_has_none():
  uniform = np.log(np.full((2, _VOCAB), 0.25))
  assert word_times.forced_path(uniform, np.array([1, 1])) is None
  assert word_times.forced_path(uniform * np.nan, np.array([1])) is None
  never = np.zeros((3, _VOCAB))
  never[:, 2] = -np.inf
  assert word_times.forced_path(never, np.array([2])) is None


def path_of(text):
  """A letter an output; '_' is the blank."""
  english = alphabets.ENGLISH
  return np.array([0 if c == '_' else english.encode(c)[0] for c in text])


def test_a_word_is_from_its_first_symbol_to_its_last_with_repetitions():
  found = word_times.words(path_of('_aa_bb_ _ c__cc_'), alphabets.ENGLISH)
  assert found == [
    word_times.Word('ab', 1, 6),
    word_times.Word('cc', 10, 15),
  ]


def test_without_spaces_each_symbol_is_a_word():
  alphabet = alphabets.Alphabet(alphabets.Kind.CORPUS, 'xy')
  found = word_times.words(np.array([1, 1, 2, 0, 2]), alphabet)
  assert found == [
    word_times.Word('x', 0, 2),
    word_times.Word('y', 2, 3),
    word_times.Word('y', 4, 5),
  ]


def test_nothing_heard_is_no_word():
  assert word_times.words(np.zeros(5, int), alphabets.ENGLISH) == []
  assert word_times.words(np.zeros(0, int), alphabets.ENGLISH) == []
