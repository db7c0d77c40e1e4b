"""Scores of what an update determines."""

import numpy as np

from fedjax_asr.attacks import observation
from fedjax_asr.attacks.measure import determined, score


def _speech(num_frames, seed=0):
  return np.random.default_rng(seed).standard_normal((num_frames, 4))


def test_without_stretches_it_is_the_beginning_that_counts():
  truth = _speech(20)
  found = truth[:12] + 0.1
  expected = np.sum(truth[:12] ** 2) / np.sum(0.1**2 * np.ones((12, 4)))
  value = determined.snr_db(truth, found)
  np.testing.assert_allclose(value, 10 * np.log10(expected))
  # An utterance that begins late is not a beginning.
  assert determined.snr_db(truth, truth[2:12]) < 3


def test_pieces_are_compared_wherever_a_run_of_unknown_length_puts_them():
  front, run, back = _speech(9), np.ones((15, 4)), _speech(11, seed=1)
  truth = np.concatenate([front, run, back])
  found = np.concatenate([front, run[:7], back])
  stretch = observation.Stretch(9, 16)
  assert determined.snr_db(truth, found, (stretch,)) == score.MAX_SNR_DB
  assert determined.snr_db(truth, found) < 3


def test_pieces_keep_their_order():
  front, run, back = _speech(9), np.ones((9, 4)), _speech(9, seed=1)
  truth = np.concatenate([front, run, back])
  found = np.concatenate([back, run, front])
  stretch = observation.Stretch(9, 18)
  assert determined.snr_db(truth, found, (stretch,)) < 3


def test_more_than_was_said_and_nothing_at_all_are_no_scores():
  truth = _speech(5)
  assert determined.snr_db(truth, _speech(6)) == -score.MAX_SNR_DB
  whole = (observation.Stretch(0, 5),)
  assert determined.snr_db(truth, truth, whole) is None
