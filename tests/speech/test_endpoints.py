"""Sentences along a stream whose pauses are known."""

import itertools
import tracemalloc

import numpy as np
import pytest

from fedjax_asr.speech import endpoints, voice_activity

RATE = 8000
FRAME = 80


def noise(seconds, level=0.3, seed=0):
  rng = np.random.default_rng(seed)
  return level * rng.normal(size=round(seconds * RATE))


def recording(*seconds, floor=0.001):
  """Speech and pauses in turn, speech first; noise throughout."""
  parts = [
    noise(each, 0.3 if index % 2 == 0 else 0.0, seed=index)
    for index, each in enumerate(seconds)
  ]
  waveform = np.concatenate(parts)
  waveform += noise(len(waveform) / RATE, floor, seed=99)
  return waveform.astype(np.float32)


def parts_of(waveform, block, pause=0.3, detector=None):
  endpointer = endpoints.Endpointer(
    detector or voice_activity.energy_so_far(), pause, RATE
  )
  parts = []
  for start in range(0, len(waveform), block):
    parts += endpointer.add(waveform[start : start + block])
  return parts + endpointer.finish()


def cut(waveform, block=800, pause=0.3, detector=None):
  """(first, last) second of each sentence, whose samples are those there, each
  once."""
  found = []
  for part in parts_of(waveform, block, pause, detector):
    until = part.start + len(part.waveform)
    if part.begins:
      assert not found or found[-1][2]
      assert not found or part.start >= found[-1][1]
      found.append([part.start, part.start, False])
    assert part.start == found[-1][1]
    assert not found[-1][2]
    np.testing.assert_array_equal(part.waveform, waveform[part.start : until])
    found[-1][1:] = [until, part.ends]
  assert all(ends for _, _, ends in found)
  return [(start / RATE, end / RATE) for start, end, _ in found]


def test_a_sentence_ends_behind_a_pause_and_begins_before_its_speech():
  found = cut(recording(1.5, 0.5, 2.0, 1.0, 0.7, 0.7))
  # From where 50 ms are quiet, 0.3 s; at most 0.3 s before the next speech.
  want = [(0.0, 1.85), (1.85, 4.35), (4.7, 6.05)]
  np.testing.assert_allclose(found, want, atol=0.021)


@pytest.mark.parametrize('detector', ['energy', 'webrtc'])
def test_cuts_are_the_same_whatever_comes_at_once(detector):
  waveform = recording(0.4, 0.4, 0.3, 0.5, 0.2)[3:-5]
  if detector == 'webrtc':
    pytest.importorskip('webrtcvad')

  def made():
    if detector == 'webrtc':
      return voice_activity.webrtc(RATE)
    return voice_activity.energy_so_far()

  want = cut(waveform, 10**6, detector=made())
  # WebRTC's goes on for a while behind what is speech.
  assert len(want) >= (3 if detector == 'energy' else 1)
  for block in (1, 123, RATE // 10):
    assert cut(waveform, block, detector=made()) == want


def test_within_a_sentence_no_sample_waits():
  waveform = recording(2.0, 0.2, 2.0)
  endpointer = endpoints.Endpointer(voice_activity.energy_so_far(), 0.3, RATE)
  given = 0
  for start in range(0, len(waveform), 13):
    block = waveform[start : start + 13]
    given += sum(len(part.waveform) for part in endpointer.add(block))
    # The onset alone is waited for.
    assert given == start + len(block) or start + len(block) < 0.1 * RATE + 13


def test_shorter_pauses_are_none():
  waveform = recording(1.5, 0.2, 1.0, 0.28, 1.0)
  assert cut(waveform) == [(0.0, 3.98)]
  assert len(cut(waveform, pause=0.1)) == 3


def test_where_nothing_is_quiet_all_is_one_sentence():
  waveform = noise(30.0).astype(np.float32)
  assert cut(waveform) == [(0.0, 30.0)]


def test_silence_has_no_sentence():
  room = noise(30.0, 0.001).astype(np.float32)
  assert cut(room) == []
  assert cut(np.zeros(5 * RATE, np.float32)) == []
  assert cut(np.zeros(0, np.float32)) == []


def test_a_pause_at_the_start_is_left_out():
  for seconds in (0.5, 3.0, 40.0):
    found = cut(recording(0.0, seconds, 2.0, 1.0))
    want = [(seconds - 0.3, seconds + 2.35)]
    np.testing.assert_allclose(found, want, atol=0.021)


def test_a_microphone_that_starts_with_zeros_has_said_nothing():
  waveform = recording(0.0, 3.0, 2.0)
  waveform[: RATE // 2] = 0
  np.testing.assert_allclose(cut(waveform), [(2.7, 5.0)], atol=0.021)


def test_speech_goes_to_the_very_end():
  waveform = recording(1.0, 1.0, 1.0)[:-3]
  assert cut(waveform)[-1][1] == len(waveform) / RATE


def test_speech_that_begins_at_the_very_end_is_a_sentence():
  waveform = recording(1.0, 1.0, 0.05)[:-3]
  found = cut(waveform)
  assert len(found) == 2
  assert found[1][0] == pytest.approx(1.7, abs=0.011)
  assert found[1][1] == len(waveform) / RATE


@pytest.mark.parametrize('pause', [2.0, 13.0, 40.0])
def test_a_long_pause_is_no_speech(pause):
  found = cut(recording(2.0, pause, 2.0, 1.0))
  want = [(0.0, 2.35), (pause + 1.7, pause + 4.35)]
  np.testing.assert_allclose(found, want, atol=0.021)


def test_pauses_of_zeros_are_pauses():
  assert len(cut(recording(2.0, 0.6, 2.0, 0.6, 2.0, floor=0.0))) == 3


@pytest.mark.parametrize('floor', [0.01, 0.03])
def test_noise_may_be_loud(floor):
  assert len(cut(recording(2.0, 0.6, 2.0, 0.6, 2.0, floor=floor))) == 3


def test_a_click_in_a_pause_is_no_sentence_and_does_not_prolong_one():
  quiet = recording(1.0, 3.0, 1.0)
  for at in (1.2, 1.33, 2.0, 3.0):
    waveform = quiet.copy()
    first = round(at * RATE)
    waveform[first : first + 40] += noise(0.005, 0.5).astype(np.float32)
    found = cut(waveform)
    assert len(found) == 2
    # A cut is not within a click: up to 50 ms and its own frames later.
    assert 1.32 <= found[0][1] <= 1.43
    assert found[1][0] == pytest.approx(3.7, abs=0.011)


def test_two_pauses_in_a_row_are_two_ends_only_with_speech_between():
  with_word = cut(recording(1.0, 0.6, 0.15, 0.6, 1.0))
  assert len(with_word) == 3
  with_click = cut(recording(1.0, 0.6, 0.01, 0.6, 1.0))
  assert len(with_click) == 2


def test_everything_is_never_cut_and_each_sample_is_in_it():
  for waveform in (recording(1.0, 2.0, 1.0), recording(0.013)[:-3]):
    whole = waveform[: len(waveform)]
    found = cut(whole, block=17, detector=voice_activity.everything())
    assert found == [(0.0, len(whole) / RATE)]


def test_levels_rank_the_last_numbers_as_sorting_them_does():
  rng = np.random.default_rng(0)
  ranked = voice_activity._Ranked(20)
  numbers = rng.integers(0, 9, 200).astype(float).tolist()
  for count, number in enumerate(numbers, 1):
    ranked.add(number)
    last = sorted(numbers[max(0, count - 20) : count])
    for percentile in (0, 5, 50, 90, 100):
      nearest = round(percentile / 100 * (len(last) - 1))
      assert ranked.at(percentile) == last[nearest]


def test_memory_does_not_grow():
  endpointer = endpoints.Endpointer(voice_activity.energy_so_far(), 0.3, RATE)
  some = recording(*[2.0, 1.0] * 3)

  def hear(count):
    for _ in range(count):
      for start in range(0, len(some), RATE):
        endpointer.add(some[start : start + RATE])

  tracemalloc.start()
  # Until the 20 s that are remembered are full.
  hear(3)
  before = tracemalloc.get_traced_memory()[0]
  hear(1)
  grown = tracemalloc.get_traced_memory()[0] - before
  tracemalloc.stop()
  assert grown < 10_000
  assert len(endpointer._held) <= 0.5 * RATE


def test_every_pattern_of_speech_is_cut_as_runs_by_hand_say():
  pause, onset = 6, 10
  for seed in range(40):
    rng = np.random.default_rng(seed)
    flags = np.repeat(rng.random(60) < 0.5, rng.integers(1, 16, 60))
    waveform = np.arange(len(flags) * FRAME, dtype=np.float32)

    def detector(frames, flags=flags):
      return flags[frames[:, 0].astype(int) // FRAME]

    found = cut(waveform, 333, pause * FRAME / RATE, detector)
    want = by_hand(flags.tolist(), pause, onset)
    frames = [(a * RATE / FRAME, b * RATE / FRAME) for a, b in found]
    np.testing.assert_allclose(frames, want)


def by_hand(flags, pause, onset):
  """Sentences in frames, from runs of equal frames."""
  runs, at = [], 0
  for value, group in itertools.groupby(flags):
    length = len([*group])
    runs.append((value, at, at + length))
    at += length
  found, start, last, cut_at = [], None, 0, 0
  for speaks, first, until in runs:
    if speaks and until - first >= onset:
      if start is None:
        start = max(cut_at, first - pause)
      last = until
    elif not speaks and start is not None:
      # The first quiet frame with so much behind the last speech: what was too
      # short for speech is part of the pause, and is not cut.
      end = max(first + 1, last + pause)
      if end <= until:
        found.append((start, end))
        start, cut_at = None, end
  if start is not None:
    found.append((start, len(flags)))
  elif runs[-1][0]:
    found.append((max(cut_at, runs[-1][1] - pause), len(flags)))
  return found
