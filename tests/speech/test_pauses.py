"""Stretches between pauses, of recordings whose pauses are known."""

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.speech import pauses, voice_activity

RATE = 8000


def tone(seconds, level=0.3, seed=0):
  rng = np.random.default_rng(seed)
  return level * rng.normal(size=int(seconds * RATE))


def recording(*seconds, floor=0.003):
  """Speech and pauses in turn, speech first; noise throughout."""
  parts = [
    tone(each, 0.3 if index % 2 == 0 else 0.0, seed=index)
    for index, each in enumerate(seconds)
  ]
  waveform = np.concatenate(parts)
  return (
    waveform + floor * tone(len(waveform) / RATE + 1)[: len(waveform)]
  ).astype(np.float32)


def cut(waveform, block=1000, pause=0.3, detector=None):
  """(first, last) second of each stretch, whose samples are those there."""
  blocks = [waveform[i : i + block] for i in range(0, len(waveform), block)]
  found = []
  for stretch in pauses.stretches(
    iter(blocks), detector or voice_activity.energy(), pause, RATE
  ):
    samples = np.concatenate([*stretch.blocks])
    there = waveform[stretch.start : stretch.start + len(samples)]
    np.testing.assert_array_equal(samples, there)
    found.append((stretch.start / RATE, (stretch.start + len(samples)) / RATE))
  return found


@pytest.mark.parametrize('block', [37, 1000, 10**6])
def test_cuts_are_in_the_pauses_and_leave_half_of_one(block):
  found = cut(recording(1.5, 0.5, 2.0, 1.0, 0.7), block)
  want = [(0.0, 1.65), (1.85, 4.15), (4.85, 5.7)]
  np.testing.assert_allclose(found, want, atol=0.021)


def test_shorter_pauses_are_none():
  found = cut(recording(1.5, 0.2, 1.0, 0.28, 1.0))
  np.testing.assert_allclose(found, [(0.0, 3.98)], atol=0.02)
  assert len(cut(recording(1.5, 0.2, 1.0, 0.28, 1.0), pause=0.1)) == 3


def test_silence_at_the_ends_is_left_out():
  found = cut(recording(0.0, 2.0, 1.0, 3.0))
  np.testing.assert_allclose(found, [(1.85, 3.15)], atol=0.041)


def test_a_long_pause_is_no_speech():
  found = cut(recording(2.0, 13.0, 2.0, 9.0))
  np.testing.assert_allclose(found, [(0.0, 2.15), (14.85, 17.15)], atol=0.041)


def test_a_click_begins_no_stretch():
  waveform = recording(1.0, 2.0)
  waveform[2 * RATE : 2 * RATE + 80] = 0.5
  assert len(cut(waveform)) == 1


def test_where_nothing_is_louder_all_is_one_stretch():
  waveform = tone(3.0).astype(np.float32)
  assert cut(waveform) == [(0.0, 3.0)]


@pytest.mark.parametrize('floor', [0.0, 0.01, 0.03])
def test_noise_may_be_of_any_level(floor):
  assert len(cut(recording(2.0, 0.6, 2.0, 0.6, 2.0, floor=floor))) == 3


def test_memory_is_bounded():
  """An endless stretch gives its first blocks, ten seconds behind."""
  taken = []

  def endless():
    while True:
      taken.append(None)
      yield tone(1.0).astype(np.float32)

  stretch = next(
    pauses.stretches(endless(), voice_activity.energy(), 0.3, RATE)
  )
  given = [len(next(stretch.blocks)) for _ in range(5)]
  assert 10 <= len(taken) - sum(given) / RATE + 10 <= 21
  assert max(given) <= 10 * RATE


def test_nothing_has_no_stretches():
  assert cut(np.zeros(0, np.float32)) == []


def test_every_pattern_of_speech_is_cut_as_one_frame_at_a_time_says():
  """Against runs of silence, found by hand in random patterns."""
  margin, onset = 4, 2
  for seed in range(40):
    rng = np.random.default_rng(seed)
    speech = np.repeat(rng.random(60) < 0.5, rng.integers(1, 9, 60))
    cutter = pauses._Cutter(margin, onset)
    got = np.array([*cutter.add(speech)])
    got = np.append(got, np.full(len(speech) - len(got), -1))
    np.testing.assert_array_equal(got, by_hand(speech, margin, onset))


def by_hand(speech, margin, onset):
  """Onsets are where so many frames of speech follow each other; a stretch
  ends where `2 * margin` frames follow without speech that goes on with it."""
  numbers, number, last = np.full(len(speech), -1), -1, None
  for at in range(len(speech)):
    if not speech[at]:
      continue
    if last is not None and at - last - 1 < margin + 1:
      numbers[last : at + 1] = number
      last = at
      continue
    if at < onset - 1 or not speech[at - onset + 1 : at + 1].all():
      continue
    first = at - onset + 1
    if last is not None and first - last - 1 < 2 * margin:
      numbers[last : at + 1] = number
    else:
      number += 1
      if last is not None:
        numbers[last + 1 : last + 1 + margin] = number - 1
      numbers[max(0, first - margin) : at + 1] = number
    last = at
  if last is not None:
    numbers[last : last + 1 + margin] = number
  return numbers


def test_webrtc_finds_pauses_in_noise():
  pytest.importorskip('webrtcvad')
  found = cut(
    recording(1.5, 1.0, 2.0, 1.5, 1.0), detector=voice_activity.webrtc(RATE)
  )
  assert len(found) == 3


def test_webrtc_wants_a_rate_that_it_takes():
  pytest.importorskip('webrtcvad')
  with pytest.raises(config.ConfigError, match='want cuts=energy, or one of'):
    voice_activity.check(config.Cuts.WEBRTC, 22_050)


def test_a_detector_that_is_not_installed_is_named(monkeypatch):
  monkeypatch.setitem(__import__('sys').modules, 'webrtcvad', None)
  with pytest.raises(config.UserError) as error:
    voice_activity.check(config.Cuts.WEBRTC, 16_000)
  assert 'of the extra vad; run: pip install' in str(error.value)
  assert '\n' not in str(error.value)
  voice_activity.check(config.Cuts.ENERGY, 22_050)
