"""Windows against the recording whole."""

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.speech import features, windows

CFG = config.FeaturesConfig(
  sample_rate=1000,
  window_ms=25.0,
  hop_ms=10.0,
  fft_size=32,
  num_features=6,
  num_mels=6,
  high_hz=500.0,
  normalization=config.Normalization.NONE,
)


def _blocks(waveform, size):
  return [waveform[i : i + size] for i in range(0, len(waveform), size)]


def _kept(waveform, sizes, block=700):
  """Every stride-th frame of the features of each window, as it is kept."""
  for window in windows.cut(_blocks(waveform, block), sizes):
    outputs = features.extract(window.waveform, CFG)[:: sizes.stride]
    yield window, outputs[window.keep : window.until]


@pytest.mark.parametrize('stride', [1, 2, 4])
@pytest.mark.parametrize('overlap', [0.0, 0.2, 0.49])
def test_kept_outputs_are_those_of_the_whole(stride, overlap):
  """Of a model that looks at a frame alone, at every `stride`-th."""
  sizes = windows.layout(1.0, overlap, stride, CFG)
  rng = np.random.default_rng(stride)
  for num_samples in (1, 24, 26, 400, 999, 1000, 1015, 1016, 1900, 2341, 7777):
    waveform = rng.normal(size=num_samples).astype(np.float32)
    whole = features.extract(waveform, CFG)[::stride]
    kept = np.concatenate([outputs for _, outputs in _kept(waveform, sizes)])
    np.testing.assert_array_equal(kept, whole, err_msg=f'{num_samples} samples')


@pytest.mark.parametrize('block', [1, 37, 5000])
def test_blocks_of_reading_do_not_matter(block):
  waveform = np.random.default_rng(0).normal(size=4321).astype(np.float32)
  sizes = windows.layout(1.0, 0.2, 2, CFG)
  got, want = (
    list(windows.cut(_blocks(waveform, size), sizes)) for size in (block, 4321)
  )
  assert [item[1:] for item in got] == [item[1:] for item in want]
  for one, other in zip(got, want, strict=True):
    np.testing.assert_array_equal(one.waveform, other.waveform)


def test_kept_outputs_have_half_an_overlap_on_each_side():
  sizes = windows.layout(1.0, 0.2, 2, CFG)
  assert (sizes.num_outputs, sizes.step) == (50, 40)
  waveform = np.zeros(8765, np.float32)
  cut = list(windows.cut([waveform], sizes))
  assert len(cut) > 5
  for index, window in enumerate(cut):
    assert window.keep >= (5 if index else 0)
    assert window.until <= (45 if index < len(cut) - 1 else 50)


def test_every_window_of_a_long_recording_is_full():
  sizes = windows.layout(1.0, 0.2, 4, CFG)
  for num_samples in range(1100, 1400, 7):
    cut = list(windows.cut([np.zeros(num_samples, np.float32)], sizes))
    for window in cut:
      # Starts fall on the model's stride, so the last may lack less than that.
      assert sizes.num_samples - 40 < len(window.waveform) <= sizes.num_samples


def test_memory_is_bounded_by_windows():
  """An endless recording gives its first windows."""

  def endless():
    while True:
      yield np.zeros(100, np.float32)

  sizes = windows.layout(1.0, 0.2, 2, CFG)
  cut = windows.cut(endless(), sizes)
  starts = [next(cut).start for _ in range(50)]
  assert starts == list(range(0, 2000, 40))
