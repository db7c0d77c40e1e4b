import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from fedjax_asr import config
from fedjax_asr.speech import audio

DATA = pathlib.Path(__file__).parents[2].parent / 'shared' / 'data'


def tone(sample_rate=16_000, seconds=1.0, frequency=440.0):
  times = np.arange(round(sample_rate * seconds)) / sample_rate
  return (0.5 * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def written(path, samples, sample_rate=16_000, **options):
  soundfile.write(path, samples, sample_rate, **options)
  return path


def cut(path, fraction):
  """The same file without its end."""
  content = path.read_bytes()
  path.write_bytes(content[: int(len(content) * fraction)])
  return path


def reason(path, sample_rate=16_000, **options):
  """What `read` says of a file that it refuses, on one line."""
  with pytest.raises(audio.AudioError) as caught:
    audio.read(path, sample_rate, **options)
  message = str(caught.value)
  assert message.startswith(f'{path}: ')
  assert '\n' not in message
  return message.removeprefix(f'{path}: ')


@pytest.mark.parametrize(
  ('name', 'subtype', 'tolerance'),
  [
    ('a.wav', 'PCM_16', 1e-4),
    ('a.wav', 'PCM_U8', 1e-2),
    ('a.wav', 'PCM_24', 1e-6),
    ('a.wav', 'FLOAT', 0),
    ('a.wav', 'ULAW', 2e-2),
    ('a.flac', 'PCM_16', 1e-4),
    ('a.aiff', 'PCM_16', 1e-4),
    ('a.au', 'PCM_16', 1e-4),
    ('a.w64', 'PCM_16', 1e-4),
  ],
)
def test_a_file_is_what_was_written(tmp_path, name, subtype, tolerance):
  samples = tone()
  path = written(tmp_path / name, samples, subtype=subtype)
  waveform = audio.read(path, 16_000)
  assert waveform.dtype == np.float32
  assert waveform.shape == samples.shape
  np.testing.assert_allclose(waveform, samples, atol=tolerance)
  assert audio.duration(path) == 1.0


@pytest.mark.parametrize(
  ('name', 'subtype'),
  [('a.ogg', 'VORBIS'), ('a.ogg', 'OPUS'), ('a.mp3', 'MPEG_LAYER_III')],
)
def test_lossy_formats_keep_length_and_tone(tmp_path, name, subtype):
  path = written(tmp_path / name, tone(), subtype=subtype)
  waveform = audio.read(path, 16_000)
  assert len(waveform) == 16_000
  inner = slice(800, -800)  # A codec's blocks smear the ends.
  np.testing.assert_allclose(waveform[inner], tone()[inner], atol=5e-2)


def test_channels_are_averaged(tmp_path):
  left, right, centre = tone(), np.zeros(16_000), np.full(16_000, 0.25)
  path = written(
    tmp_path / 'a.wav', np.stack([left, right, centre], 1), subtype='FLOAT'
  )
  expected = (left + 0.25) / 3
  np.testing.assert_allclose(audio.read(path, 16_000), expected, atol=1e-6)


@pytest.mark.parametrize('rate', [8_000, 11_025, 22_050, 44_100, 48_000])
def test_a_tone_survives_resampling(tmp_path, rate):
  path = written(tmp_path / 'a.wav', tone(rate), rate, subtype='FLOAT')
  waveform = audio.read(path, 16_000)
  assert len(waveform) == 16_000
  inner = slice(800, -800)  # Away from the ends, which the filter tapers.
  np.testing.assert_allclose(waveform[inner], tone()[inner], atol=2e-3)


def test_a_long_file_is_read_whole_and_in_order(tmp_path):
  samples = np.linspace(-1, 1, audio._BLOCK_FRAMES * 2 + 7, dtype=np.float32)
  path = written(tmp_path / 'a.wav', samples, subtype='FLOAT')
  np.testing.assert_array_equal(audio.read(path, 16_000), samples)


def test_one_sample_is_enough(tmp_path):
  path = written(tmp_path / 'a.wav', np.ones(1), 48_000, subtype='FLOAT')
  assert len(audio.read(path, 16_000)) == 1


def test_content_decides_and_not_the_name(tmp_path):
  path = written(tmp_path / 'a.wav', tone()).rename(tmp_path / 'a.flac')
  assert len(audio.read(path, 16_000)) == 16_000


def test_missing_files_and_folders_are_named(tmp_path):
  assert reason(tmp_path / 'a.wav') == 'No such file or directory.'
  assert reason(tmp_path) == 'Is a directory.'
  with pytest.raises(audio.AudioError, match='No such file'):
    audio.duration(tmp_path / 'a.wav')


@pytest.mark.parametrize('name', ['a.wav', 'a.flac', 'a.mp3', 'a.raw', 'a'])
def test_text_is_not_audio_whatever_its_name(tmp_path, name):
  path = tmp_path / name
  path.write_bytes(b'these bytes are a letter, not sound' * 100)
  assert reason(path).startswith('not audio')


def test_empty_files_say_empty(tmp_path):
  path = tmp_path / 'bytes.wav'
  path.touch()
  assert reason(path).startswith('empty')
  path = written(tmp_path / 'samples.wav', np.zeros(0))
  assert reason(path).startswith('empty')
  assert audio.duration(path) == 0.0


@pytest.mark.parametrize('fraction', [0.5, 0.9, 0.999])
@pytest.mark.parametrize(
  'name', ['a.wav', 'a.flac', 'a.ogg', 'a.aiff', 'a.au', 'a.w64', 'a.rf64']
)
def test_truncated_files_are_refused(tmp_path, name, fraction):
  noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
  path = written(tmp_path / name, noise)
  audio.read(path, 16_000)
  assert reason(cut(path, fraction)).startswith('truncated')


def test_an_mp3_shorter_than_its_header_is_refused(tmp_path):
  path = written(tmp_path / 'a.mp3', tone())
  assert reason(cut(path, 0.5)).startswith('truncated')


@pytest.mark.parametrize('size', [b'\xff\xff\xff\xff', b'\xdb\xff\xff\x7f'])
def test_a_wav_from_a_pipe_is_not_truncated(tmp_path, size):
  path = written(tmp_path / 'a.wav', tone())
  content = bytearray(path.read_bytes())
  assert content[36:40] == b'data'
  content[40:44] = size
  path.write_bytes(content)
  assert len(audio.read(path, 16_000)) == 16_000


@pytest.mark.parametrize('riff_size', ['of the file', 'of the header', '0'])
@pytest.mark.parametrize(
  ('kind', 'subtype'),
  [('WAV', 'PCM_16'), ('WAVEX', 'PCM_24'), ('WAV', 'FLOAT'), ('WAV', 'ULAW')],
)
def test_a_wav_of_an_interrupted_recorder_is_read_to_its_end(
  tmp_path, kind, subtype, riff_size
):
  path = written(tmp_path / 'a.wav', tone(), format=kind, subtype=subtype)
  whole, content = audio.read(path, 16_000), bytearray(path.read_bytes())
  data = content.index(b'data')
  content[data + 4 : data + 8] = bytes(4)
  if riff_size != 'of the file':
    size = data if riff_size == 'of the header' else 0
    content[4:8] = size.to_bytes(4, 'little')
  path.write_bytes(content)
  np.testing.assert_array_equal(audio.read(path, 16_000), whole)
  assert audio.duration(path) == 1.0
  path.write_bytes(content[: data + 8] + bytes(3200))  # Zeros are no chunks.
  assert len(audio.read(path, 16_000)) >= 800


def test_chunks_behind_an_empty_one_are_no_sound(tmp_path):
  path = written(tmp_path / 'a.wav', np.zeros(0))
  tags = b'LIST\x05\0\0\0INFO.\0' + b'id3 \x02\0\0\0..'
  path.write_bytes(path.read_bytes() + tags)
  assert reason(path).startswith('empty')


def test_damaged_flac_is_refused(tmp_path):
  noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
  path = written(tmp_path / 'a.flac', noise)
  content = bytearray(path.read_bytes())
  content[9_000:9_200] = b'\xaa' * 200
  path.write_bytes(content)
  assert reason(path) == 'truncated or damaged.'


def with_flac_length(path, num_samples):
  """Overwrites the number of samples, 36 bits of STREAMINFO."""
  content = bytearray(path.read_bytes())
  content[21] = (content[21] & 0xF0) | num_samples >> 32
  content[22:26] = (num_samples & 0xFFFFFFFF).to_bytes(4, 'big')
  path.write_bytes(content)
  return path


def test_a_header_that_claims_terabytes_takes_no_memory(tmp_path):
  path = written(tmp_path / 'a.flac', tone())
  assert reason(with_flac_length(path, 2**36 - 1)).startswith('truncated')


def test_flac_is_read_to_its_end_whatever_length_it_states(tmp_path):
  path = written(tmp_path / 'a.flac', tone())
  for length in (0, 700):
    assert len(audio.read(with_flac_length(path, length), 16_000)) == 16_000
  assert audio.duration(with_flac_length(path, 0)) == 1.0


def test_what_follows_the_sound_of_a_flac_file_is_no_error(tmp_path):
  path = written(tmp_path / 'a.flac', tone())
  path.write_bytes(path.read_bytes() + b'TAG' + bytes(125))
  assert len(audio.read(path, 16_000)) == 16_000


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('rate', [16_000, 44_100])
def test_one_bad_sample_is_enough_to_refuse(tmp_path, value, rate):
  samples = tone(rate)
  samples[-1] = value
  path = written(tmp_path / 'a.wav', samples, rate, subtype='FLOAT')
  assert reason(path) == 'holds NaN or infinite samples.'


def test_too_long_is_decided_without_decoding(tmp_path, monkeypatch):
  path = written(tmp_path / 'a.wav', tone(seconds=2.0))
  assert len(audio.read(path, 16_000, max_seconds=2.0)) == 32_000
  monkeypatch.setattr(audio._Sound, 'blocks', None)
  wanted = 'too long, 2.00 s; want at most 1.5 s.'
  assert reason(path, max_seconds=1.5) == wanted


def test_three_hours_are_refused_at_once(tmp_path):
  path = tmp_path / 'a.wav'
  with soundfile.SoundFile(path, 'w', 16_000, 1) as file:
    file.seek(3 * 3600 * 16_000 - 1)  # A hole: the file takes no disk.
    file.write(np.zeros(1))
  assert reason(path, max_seconds=20.0).startswith('too long, 10800.00 s')


def test_errors_are_the_users_and_cross_processes(tmp_path):
  with pytest.raises(config.UserError) as caught:
    audio.read(tmp_path / 'a.wav', 16_000)
  assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize('length', [0, 700, 2**36 - 1])
def test_the_maximum_holds_where_the_header_lies(tmp_path, length):
  path = written(tmp_path / 'a.flac', np.tile(tone(), 40))
  with pytest.raises(audio.TooLongError, match='want at most 1 s'):
    audio.read(with_flac_length(path, length), 16_000, max_seconds=1.0)


def test_silence_is_what_cannot_be_heard():
  assert audio.is_silent(np.zeros(0, np.float32))
  assert audio.is_silent(np.full(9, 9e-5, np.float32))
  assert not audio.is_silent(np.array([0, -2e-4], np.float32))
  assert audio.is_silent(np.full(9, -0.3, np.float32))
  assert not audio.is_silent(np.array([0.3, 0.3002], np.float32))
  assert not audio.is_silent(np.array([np.nan, 0], np.float32))


@pytest.mark.parametrize('rate', [16_000, 22_050])
@pytest.mark.parametrize(
  ('remainder', 'is_silent'), [(0, True), (1e-3, True), (4e-3, False)]
)
def test_channels_that_cancel_out_are_silent(
  tmp_path, rate, remainder, is_silent
):
  left = tone(rate)
  stereo = np.stack([left, (remainder - 1) * left], axis=1)
  path = written(tmp_path / 'a.wav', stereo, rate, subtype='FLOAT')
  assert audio.is_silent(audio.read(path, 16_000)) == is_silent
  stream = np.concatenate(list(audio.stream(path, 16_000)))
  assert audio.is_silent(stream) == is_silent


@pytest.mark.parametrize('rate', [8000, 16_000, 44_100])
def test_a_constant_stays_constant(tmp_path, rate):
  level = np.full(rate, 0.3)
  path = written(tmp_path / 'a.wav', level, rate, subtype='FLOAT')
  waveform = audio.read(path, 16_000)
  np.testing.assert_allclose(waveform, np.full(16_000, 0.3), atol=1e-6)
  assert audio.is_silent(waveform)
  assert audio.is_silent(np.concatenate(list(audio.stream(path, 16_000))))


@pytest.mark.parametrize('rate', [8000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize('seconds', [1e-4, 0.05, 40.0])
def test_a_stream_is_what_is_read(tmp_path, rate, seconds):
  noise = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * rate))
  path = written(tmp_path / 'a.wav', noise, rate)
  blocks = list(audio.stream(path, 16_000))
  assert max(map(len, blocks)) < 700_000
  stream, whole = np.concatenate(blocks), audio.read(path, 16_000)
  assert abs(len(stream) - len(whole)) <= 1
  shared = min(len(stream), len(whole))
  np.testing.assert_allclose(stream[:shared], whole[:shared], atol=1e-6)


@pytest.mark.parametrize('rate', [8000, 16_000])
def test_a_stream_refuses_what_is_not_read(tmp_path, rate):
  late = np.zeros(300_000)
  late[-1] = np.nan
  bad = written(tmp_path / 'a.wav', late, rate, subtype='FLOAT')
  cut_short = cut(written(tmp_path / 'b.flac', tone(seconds=90)), 0.9)
  for path in (bad, cut_short, tmp_path / 'none.wav'):
    with pytest.raises(audio.AudioError) as caught:
      list(audio.stream(path, 16_000))
    message = str(caught.value).removeprefix(f'{path}: ')
    assert message == reason(path)


def test_import_takes_neither_jax_nor_librosa():
  program = (
    'import sys; from fedjax_asr.speech import audio, features, text; '
    'print({"jax", "librosa"} & set(sys.modules))'
  )
  done = subprocess.run(
    [sys.executable, '-c', program], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == 'set()'


def test_real_speech_is_as_long_as_its_manifest_says():
  folder = DATA / 'librispeech_100'
  if not folder.exists():
    pytest.skip(f'{folder} is absent')
  for path in sorted((folder / 'flac').glob('*.flac'))[:5]:
    waveform = audio.read(path, 16_000)
    assert len(waveform) / 16_000 == audio.duration(path)
    assert 0.01 < np.sqrt(np.mean(waveform**2)) < 0.3


def test_real_digits_are_resampled():
  path = DATA / 'fsdd' / 'recordings' / '7_jackson_0.wav'
  if not path.exists():
    pytest.skip(f'{path} is absent')
  assert soundfile.info(path).samplerate == 8_000
  waveform = audio.read(path, 16_000)
  assert len(waveform) == 2 * soundfile.info(path).frames


@pytest.mark.parametrize('ending', ['wav', 'flac', 'ogg', 'mp3'])
def test_the_sample_rate_is_that_of_the_file(tmp_path, ending):
  for rate in (16_000, 44_100):
    path = tmp_path / f'{rate}.{ending}'
    soundfile.write(path, np.linspace(-0.5, 0.5, 9000), rate)
    assert audio.sample_rate(path) == rate
    # A tag, which libsndfile finds its way past or not.
    path.write_bytes(b'ID3\x04\x00\x00\x00\x00\x00\x01\x00' + path.read_bytes())
    if ending in ('flac', 'mp3'):
      assert audio.sample_rate(path) == rate
  path.write_bytes(b'no audio')
  with pytest.raises(audio.AudioError, match='not audio'):
    audio.sample_rate(path)
