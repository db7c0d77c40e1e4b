"""Features piece by piece, against those of the whole."""

import dataclasses

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.speech import feature_stream, features

CFG = config.FeaturesConfig(
  sample_rate=1000,
  fft_size=32,
  num_features=6,
  num_mels=6,
  high_hz=500.0,
  normalization=config.Normalization.RUNNING,
)
STATISTICS = features.Statistics(
  mean=np.full(6, -5, np.float32), std=np.full(6, 2, np.float32)
)
KINDS = [
  config.Normalization.RUNNING,
  config.Normalization.GLOBAL,
  config.Normalization.NONE,
]


def whole(waveform, cfg):
  values = features.extract(waveform, cfg)
  return features.normalize(values, cfg.normalization, STATISTICS)


def in_pieces(waveform, cfg, size):
  stream = feature_stream.FeatureStream(cfg, STATISTICS)
  pieces = [
    stream.add(waveform[start : start + size])
    for start in range(0, len(waveform), size)
  ]
  pieces.append(stream.finish())
  values = np.concatenate(pieces)
  assert stream.num_frames == len(values)
  return values


@pytest.mark.parametrize('size', [1, 7, 10, 25, 5000])
@pytest.mark.parametrize('normalization', KINDS)
def test_pieces_have_the_frames_of_the_whole(size, normalization):
  cfg = dataclasses.replace(CFG, normalization=normalization)
  waveform = np.random.default_rng(0).normal(size=1234).astype(np.float32)
  for length in (1, 10, 24, 25, 26, 34, 35, 36, 1234):
    got = in_pieces(waveform[:length], cfg, size)
    want = whole(waveform[:length], cfg)
    np.testing.assert_allclose(got, want, atol=1e-5, err_msg=str(length))


@pytest.mark.parametrize('hop', [25.0, 24.0, 1.0])
def test_any_hop_of_a_window_will_do(hop):
  cfg = dataclasses.replace(CFG, hop_ms=hop)
  waveform = np.random.default_rng(0).normal(size=301).astype(np.float32)
  np.testing.assert_allclose(
    in_pieces(waveform, cfg, 13), whole(waveform, cfg), atol=1e-5
  )


def test_a_frame_is_given_with_its_last_sample():
  stream = feature_stream.FeatureStream(CFG, STATISTICS)
  ones = np.ones(100, np.float32)
  assert len(stream.add(ones[:24])) == 0
  assert len(stream.add(ones[:1])) == 1
  assert len(stream.add(ones[:9])) == 0
  assert len(stream.add(ones[:11])) == 2


def test_no_samples_have_no_frames():
  stream = feature_stream.FeatureStream(CFG, STATISTICS)
  assert stream.finish().shape == (0, 6)


def test_what_needs_the_whole_is_refused():
  cfg = dataclasses.replace(CFG, normalization=config.Normalization.UTTERANCE)
  with pytest.raises(config.ConfigError, match='want running, global or none'):
    feature_stream.FeatureStream(cfg)
