"""Voices with planted covariances."""

import numpy as np
import pytest
import scipy.stats

from fedjax_asr.attacks.sums import voice_evidence


def _speech(rng, num_speakers, each, spread):
  """Frames about a mean of the speaker's own."""
  said, names = [], []
  for speaker in range(num_speakers):
    mean = spread * rng.standard_normal(5)
    for _ in range(each):
      said.append(mean + rng.standard_normal((60, 5)))
      names.append(f's{speaker}')
  return said, names


def test_pairs_of_a_voice_are_told_from_others():
  rng = np.random.default_rng(0)
  voices = voice_evidence.fitted(*_speech(rng, 30, 6, 1.0))
  said, names = _speech(rng, 10, 4, 1.0)
  ratios = voice_evidence.log_likelihood_ratios(voices, said)
  rows, columns = np.triu_indices(len(said), 1)
  same = np.array(names)[rows] == np.array(names)[columns]
  values = ratios[rows, columns]
  assert np.mean(values[same] > 0) > 0.95
  assert np.mean(values[~same] < 0) > 0.95


def test_voices_that_are_alike_say_next_to_nothing():
  rng = np.random.default_rng(1)
  voices = voice_evidence.fitted(*_speech(rng, 40, 8, 0.0))
  said, _ = _speech(rng, 10, 4, 0.0)
  ratios = voice_evidence.log_likelihood_ratios(voices, said)
  assert np.abs(ratios).max() < 2


def test_ratios_are_those_of_the_two_gaussians():
  voices = voice_evidence.Voices(
    mean=np.zeros(2), whitening=np.eye(2), between=np.array([3.0, 0.5])
  )
  # One feature: the vector is its mean and its deviation.
  said = [np.array([[0.0], [2.0]]), np.array([[1.0], [4.0]])]
  vectors = np.array([[1.0, 1.0], [2.5, 1.5]])
  wanted = 0.0
  for (x, y), between in zip(vectors.T, voices.between, strict=True):
    joint = np.eye(2) + between
    wanted += scipy.stats.multivariate_normal([0, 0], joint).logpdf([x, y])
    alone = scipy.stats.norm(0, np.sqrt(1 + between))
    wanted -= alone.logpdf(x) + alone.logpdf(y)
  found = voice_evidence.log_likelihood_ratios(voices, said)
  assert found[0, 1] == found[1, 0] == pytest.approx(wanted)


def test_without_two_utterances_of_two_speakers_there_is_nothing_to_learn():
  said, _ = _speech(np.random.default_rng(2), 3, 1, 1.0)
  assert voice_evidence.fitted(said, ['a', 'b', 'c']) is None
