import librosa
import numpy as np
import pytest

from fedjax_asr.speech import resampling


@pytest.mark.parametrize('source', [8000, 11_025, 22_050, 44_100, 48_000])
@pytest.mark.parametrize('target', [8000, 16_000])
@pytest.mark.parametrize('count', [1, 10, 12_347])
def test_a_waveform_is_resampled_as_librosa_does(source, target, count):
  rng = np.random.default_rng(0)
  waveform = rng.uniform(-1, 1, count).astype(np.float32)
  found = resampling.resampled(waveform, source, target)
  np.testing.assert_array_equal(
    found,
    librosa.resample(
      waveform, orig_sr=source, target_sr=target, res_type='soxr_hq'
    ),
  )
  assert found.dtype == np.float32
