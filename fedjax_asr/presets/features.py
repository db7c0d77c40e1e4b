"""What models are given: the features of a published model or of a corpus."""

from fedjax_asr import config


def mfcc(
  normalization: config.Normalization = config.Normalization.UTTERANCE,
) -> config.FeaturesConfig:
  """Mozilla's input: 26 MFCC of 40 mel bands, 32 ms windows every 20 ms."""
  return config.FeaturesConfig(
    kind=config.FeatureKind.MFCC,
    num_features=26,
    num_mels=40,
    window_ms=32.0,
    hop_ms=20.0,
    fft_size=512,
    low_hz=20.0,
    high_hz=8000.0,
    normalization=normalization,
  )


def fsdd() -> config.FeaturesConfig:
  """Of `corpora.fsdd`, recorded at 8 kHz: 26 log-mel, too wide for a voice's
  harmonics, within a range that hides each microphone's noise."""
  return config.FeaturesConfig(
    sample_rate=8000,
    high_hz=4000.0,
    fft_size=256,
    num_features=26,
    num_mels=26,
    dynamic_range_db=25.0,
  )


def precomputed_mfcc() -> config.FeaturesConfig:
  """Of `corpora.precomputed`: 13 MFCC at 100 frames a second."""
  return config.FeaturesConfig(
    kind=config.FeatureKind.PRECOMPUTED, num_features=13, hop_ms=10.0
  )
