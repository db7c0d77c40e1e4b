"""Feature stores of utterances whose features a seed gives."""

import os
import pathlib
import signal
from typing import NamedTuple

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.corpora import store, utterance

FEATURES = config.FeaturesConfig(num_features=8, num_mels=8)


class Noise(NamedTuple):
  """Features that a seed gives; below 0 there are none."""

  seed: int

  def fingerprint(self):
    return f'noise {self.seed}'

  def features(self, cfg, max_seconds):
    if self.seed < 0:
      raise utterance.CorpusError(f'noise {self.seed}: no good.')
    rng = np.random.default_rng(self.seed)
    shape = (int(rng.integers(1, 30)), cfg.num_features)
    return rng.standard_normal(shape, np.float32)

  def sample_rate(self):
    return 8000 + 1000 * (self.seed % 2)

  def describe(self):
    return f'noise {self.seed}'


class Fatal(Noise):
  """Ends the process that computes it."""

  def features(self, cfg, max_seconds):
    os._exit(3)


class Killed(Noise):
  """Is killed with the process that computes it, as for its memory."""

  def features(self, cfg, max_seconds):
    os.kill(os.getpid(), signal.SIGKILL)


class Unwilling(Noise):
  """Cannot be computed a second time: a test that asks fails."""

  def features(self, cfg, max_seconds):
    pytest.fail('features were computed again')


def corpus(seeds, source=Noise):
  return [
    utterance.Utterance(f'u{seed}', 's', 'text', 0.0, source(seed))
    for seed in seeds
  ]


def settings(folder, **fields):
  return config.DataConfig(
    **{'cache_dir': str(folder), 'num_workers': 1, **fields}
  )


def opened(folder, seeds=range(40), source=Noise, **fields):
  return store.open_or_build(
    corpus(seeds, source), settings(folder, **fields), FEATURES, report
  )


def report(done, total):
  assert 0 <= done <= total


def names(folder):
  return sorted(file.suffix for file in pathlib.Path(folder).iterdir())


def assert_whole(found, seeds=range(40)):
  for index, seed in enumerate(seeds):
    expected = Noise(seed).features(FEATURES, 1.0)
    np.testing.assert_array_equal(found.features(index), expected)
    assert found.num_frames[index] == len(expected)
