import contextlib
import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.speech import audio, features, jax_features

DATA = pathlib.Path(__file__).parents[2].parent / 'shared' / 'data'
LOG_MEL = config.FeaturesConfig()
LOG_SPECTROGRAM = config.FeaturesConfig(
  kind=config.FeatureKind.LOG_SPECTROGRAM,
  num_features=161,
  fft_size=320,
  window_ms=20.0,
)
MFCC = config.FeaturesConfig(
  kind=config.FeatureKind.MFCC,
  num_features=26,
  num_mels=40,
  window_ms=32.0,
  hop_ms=20.0,
)
RANGED = [
  dataclasses.replace(each, dynamic_range_db=20.0)
  for each in (LOG_SPECTROGRAM, MFCC)
]
KINDS = [LOG_MEL, LOG_SPECTROGRAM, MFCC, *RANGED]
by_kind = pytest.mark.parametrize('cfg', KINDS, ids=lambda cfg: cfg.kind)


@contextlib.contextmanager
def float64():
  before = jax.config.read('jax_enable_x64')
  jax.config.update('jax_enable_x64', True)
  try:
    yield
  finally:
    jax.config.update('jax_enable_x64', before)


def noise(num_samples, seed=0):
  waveform = np.random.default_rng(seed).normal(0, 0.1, num_samples)
  return waveform.astype(np.float32)


@functools.partial(jax.jit, static_argnames='key')
def _extracted(waveform, key):
  return jax_features.extract(waveform, config.FeaturesConfig(**dict(key)))


def extracted_by_jax(waveform, cfg):
  """Jitted, with one compilation for each shape and configuration."""
  key = tuple(dataclasses.asdict(cfg).items())
  return np.asarray(_extracted(jnp.asarray(waveform), key))


def at_rate(cfg, sample_rate):
  """The same settings at another sampling rate."""
  fft_size = cfg.fft_size * sample_rate // 16_000
  fft_size += fft_size % 2
  num_features = cfg.num_features
  if cfg.kind is config.FeatureKind.LOG_SPECTROGRAM:
    num_features = fft_size // 2 + 1
  return dataclasses.replace(
    cfg,
    sample_rate=sample_rate,
    fft_size=fft_size,
    num_features=num_features,
    high_hz=min(cfg.high_hz, sample_rate / 2),
  )


@by_kind
@pytest.mark.parametrize(
  ('sample_rate', 'num_samples'),
  [
    (8_000, 5_000),
    (16_000, 1),
    (16_000, 401),
    (16_000, 5_000),
    (22_050, 5_000),
  ],
)
@pytest.mark.filterwarnings('ignore:Empty filters:UserWarning')
def test_the_twin_is_the_reference(cfg, sample_rate, num_samples):
  cfg = at_rate(cfg, sample_rate)
  waveform = noise(num_samples)
  twin = extracted_by_jax(waveform, cfg)
  reference = features.extract(waveform, cfg)
  assert twin.dtype == jnp.float32
  np.testing.assert_allclose(twin, reference, atol=1e-3)


@by_kind
def test_in_float64_the_twin_is_the_reference_to_the_last_digit(cfg):
  waveform = noise(5_000).astype(np.float64)
  with float64():
    twin = extracted_by_jax(waveform, cfg)
    assert twin.dtype == jnp.float64
  np.testing.assert_allclose(
    twin.astype(np.float32),
    features.extract(waveform, cfg),
    rtol=2e-7,
    atol=1e-6,
  )


@by_kind
def test_the_twin_is_the_reference_on_real_speech(cfg):
  folder = DATA / 'librispeech_100' / 'flac'
  if not folder.exists():
    pytest.skip(f'{folder} is absent')
  for path in sorted(folder.iterdir())[:3]:
    waveform = audio.read(path, 16_000)[8_000:40_000]
    twin = extracted_by_jax(waveform, cfg)
    reference = features.extract(waveform, cfg)
    np.testing.assert_allclose(twin, reference, atol=2e-2)
    # A magnitude of 1e-4 of the strongest is -80 dB.
    audible = reference > reference.max(axis=1, keepdims=True) + np.log(1e-4)
    if cfg.kind is not config.FeatureKind.LOG_SPECTROGRAM:
      audible[:] = True
    np.testing.assert_allclose(twin[audible], reference[audible], atol=1e-3)


@by_kind
def test_vmap_changes_nothing(cfg):
  waveforms = np.stack([noise(2_000, seed) for seed in range(3)])
  together = jax.jit(jax.vmap(lambda w: jax_features.extract(w, cfg)))(
    waveforms
  )
  for waveform, extracted in zip(waveforms, together, strict=True):
    np.testing.assert_allclose(
      extracted, extracted_by_jax(waveform, cfg), atol=1e-4
    )


@by_kind
def test_empty_waveforms_are_refused(cfg):
  with pytest.raises(ValueError, match='want >= 1'):
    jax_features.extract(jnp.zeros(0), cfg)


@by_kind
def test_gradients_are_zero_at_digital_silence(cfg):
  gradient = jax.jit(jax.grad(lambda w: jax_features.extract(w, cfg).sum()))
  np.testing.assert_array_equal(gradient(jnp.zeros(2_000)), 0)


@by_kind
def test_gradients_are_finite_where_speech_meets_silence(cfg):
  waveform = jnp.asarray(noise(3_000)).at[1_000:2_200].set(0.0)

  def loss(waveform):
    extracted = jax_features.extract(waveform, cfg)
    normalized = jax_features.normalize(extracted, len(extracted))
    return (jnp.sin(normalized) ** 2).sum()

  gradient = jax.jit(jax.grad(loss))(waveform)
  assert jnp.isfinite(gradient).all()
  assert (gradient != 0).any()
  # Attacks differentiate a gradient.
  norm = jax.jit(lambda w: jnp.sum(jax.grad(loss)(w) ** 2))
  second = jax.jit(jax.grad(norm))(waveform)
  assert jnp.isfinite(second).all()


@by_kind
def test_gradients_are_those_of_finite_differences_in_float64(cfg):
  with float64():
    waveform = noise(1_500).astype(np.float64)
    direction = noise(1_500, seed=1).astype(np.float64)
    length = features.num_frames(1_500, cfg)
    weights = noise(length * cfg.num_features, seed=2).reshape(length, -1)

    @jax.jit
    def loss(waveform):
      extracted = jax_features.extract(waveform, cfg)
      return jnp.vdot(
        jnp.asarray(weights, jnp.float64),
        jax_features.normalize(extracted, length),
      )

    slope = float(jnp.vdot(jax.grad(loss)(jnp.asarray(waveform)), direction))
    step = 1e-6
    ahead, behind = (
      float(loss(jnp.asarray(waveform + sign * step * direction)))
      for sign in (1, -1)
    )
  assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-5)


@pytest.mark.parametrize(
  'normalization', list(config.Normalization), ids=lambda n: n.value
)
def test_normalize_is_the_reference(normalization):
  raw = noise(4_000).reshape(50, 80) * 30 - 8
  raw[:, 3] = -11.5
  statistics = features.statistics([raw, raw[:20] * 2])
  twin = jax_features.normalize(jnp.asarray(raw), 50, normalization, statistics)
  reference = features.normalize(raw, normalization, statistics)
  np.testing.assert_allclose(twin, reference, atol=1e-3)


@pytest.mark.parametrize(
  'normalization', list(config.Normalization), ids=lambda n: n.value
)
def test_padding_changes_nothing_and_becomes_zero(normalization):
  raw = noise(800).reshape(20, 40)
  statistics = features.statistics([raw])
  padded = np.full((33, 40), np.nan, np.float32)
  padded[:20] = raw
  normalized = jax.jit(
    lambda f, n: jax_features.normalize(f, n, normalization, statistics)
  )(padded, 20)
  alone = jax_features.normalize(
    jnp.asarray(raw), 20, normalization, statistics
  )
  np.testing.assert_allclose(normalized[:20], alone, atol=1e-5)
  np.testing.assert_array_equal(normalized[20:], 0)


def test_gradients_pass_padding_by():
  padded = jnp.asarray(noise(800).reshape(20, 40)).at[15:].set(jnp.nan)
  loss = jax.jit(lambda f: (jax_features.normalize(f, 15) ** 3).sum())
  gradient = jax.grad(loss)(padded)
  assert jnp.isfinite(gradient).all()
  np.testing.assert_array_equal(gradient[15:], 0)


def test_an_utterance_without_frames_is_all_padding():
  normalized = jax_features.normalize(jnp.ones((4, 3)), 0)
  np.testing.assert_array_equal(normalized, 0)


def test_global_normalisation_wants_statistics():
  with pytest.raises(ValueError, match='want those of the corpus'):
    jax_features.normalize(jnp.ones((4, 3)), 4, config.Normalization.GLOBAL)
