import pytest

from fedjax_asr import config, validation
from fedjax_asr.presets import features, models


def test_mozillas_input_is_26_mfcc_of_32_ms_every_20():
  mfcc = features.mfcc()
  assert mfcc.kind is config.FeatureKind.MFCC
  assert (mfcc.num_features, mfcc.num_mels) == (26, 40)
  assert (mfcc.window_ms, mfcc.hop_ms) == (32.0, 20.0)
  assert (mfcc.low_hz, mfcc.high_hz) == (20.0, 8000.0)


@pytest.mark.parametrize('normalization', list(config.Normalization))
def test_mfcc_is_valid_and_fresh(normalization):
  cfg = config.Config(
    model=models.ds1('mozilla'), features=features.mfcc(normalization)
  )
  validation.validate(cfg)
  assert cfg.features.normalization is normalization
  cfg.features.num_features = 1
  assert features.mfcc().num_features == 26
