"""Segments of recordings."""

import numpy as np
import pytest
import soundfile

from fedjax_asr.speech import audio, segments

RATE = 16_000
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 40 * RATE)


@pytest.fixture
def recording(tmp_path):
  """`recording(name, **options)`: the path of 40 s, and what is read of it."""

  def written(name='long.wav', rate=RATE, **options):
    path = tmp_path / name
    soundfile.write(path, NOISE[: 40 * rate], rate, **options)
    return str(path), audio.read(path, RATE)

  return written


def seconds(waveform, start, stop=None):
  return waveform[round(start * RATE) : stop and round(stop * RATE)]


@pytest.mark.parametrize('name', ['a.wav', 'a.flac', 'a.ogg', 'a.mp3'])
def test_a_segment_is_that_part_of_the_whole(recording, name):
  path, whole = recording(name)
  for start, length in ((0, 3.5), (2.25, 1), (17, 18), (39, 0.5), (5, 5)):
    found = segments.read(path, RATE, start, length)
    np.testing.assert_array_equal(found, seconds(whole, start, start + length))
  found = segments.read(path, RATE, 30, 0)
  np.testing.assert_array_equal(found, seconds(whole, 30))
  np.testing.assert_array_equal(segments.read(path, RATE, 0, 0), whole)


def test_a_segment_is_resampled_as_the_whole_is(recording):
  path, whole = recording(rate=8000)
  found = segments.read(path, RATE, 12.5, 4)
  np.testing.assert_allclose(found, seconds(whole, 12.5, 16.5), atol=1e-6)


def test_joined_streams_are_one_recording(recording, tmp_path):
  path, whole = recording('a.flac')
  joined = tmp_path / 'joined.flac'
  with open(path, 'rb') as file:
    joined.write_bytes(file.read() * 2)
  found = segments.read(str(joined), RATE, 39, 2)
  np.testing.assert_array_equal(
    found, np.concatenate([whole[39 * RATE :], whole[:RATE]])
  )


@pytest.mark.parametrize('offset', [0, 20])
def test_an_end_near_that_of_the_file_is_that_of_the_file(recording, offset):
  path, whole = recording()
  for error in (-0.1, -0.05, 0, 0.05, 0.1):
    found = segments.read(path, RATE, offset, 40 + error - offset)
    np.testing.assert_array_equal(found, seconds(whole, offset))
  found = segments.read(path, RATE, offset, 39.89 - offset)
  np.testing.assert_array_equal(found, seconds(whole, offset, 39.89))


@pytest.mark.parametrize(
  ('offset', 'length', 'reason'),
  [
    (0, 40.11, 'ends at 40.00 s; want a segment up to 40.11 s'),
    (30, 11, 'ends at 40.00 s; want a segment up to 41.00 s'),
    (40, 1, 'ends at 40.00 s; want an offset before that, not 40.00 s.'),
    (100, 0, 'ends at 40.00 s; want an offset before that, not 100.00 s.'),
  ],
)
def test_a_segment_beyond_the_end_is_refused(recording, offset, length, reason):
  path, whole = recording()
  with pytest.raises(segments.SegmentError) as caught:
    segments.read(path, RATE, offset, length)
  assert str(caught.value).startswith(f'{path}: {reason}')
  # The next one is none the worse.
  found = segments.read(path, RATE, 1, 1)
  np.testing.assert_array_equal(found, seconds(whole, 1, 2))


def test_the_maximum_is_the_segments_and_not_the_files(recording):
  path, _ = recording()
  assert len(segments.read(path, RATE, 3, 20, max_seconds=20)) == 20 * RATE
  assert len(segments.read(path, RATE, 30, 0, max_seconds=10)) == 10 * RATE
  for offset, length in ((3, 20.1), (29.9, 0), (0, 40), (0, 0)):
    with pytest.raises(audio.TooLongError, match='want at most'):
      segments.read(path, RATE, offset, length, max_seconds=10)


@pytest.mark.parametrize(
  ('name', 'offset', 'length', 'found'),
  [
    ('a.wav', 3, 0, '37.00 s'),
    ('a.wav', 0, 0, '40.00 s'),
    ('a.ogg', 3, 0, '37.00 s'),
    ('a.wav', 3, 20, '20.00 s'),
    ('unknown.flac', 3, 0, 'over 10 s'),
    ('unknown.flac', 0, 0, 'over 10 s'),
    ('unknown.flac', 3, 100, '100.00 s'),
  ],
)
def test_what_is_too_long_says_its_own_length(
  recording, name, offset, length, found
):
  path, _ = recording(name)
  if name == 'unknown.flac':
    with open(path, 'r+b') as file:
      file.seek(22)  # Of STREAMINFO, the number of samples.
      file.write(bytes(4))
  with pytest.raises(audio.TooLongError) as caught:
    segments.read(path, RATE, offset, length, max_seconds=10)
  reason = f'too long, {found}; want at most 10 s.'
  assert str(caught.value) == f'{path}: {reason}'


@pytest.mark.parametrize('offset', [0, 3, 50])
def test_a_duration_beyond_the_end_is_no_long_file(recording, offset):
  path, _ = recording()
  with pytest.raises(segments.SegmentError, match=r'ends at 40\.00 s'):
    segments.read(path, RATE, offset, 90, max_seconds=10)


def test_a_recording_is_decoded_once_for_its_segments(recording, monkeypatch):
  path, _ = recording('a.mp3')
  decoded, blocks = [], audio._Sound.blocks

  def watched(sound):
    for block in blocks(sound):
      decoded.append(len(block))
      yield block

  monkeypatch.setattr(audio._Sound, 'blocks', watched)
  for start in np.arange(0, 39, 0.25):
    segments.read(path, RATE, start, 1)  # Each overlaps the next three.
  assert sum(decoded) == 40 * RATE
  segments.read(path, RATE, 3, 1)
  assert sum(decoded) > 40 * RATE


def test_little_of_a_long_recording_is_held(recording):
  path, _ = recording()
  for start in range(39):
    segments.read(path, RATE, start, 1)
    held = segments._recording(path, segments._version(path), RATE)._held
    assert len(held) < audio._BLOCK_FRAMES + 2 * RATE


def test_segments_before_damage_are_read_and_those_behind_are_not(recording):
  path, whole = recording('a.flac')
  with open(path, 'r+b') as file:
    file.seek(0, 2)
    file.truncate(file.tell() * 3 // 4)
  found = segments.read(path, RATE, 1, 10)
  np.testing.assert_array_equal(found, seconds(whole, 1, 11))
  for start in (35, 37):
    with pytest.raises(audio.AudioError, match='truncated'):
      segments.read(path, RATE, start, 1)


def test_a_file_that_has_changed_is_read_anew(recording):
  path, whole = recording()
  segments.read(path, RATE, 1, 1)
  soundfile.write(path, np.zeros(30 * RATE), RATE)
  assert not segments.read(path, RATE, 2, 1).any()
  assert whole[2 * RATE : 3 * RATE].any()


def test_a_missing_file_is_named(tmp_path):
  path = str(tmp_path / 'a.wav')
  for offset, length in ((0, 1), (1, 0), (1, 1)):
    with pytest.raises(audio.AudioError, match=r'a\.wav: No such file'):
      segments.read(path, RATE, offset, length)
