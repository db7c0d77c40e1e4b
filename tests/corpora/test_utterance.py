"""Files that features come from, and how they can be unusable."""

import numpy as np
import pytest
import soundfile

from fedjax_asr import config
from fedjax_asr.corpora import extraction, utterance
from fedjax_asr.speech import audio, features

FEATURES = config.FeaturesConfig()


def tone(seconds, sample_rate=16000):
  time = np.arange(int(seconds * sample_rate)) / sample_rate
  return 0.1 * np.sin(2 * np.pi * 440 * time)


def wav(path, samples, sample_rate=16000, **options):
  soundfile.write(path, samples, sample_rate, **options)
  return path


def result(path, max_seconds=20.0, source=utterance.AudioFile):
  item = utterance.Utterance('u', 's', 'text', 0.0, source(str(path)))
  (only,) = extraction.extract([item], FEATURES, max_seconds)
  return only.outcome


def missing(folder):
  return folder / 'absent.wav'


def truncated(folder):
  path = wav(folder / 't.flac', np.random.default_rng(0).normal(0, 0.1, 16000))
  content = path.read_bytes()
  path.write_bytes(content[: len(content) // 2])
  return path


def truncated_wav(folder):
  path = wav(folder / 't.wav', tone(1.0))
  path.write_bytes(path.read_bytes()[:10_000])
  return path


def no_bytes(folder):
  path = folder / 'e.wav'
  path.touch()
  return path


def no_samples(folder):
  return wav(folder / 'z.wav', np.zeros(0))


def not_finite(folder):
  samples = tone(0.5)
  samples[100] = np.nan
  return wav(folder / 'n.wav', samples, subtype='FLOAT')


def wrong_extension(folder):
  path = folder / 'text.wav'
  path.write_text('this is no audio' * 100)
  return path


@pytest.mark.parametrize(
  'make',
  [
    missing,
    truncated,
    truncated_wav,
    no_bytes,
    no_samples,
    not_finite,
    wrong_extension,
  ],
)
def test_unusable_audio_is_a_problem_that_names_the_file(tmp_path, make):
  path = make(tmp_path)
  problem = result(path)
  assert problem.kind == 'unreadable'
  assert problem.source == str(path)
  assert str(path) in problem.reason


def test_three_hours_are_refused_unread(tmp_path, monkeypatch):
  path = tmp_path / 'long.flac'
  wav(path, np.zeros(3 * 3600 * 100, np.int16), sample_rate=100)
  monkeypatch.setattr(audio._Sound, 'blocks', lambda _: pytest.fail('read'))
  problem = result(path)
  assert problem.kind == 'too_long'
  assert (
    '10800.00 s; want at most 20 s (config.data.max_seconds).' in problem.reason
  )


def test_a_segment_has_the_features_of_its_samples(tmp_path):
  samples = np.random.default_rng(0).normal(0, 0.1, 30 * 16000)
  path = wav(tmp_path / 'a.wav', samples, subtype='FLOAT')
  cut = wav(tmp_path / 'b.wav', samples[16000:24000], subtype='FLOAT')

  def segment(name):
    return utterance.AudioFile(name, offset=1.0, seconds=0.5)

  found = result(path, max_seconds=1.0, source=segment)
  np.testing.assert_array_equal(found, result(cut))


@pytest.mark.parametrize(
  ('offset', 'seconds', 'kind'),
  [
    (1.0, 20.5, 'too_long'),
    (0.0, 20.5, 'too_long'),
    (1.0, 0.0, 'too_long'),
    (29.0, 2.0, 'bad_segment'),
    (31.0, 0.0, 'bad_segment'),
    (2.0, 1.0, 'silent'),
  ],
)
def test_a_segment_that_cannot_be_used_is_a_problem(
  tmp_path, offset, seconds, kind
):
  path = wav(tmp_path / 'a.wav', np.zeros(30 * 16000))

  def segment(name):
    return utterance.AudioFile(name, offset=offset, seconds=seconds)

  problem = result(path, source=segment)
  assert problem.kind == kind
  assert problem.source.startswith(str(path))
  assert str(path) in problem.reason
  assert not problem.is_warning


def digital_silence(folder):
  return wav(folder / 'silent.wav', np.zeros(16000))


def opposite_phases(folder):
  return wav(folder / 'stereo.wav', np.stack([tone(1.0), -tone(1.0)], axis=1))


def nearly_opposite_phases(folder):
  stereo = np.stack([tone(1.0), -0.999 * tone(1.0)], axis=1)
  return wav(folder / 'nearly.wav', stereo)


def constant(folder):
  return wav(folder / 'constant.wav', np.full(16000, 0.2))


@pytest.mark.parametrize(
  'make', [digital_silence, opposite_phases, nearly_opposite_phases, constant]
)
def test_what_cannot_be_heard_is_a_problem(tmp_path, make):
  problem = result(make(tmp_path))
  assert problem.kind == 'silent'
  assert not problem.is_warning
  assert 'the mean of its channels' in problem.reason


def test_exactly_the_maximum_is_allowed(tmp_path):
  path = wav(tmp_path / 'a.wav', tone(0.5))
  assert isinstance(result(path, max_seconds=0.5), np.ndarray)


def test_audio_of_another_format_than_its_name_is_read(tmp_path):
  wav(tmp_path / 'a.wav', tone(0.5))
  (tmp_path / 'a.wav').rename(tmp_path / 'a.flac')
  assert isinstance(result(tmp_path / 'a.flac'), np.ndarray)


def test_features_are_those_of_the_waveform_unnormalised(tmp_path):
  path = wav(tmp_path / 'a.wav', tone(0.5), subtype='FLOAT')
  waveform = audio.read(str(path), 16000)
  np.testing.assert_array_equal(
    result(path), features.extract(waveform, FEATURES)
  )


def test_a_feature_file_is_taken_as_it_is(tmp_path):
  values = np.random.default_rng(0).normal(size=(7, 80))
  np.save(tmp_path / 'f.npy', values)
  found = result(tmp_path / 'f.npy', source=utterance.FeatureFile)
  np.testing.assert_array_equal(found, values.astype(np.float32))
  assert found.dtype == np.float32


@pytest.mark.parametrize(
  ('values', 'reason'),
  [
    (np.zeros(80), 'want [frames, 80]'),
    (np.zeros((0, 80)), 'no frames'),
    (np.full((7, 80), np.inf), 'want finite real numbers'),
    (np.zeros((7, 80), complex), 'want finite real numbers'),
    (np.full((7, 80), 'a'), 'want finite real numbers'),
    (np.array([[None] * 80]), 'not a .npy file'),
  ],
)
def test_unusable_features_are_a_problem(tmp_path, values, reason):
  np.save(tmp_path / 'f.npy', values)
  problem = result(tmp_path / 'f.npy', source=utterance.FeatureFile)
  assert problem.kind == 'unreadable'
  assert reason in problem.reason


def test_another_number_of_features_is_a_problem_of_its_own(tmp_path):
  np.save(tmp_path / 'f.npy', np.zeros((7, 40)))
  problem = result(tmp_path / 'f.npy', source=utterance.FeatureFile)
  assert problem.kind == 'wrong_width'
  assert 'f.npy: shape (7, 40); want [frames, 80]' in problem.reason


@pytest.mark.parametrize('content', [b'', b'no array', b'\x93NUMPY\x01\x00'])
def test_what_is_no_npy_file_is_a_problem(tmp_path, content):
  (tmp_path / 'f.npy').write_bytes(content)
  problem = result(tmp_path / 'f.npy', source=utterance.FeatureFile)
  assert 'not a .npy file' in problem.reason


def test_an_archive_of_arrays_is_a_problem(tmp_path):
  np.savez(tmp_path / 'f.npz', a=np.zeros((7, 80)))
  problem = result(tmp_path / 'f.npz', source=utterance.FeatureFile)
  assert 'an .npz archive' in problem.reason


def test_a_feature_file_lasts_as_long_as_its_frames(tmp_path):
  np.save(tmp_path / 'f.npy', np.zeros((101, 80)))
  problem = result(tmp_path / 'f.npy', 1.0, utterance.FeatureFile)
  assert problem.kind == 'too_long'
  assert '101 frames of config.features.hop_ms=10: 1.01 s' in problem.reason


def test_a_fingerprint_changes_with_head_tail_and_size(tmp_path):
  path = tmp_path / 'a.bin'
  content = bytearray(300_000)

  def fingerprint():
    path.write_bytes(content)
    return utterance.AudioFile(str(path)).fingerprint()

  seen = {fingerprint()}
  for change in (lambda: content.__setitem__(0, 1), lambda: content.append(0)):
    change()
    seen.add(fingerprint())
  content[-1] = 1
  seen.add(fingerprint())
  assert len(seen) == 4


def test_a_fingerprint_tells_segments_apart_and_whole_files_are_as_before():
  whole = utterance.AudioFile('/absent.wav')
  times = [(0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (1.0, 1.5)]
  segments = [utterance.AudioFile('/absent.wav', *each) for each in times]
  assert len({each.fingerprint() for each in (whole, *segments)}) == 5
  assert whole.fingerprint() == 'unreadable 2'


def test_a_fingerprint_does_not_depend_on_the_path(tmp_path):
  for name in ('a', 'b'):
    (tmp_path / name).write_bytes(b'same')
  a, b = (utterance.AudioFile(str(tmp_path / n)).fingerprint() for n in 'ab')
  assert a == b


def test_a_missing_file_has_a_fingerprint():
  assert utterance.AudioFile('/absent.wav').fingerprint() == 'unreadable 2'
