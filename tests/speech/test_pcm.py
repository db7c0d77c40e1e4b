"""Samples from pipes, against libsndfile on the same file."""

import io
import struct

import numpy as np
import pytest
import soundfile

from fedjax_asr.speech import audio, pcm

_SUBTYPES = ['PCM_U8', 'PCM_16', 'PCM_24', 'PCM_32', 'FLOAT', 'DOUBLE']


class Trickle(io.BytesIO):
  """A pipe that gives a few bytes at a time."""

  def __init__(self, content, size=13):
    super().__init__(content)
    self._size = size

  def read1(self, count=-1):
    return self.read(min(count, self._size))


def noise(count=500, channels=1):
  shape = (count, channels) if channels > 1 else count
  return np.random.default_rng(0).uniform(-0.5, 0.5, shape)


def wav(samples, rate=16_000, subtype='PCM_16', **options):
  file = io.BytesIO()
  soundfile.write(file, samples, rate, format='WAV', subtype=subtype, **options)
  return file.getvalue()


def heard(content, rate=16_000, raw_rate=0, size=13):
  blocks = pcm.blocks(Trickle(content, size), rate, raw_rate)
  return np.concatenate([*blocks])


@pytest.mark.parametrize('subtype', _SUBTYPES)
@pytest.mark.parametrize('channels', [1, 2])
def test_a_wav_is_what_libsndfile_reads(subtype, channels):
  content = wav(noise(channels=channels), subtype=subtype)
  want, _ = soundfile.read(io.BytesIO(content), dtype='float32', always_2d=True)
  np.testing.assert_allclose(heard(content), want.mean(1), atol=1e-7)


def test_an_extensible_wav_is_read():
  content = io.BytesIO()
  soundfile.write(content, noise(), 8000, format='WAVEX', subtype='PCM_16')
  got = heard(content.getvalue(), rate=8000)
  np.testing.assert_allclose(got, noise(), atol=1e-4)


@pytest.mark.parametrize('size', [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_whose_size_is_not_known_is_read_to_its_end(size):
  content = bytearray(wav(noise()))
  at = content.index(b'data') + 4
  content[at : at + 4] = struct.pack('<I', size)
  assert len(heard(bytes(content))) == 500


def test_another_rate_is_resampled_as_a_files_is(tmp_path):
  content = wav(noise(4000), rate=8000)
  (tmp_path / 'a.wav').write_bytes(content)
  want = np.concatenate([*audio.stream(tmp_path / 'a.wav', 16_000)])
  got = heard(content, size=777)
  assert abs(len(got) - len(want)) <= 1
  count = min(len(got), len(want))
  np.testing.assert_allclose(got[:count], want[:count], atol=1e-4)


def test_raw_samples_are_of_the_stated_rate():
  samples = np.int16([0, 1, -1, 2**15 - 1, -(2**15)])
  got = heard(samples.astype('<i2').tobytes(), raw_rate=16_000)
  np.testing.assert_array_equal(got, samples / 2**15)


@pytest.mark.parametrize(
  ('content', 'raw_rate', 'message'),
  [
    (b'', 0, 'input: empty, holds no bytes.'),
    (b'', 8000, 'input: empty, holds no bytes.'),
    (b'\1\2\3\4\5\6', 0, 'no WAV; want one, or raw PCM of 16 bits'),
    (b'RIFF\0\0', 0, 'no WAV'),
    (wav(noise()), 16_000, 'a WAV; want config.transcribe.raw_rate=0'),
    (wav(noise())[:20], 0, 'truncated, ends within its header.'),
    (wav(noise())[:44], 0, 'truncated, 0 bytes of the 1000 promised.'),
    (wav(noise(0)), 0, 'empty, holds no samples.'),
    (wav(noise(), subtype='ULAW'), 0, 'a WAV of format 7, 8 bits'),
    (
      wav(np.full(9, np.nan), subtype='FLOAT'),
      0,
      'holds NaN or infinite samples.',
    ),
  ],
)
def test_what_cannot_be_read_is_said(content, raw_rate, message):
  with pytest.raises(audio.AudioError) as error:
    heard(content, raw_rate=raw_rate)
  assert message in str(error.value)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('rate', [16_000, 8000])
@pytest.mark.parametrize(
  ('cut', 'message'),
  [(101, 'cut within a sample, 1 of 2 bytes.'), (100, 'truncated, 900 bytes')],
)
def test_what_is_cut_short_is_heard_first(rate, cut, message):
  found, blocks = [], pcm.blocks(Trickle(wav(noise())[:-cut]), rate)
  with pytest.raises(audio.AudioError, match=message):
    found.extend(blocks)
  want = (1000 - cut) // 2 * rate // 16_000
  assert abs(sum(map(len, found)) - want) <= 1


def test_raw_samples_may_be_cut_within_one():
  found = []
  with pytest.raises(audio.AudioError, match='cut within a sample, 1 of 2'):
    found.extend(pcm.blocks(io.BytesIO(b'\0' * 11), 16_000, 16_000))
  assert sum(map(len, found)) == 5
