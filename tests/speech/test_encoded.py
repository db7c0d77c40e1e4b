"""Encoded files that libsndfile alone would cut short or refuse."""

import io
import struct

import numpy as np
import pytest
import soundfile

from fedjax_asr.speech import audio, ogg, spliced


def tone(seconds=1.0, rate=16_000, frequency=440.0):
  times = np.arange(round(rate * seconds)) / rate
  return (0.5 * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def encode(samples, kind, rate=16_000, **options):
  """The bytes of a file of this (format, subtype)."""
  file = io.BytesIO()
  container, subtype = kind
  soundfile.write(
    file, samples, rate, format=container, subtype=subtype, **options
  )
  return file.getvalue()


def length(folder, content, rate=16_000):
  """Samples that are read; stream and duration agree."""
  path = folder / 'file'
  path.write_bytes(content)
  waveform = audio.read(path, rate)
  joined = np.concatenate(list(audio.stream(path, rate)))
  assert abs(len(waveform) - len(joined)) <= 2
  assert audio.duration(path) == pytest.approx(len(waveform) / rate, abs=1e-3)
  return len(waveform)


def reason(folder, content):
  path = folder / 'file'
  path.write_bytes(content)
  with pytest.raises(audio.AudioError) as caught:
    audio.read(path, 16_000)
  with pytest.raises(audio.AudioError):
    list(audio.stream(path, 16_000))
  return str(caught.value).removeprefix(f'{path}: ')


WAV, U8 = ('WAV', 'PCM_16'), ('WAV', 'PCM_U8')
FLAC, VORBIS, OPUS = ('FLAC', 'PCM_16'), ('OGG', 'VORBIS'), ('OGG', 'OPUS')
MP3 = ('MP3', 'MPEG_LAYER_III')


@pytest.mark.parametrize('kind', [WAV, FLAC, VORBIS, OPUS, MP3])
def test_joined_files_are_read_one_after_another(tmp_path, kind):
  content = b''.join(
    encode(tone(frequency=hertz), kind) for hertz in (440, 880, 1760)
  )
  assert length(tmp_path, content) == 48_000
  waveform = audio.read(tmp_path / 'file', 16_000)
  for index, hertz in enumerate((440, 880, 1760)):
    inner = slice(16_000 * index + 4000, 16_000 * index + 12_000)
    spectrum = np.abs(np.fft.rfft(waveform[inner]))
    assert np.argmax(spectrum) == hertz / 2  # Bins of 2 Hz.


@pytest.mark.parametrize('kind', [WAV, FLAC, VORBIS, MP3])
def test_joined_files_may_differ_in_rate_and_channels(tmp_path, kind):
  stereo = np.stack([tone(rate=44_100)] * 2, axis=1)
  content = encode(tone(), kind) + encode(stereo, kind, rate=44_100)
  assert length(tmp_path, content) == pytest.approx(32_000, abs=2)


@pytest.mark.parametrize('kind', [WAV, FLAC, VORBIS, MP3])
def test_the_maximum_is_that_of_all_joined(tmp_path, kind):
  path = tmp_path / 'file'
  path.write_bytes(encode(tone(), kind) * 3)
  assert len(audio.read(path, 16_000, max_seconds=3.0)) == 48_000
  with pytest.raises(audio.TooLongError):
    audio.read(path, 16_000, max_seconds=2.5)


@pytest.mark.parametrize('kind', [WAV, FLAC, VORBIS, MP3])
def test_the_last_of_joined_files_may_not_be_cut(tmp_path, kind):
  noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
  content = encode(noise, kind) * 2
  assert reason(tmp_path, content[: -len(content) // 5])[:9] == 'truncated'


def test_joined_wav_files_may_have_an_odd_number_of_bytes(tmp_path):
  assert length(tmp_path, encode(tone()[:9999], U8) * 3) == 29_997


def without_info(mp3):
  """An MP3 file without the frame that tells how many frames there are."""
  assert mp3[13:17] in (b'Info', b'Xing')
  # MPEG-2, layer III, 16 kHz.
  rates = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
  return mp3[72 * 1000 * rates[mp3[2] >> 4] // 16_000 + (mp3[2] >> 1 & 1) :]


def varied(first):
  """Seconds of noise and of silence: frames of very different sizes."""
  noise = np.random.default_rng(0).normal(0, 0.1, 16_000 * 3)
  parts = [noise, np.zeros(16_000 * 3)]
  samples = np.concatenate(parts if first == 'noise' else parts[::-1])
  return encode(samples, MP3, bitrate_mode='VARIABLE', compression_level=0.2)


@pytest.mark.parametrize('first', ['noise', 'silence'])
def test_mp3_of_varying_bit_rate_is_counted_not_guessed(tmp_path, first):
  content = varied(first)
  assert length(tmp_path, content) == 96_000
  # Nothing tells the padding of the last frames.
  assert 96_000 <= length(tmp_path, without_info(content)) < 96_000 + 2000


def id3(size):
  """A tag that holds a picture of so many bytes, which look like frames."""
  picture = b'\xff\xe3\x18\xc4' * (size // 4)
  body = b'APIC' + struct.pack('>I', size + 3) + b'\0\0' + b'\0\0\0' + picture
  digits = [len(body) >> shift & 127 for shift in (21, 14, 7, 0)]
  return b'ID3\x03\0\0' + bytes(digits) + body


@pytest.mark.parametrize('size', [40, 300_000])
@pytest.mark.parametrize('has_info', [True, False])
def test_tags_of_any_size_are_no_sound(tmp_path, size, has_info):
  content = encode(tone(), MP3)
  content = content if has_info else without_info(content)
  plain = length(tmp_path, content)
  assert length(tmp_path, id3(size) + content) == plain
  assert length(tmp_path, id3(size) + content + b'TAG' + bytes(125)) == plain
  twice = length(tmp_path, (id3(size) + content) * 2)
  assert twice == pytest.approx(2 * plain, abs=1200)
  flac = encode(tone(), FLAC)
  assert length(tmp_path, id3(size) + flac) == 16_000


def test_an_mp3_that_is_longer_than_it_says_is_read_to_its_end(tmp_path):
  content = encode(tone(), MP3)
  longer = length(tmp_path, content + without_info(content))
  assert 32_000 <= longer < 36_000


def test_an_info_frame_with_a_checksum_is_one(tmp_path):
  content = bytearray(encode(tone(), MP3))
  content[1] &= 0xFE
  content[4:6] = b'\xd2\xdc'
  assert length(tmp_path, bytes(content)) == 16_000


def test_an_mp3_without_all_of_its_frames_is_refused(tmp_path):
  content = encode(tone(), MP3)
  assert 'frames of the' in reason(tmp_path, content[: len(content) // 2])


def test_noise_behind_a_tag_is_no_mp3(tmp_path):
  noise = np.random.default_rng(0).bytes(300_000)
  assert reason(tmp_path, id3(40) + noise).startswith('not audio')


def last_page(content):
  return content.rfind(b'OggS')


@pytest.mark.parametrize('kind', [VORBIS, OPUS])
def test_ogg_needs_no_flag_at_its_end(tmp_path, kind):
  """As a recorder leaves it that is stopped."""
  content = encode(np.tile(tone(), 20), kind)
  page = content[last_page(content) :]
  assert page[5] == 4
  unflagged = bytes([*page[:5], 0, *page[6:]])
  unflagged = unflagged[:22] + ogg._checksum(unflagged) + unflagged[26:]
  recorded = content[: last_page(content)] + unflagged
  assert length(tmp_path, recorded) == 320_000
  assert length(tmp_path, recorded * 2) == 640_000
  # Without its last page it is as much as came.
  assert 0 < length(tmp_path, content[: last_page(content)]) < 320_000


@pytest.mark.parametrize('kind', [VORBIS, OPUS])
@pytest.mark.parametrize('place', [10, 26, 40, -1])
def test_ogg_cut_within_its_last_page_is_refused(tmp_path, kind, place):
  content = encode(np.tile(tone(), 20), kind)
  end = last_page(content) + place if place > 0 else -1
  assert reason(tmp_path, content[:end]).startswith('truncated')


@pytest.mark.parametrize('kind', [VORBIS, OPUS])
def test_a_damaged_or_missing_page_is_not_passed_over(tmp_path, kind):
  content = encode(np.tile(tone(), 20), kind)
  damaged = bytearray(content)
  damaged[-5] ^= 255
  assert reason(tmp_path, bytes(damaged)).startswith('damaged, its last Ogg')
  middle = content.find(b'OggS', len(content) // 2)
  after = content.find(b'OggS', middle + 1)
  lost = content[:middle] + content[after:]
  assert reason(tmp_path, lost).startswith('truncated')


def test_bytes_between_pages_are_passed_over(tmp_path):
  content = encode(np.tile(tone(), 20), VORBIS)
  middle = content.find(b'OggS', len(content) // 2)
  between = content[:middle] + b'junk' * 50_000 + content[middle:]
  assert length(tmp_path, between) == 320_000


def test_an_ogg_marker_alone_is_refused(tmp_path):
  for content in (b'OggS', b'OggS' + bytes(1000)):
    assert reason(tmp_path, content).startswith('damaged, without the start')


def test_spliced_pieces_are_one_file(tmp_path):
  (tmp_path / 'digits').write_bytes(b'0123456789')
  pieces = [spliced.Stretch(2, 5), b'ab', b'', spliced.Stretch(9, 10)]
  whole = b'234ab9'
  with (tmp_path / 'digits').open('rb') as file:
    found = spliced.SplicedFile(file, pieces)
    assert found.read() == whole
    for start in range(8):
      for count in range(8):
        found.seek(start)
        assert found.read(count) == whole[start : start + count]
    assert found.seek(-2, 2) == 4
    assert found.read() == b'b9'
