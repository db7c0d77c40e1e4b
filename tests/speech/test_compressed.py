import io

import numpy as np
import pytest
import soundfile

from fedjax_asr.speech import compressed


def speechlike(rate, seconds):
  """Five syllables a second of a voice with harmonics, and noise."""
  time = np.arange(round(rate * seconds)) / rate
  voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
  noise = np.random.default_rng(0).normal(0, 0.01, len(time))
  return (0.1 * voice * np.sin(5 * np.pi * time) ** 2 + noise).astype('f4')


@pytest.mark.parametrize('rate', [8000, 10000, 16000, 22050, 44100, 48000])
def test_five_seconds_are_small_and_play_as_long(rate):
  samples = speechlike(rate, 5.0137)
  encoded = compressed.mp3(samples, rate)
  assert len(encoded) < 40_000
  played, its_rate = soundfile.read(io.BytesIO(encoded))
  assert its_rate <= 24_000
  assert abs(len(played) / its_rate - len(samples) / rate) <= 1 / its_rate


def test_it_sounds_like_the_recording():
  samples = speechlike(16000, 1.0)
  played, _ = soundfile.read(io.BytesIO(compressed.mp3(samples, 16000)))
  assert np.corrcoef(played, samples)[0, 1] > 0.97


def test_loud_and_no_sound_are_written():
  loud = compressed.mp3(np.full(800, 3.0, np.float32), 16000)
  played, _ = soundfile.read(io.BytesIO(loud))
  assert np.abs(played).max() < 1.5
  silent = compressed.mp3(np.zeros(1600, np.float32), 16000)
  assert len(soundfile.read(io.BytesIO(silent))[0]) == 1600
