"""What an update says of the utterances that are said to be behind it."""

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks.ds1 import span_evidence
from fedjax_asr.models import activation

NUM_WINDOWS, NUM_TAPS, NUM_UNITS = 20, 60, 90


class Sent:
  """Windows and the update that a layer with clipped ReLU makes of them."""

  def __init__(self, seed=0, noise=0.0, moved=0.0):
    rng = np.random.default_rng(seed)
    self.windows = rng.standard_normal((NUM_WINDOWS, NUM_TAPS))
    self.kernel = rng.standard_normal((NUM_TAPS, NUM_UNITS)) / 4
    self.bias = 0.3 * rng.standard_normal(NUM_UNITS)
    inputs = self.windows @ self.kernel + self.bias
    is_active = (inputs > 0) & (inputs < activation.CLIP)
    signals = rng.standard_normal((NUM_WINDOWS, NUM_UNITS)) * is_active
    self.update = self.windows.T @ signals
    self.noise = noise * np.sqrt(np.mean(self.update**2))
    self.update += self.noise * rng.standard_normal(self.update.shape)
    self.end = None
    if moved:
      step = moved * rng.standard_normal(self.kernel.shape)
      self.end = self.kernel + step, self.bias

  def evidence(self, windows=None, error=1e-6):
    sizes = np.linalg.norm(self.update, axis=0)
    level = self.update / sizes
    return span_evidence.gathered(
      self.windows if windows is None else windows,
      level,
      span_evidence.Layer(self.kernel, self.bias, self.end),
      np.linalg.svd(level, compute_uv=False),
      sizes,
      error,
    )


def _is_believed(evidence):
  return span_evidence.is_believed(evidence, config.SpanConfig())


def test_the_truth_leaves_nothing_unexplained_and_nothing_to_inactive_units():
  evidence = Sent().evidence()
  assert evidence.unexplained < 1e-25
  assert evidence.inactive_energy < 1e-25
  assert evidence.watched == pytest.approx(0.5, abs=0.1)
  assert evidence.moved == 0
  assert _is_believed(evidence)


@pytest.mark.parametrize('noise', [1e-6, 1e-4, 1e-3])
def test_noise_gives_what_is_expected_of_it(noise):
  sent = Sent(noise=noise)
  evidence = sent.evidence()
  assert evidence.noise < evidence.unexplained < 100 * evidence.noise
  # Each unit has the size 1 there, and is left with 40 of 60 dimensions.
  sizes = np.sum(sent.update**2, axis=0)
  expected = (NUM_TAPS - NUM_WINDOWS) * np.mean(sent.noise**2 / sizes)
  assert evidence.unexplained == pytest.approx(expected, rel=0.2)
  # More is expected where noise is not that of each unit's own size.
  assert 0.2 < evidence.inactive_energy / evidence.expected_inactive < 2
  assert _is_believed(evidence)


@pytest.mark.parametrize('factor', [-1.0, 0.5, 2.0])
def test_another_size_or_sign_reaches_units_that_are_not_active(factor):
  sent = Sent()
  evidence = sent.evidence(factor * sent.windows)
  assert evidence.unexplained < 1e-25
  assert evidence.inactive_energy > 0.01
  assert not _is_believed(evidence)


def test_a_window_that_is_missing_is_left_unexplained():
  sent = Sent()
  evidence = sent.evidence(sent.windows[:-1])
  assert evidence.unexplained > 0.01
  assert not _is_believed(evidence)


def test_frames_that_may_be_wrong_are_watched_less():
  sent = Sent()
  watched = [sent.evidence(error=error).watched for error in (1e-6, 0.5, 5.0)]
  assert watched[0] > watched[1] > watched[2]
  blind = sent.evidence(error=5.0)
  assert blind.inactive_energy < 1e-25
  assert not _is_believed(blind)


def test_units_that_a_step_opens_are_not_watched():
  sent = Sent(moved=0.3)
  evidence = sent.evidence()
  assert evidence.moved > 0.1
  assert evidence.watched < Sent().evidence().watched
  assert _is_believed(evidence)


def test_an_utterance_that_is_not_in_the_update_is_no_part_of_it():
  sent, other = Sent(noise=1e-4), Sent(seed=1)
  halves = [sent.windows[:8], sent.windows[8:]]
  assert span_evidence.least_part(halves, sent.update) > 1e3
  foreign = [sent.windows, other.windows[:8]]
  assert span_evidence.least_part(foreign, sent.update) < 2
