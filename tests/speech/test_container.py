"""Recordings in containers of FFmpeg, against what was encoded."""

import io

import numpy as np
import pytest
import soundfile

from fedjax_asr import config
from fedjax_asr.corpora import extraction, store, utterance
from fedjax_asr.speech import audio, file_part, formats, segments

av = pytest.importorskip('av')

RATE = 48_000
SECONDS = np.arange(3 * RATE) / RATE
# A sweep from 200 to 1,400 Hz, which is nowhere like itself.
SWEEP = 0.3 * np.sin(2 * np.pi * (200 + 200 * SECONDS) * SECONDS)
# Ending, codec, format, options of the writer.
M4A = ('.m4a', 'aac', 'mp4', {})
STREAMED_M4A = ('.m4a', 'aac', 'mp4', {'movflags': 'faststart'})
WEBM = ('.webm', 'libopus', 'webm', {})
LIVE_WEBM = ('.webm', 'libopus', 'webm', {'live': '1'})
AAC = ('.aac', 'aac', 'adts', {})
ALAC = ('.m4a', 'alac', 'mp4', {})
MKV = ('.mkv', 'flac', 'matroska', {})
ALL = [M4A, STREAMED_M4A, WEBM, LIVE_WEBM, AAC, ALAC, MKV]


def write(folder, kind, channels=(SWEEP,), rate=RATE):
  ending, codec, container, options = kind
  path = folder / f'sound{ending}'
  layout = 'mono' if len(channels) == 1 else 'stereo'
  samples = np.array(channels, np.float32)
  with av.open(str(path), 'w', format=container, options=options) as out:
    stream = out.add_stream(codec, rate=rate)
    stream.layout = layout
    frame = av.AudioFrame.from_ndarray(samples, format='fltp', layout=layout)
    frame.sample_rate, frame.pts = rate, 0
    resampler = av.AudioResampler(
      format=stream.format,
      layout=layout,
      rate=rate,
      frame_size=stream.codec_context.frame_size or 0,
    )
    for part in (*resampler.resample(frame), *resampler.resample(None)):
      out.mux(stream.encode(part))
    out.mux(stream.encode(None))
  return path


@pytest.mark.parametrize('kind', ALL, ids=lambda kind: f'{kind[1]}{kind[0]}')
def test_what_was_encoded_is_read_in_its_place_and_length(tmp_path, kind):
  path = write(tmp_path, kind)
  got = audio.read(path, RATE)
  # ADTS cannot say what its codec put before the sound and after it.
  start = 1024 if kind is AAC else 0
  assert len(got) - start == pytest.approx(len(SWEEP), abs=1024)
  assert audio.duration(path) == pytest.approx(len(got) / RATE, abs=0.03)
  size = min(len(got) - start, len(SWEEP))
  got, wanted = got[start : start + size], SWEEP[:size]
  shifted = [np.dot(np.roll(got, lag), wanted) for lag in range(-5, 6)]
  assert np.argmax(shifted) == 5
  lossless = kind in (ALAC, MKV)
  bound = 1e-4 if lossless else 0.15 * SWEEP.std()
  assert (got - wanted)[1000:-1000].std() < bound
  if lossless:
    assert len(got) == len(SWEEP)


def test_channels_are_averaged_and_the_rate_is_as_asked(tmp_path):
  path = write(tmp_path, ALAC, (SWEEP, np.zeros_like(SWEEP)))
  np.testing.assert_allclose(audio.read(path, RATE), SWEEP / 2, atol=1e-4)
  assert len(audio.read(path, 16_000)) == len(SWEEP) // 3
  opposite = write(tmp_path, ALAC, (SWEEP, -SWEEP))
  assert audio.is_silent(audio.read(opposite, RATE))


def test_blocks_and_segments_are_stretches_of_the_whole(tmp_path):
  path = write(tmp_path, M4A)
  whole = audio.read(path, RATE)
  np.testing.assert_array_equal(
    np.concatenate([*audio.stream(path, RATE)]), whole
  )
  part = segments.read(str(path), RATE, 1.0, 0.5)
  np.testing.assert_array_equal(part, whole[RATE : RATE + RATE // 2])
  with pytest.raises(segments.SegmentError, match=r'ends at 3\.0\d s'):
    segments.read(str(path), RATE, 2.0, 1.5)
  with pytest.raises(audio.TooLongError, match=r'too long, 3\.0\d s'):
    audio.read(path, RATE, 2.5)


def test_a_part_of_a_file_is_read_as_a_file(tmp_path):
  content = write(tmp_path, M4A).read_bytes()
  (tmp_path / 'shard').write_bytes(b'before' + content + b'behind')
  part = file_part.FilePart(
    str(tmp_path / 'shard'), 6, 6 + len(content), 'a.m4a'
  )
  np.testing.assert_array_equal(
    audio.read(part, RATE), audio.read(tmp_path / 'sound.m4a', RATE)
  )


@pytest.mark.parametrize('kind', [M4A, STREAMED_M4A, WEBM, AAC, ALAC, MKV])
@pytest.mark.parametrize('fraction', [0.3, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_refused(tmp_path, kind, fraction):
  path = write(tmp_path, kind)
  content = path.read_bytes()
  path.write_bytes(content[: int(fraction * len(content))])
  with pytest.raises(audio.AudioError, match=r'sound\.\w+: truncated'):
    audio.read(path, RATE)


def test_a_file_that_ends_with_a_whole_packet_is_refused_all_the_same(tmp_path):
  path = write(tmp_path, STREAMED_M4A)
  with av.open(str(path)) as container:
    places = [packet.pos for packet in container.demux(audio=0)]
  path.write_bytes(path.read_bytes()[: places[len(places) // 2]])
  with pytest.raises(audio.AudioError, match=r'truncated, \d+ samples of the'):
    audio.read(path, RATE)


def test_a_last_packet_that_is_cut_is_noticed_where_it_can_be_decoded(tmp_path):
  path = write(
    tmp_path, ('.mov', 'pcm_s16le', 'mov', {'movflags': 'faststart'})
  )
  whole = path.read_bytes()
  assert len(audio.read(path, RATE)) == len(SWEEP)
  path.write_bytes(whole[:-100])
  with pytest.raises(audio.AudioError, match='truncated or damaged'):
    audio.read(path, RATE)


def test_a_recording_of_a_browser_that_was_stopped_is_read(tmp_path):
  """It has no length, so that nobody can tell that it was stopped."""
  path = write(tmp_path, LIVE_WEBM)
  content = path.read_bytes()
  path.write_bytes(content[: len(content) // 2])
  assert 1.0 < audio.duration(path) < 2.0


@pytest.mark.parametrize('content', [b'no sound', bytes(10_000)])
def test_what_is_no_recording_is_refused(tmp_path, content):
  path = tmp_path / 'a.m4a'
  path.write_bytes(content)
  with pytest.raises(audio.AudioError, match=r'a\.m4a: truncated or damaged, '):
    audio.read(path, RATE)


def test_a_film_without_sound_is_refused(tmp_path):
  path = tmp_path / 'a.mp4'
  with av.open(str(path), 'w') as out:
    stream = out.add_stream('mpeg4', rate=25)
    stream.width = stream.height = 16
    frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))
    out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
  with pytest.raises(audio.AudioError, match=r'a\.mp4: no sound in it\.'):
    audio.read(path, RATE)


def test_without_the_extra_the_reason_names_it(tmp_path, monkeypatch):
  path = write(tmp_path, M4A)
  monkeypatch.setattr(formats, 'has_decoder', lambda: False)
  item = utterance.Utterance(
    'a', 's', 'one', 0.0, utterance.AudioFile(str(path))
  )
  (found,) = extraction.extract([item], config.FeaturesConfig(), 20.0)
  result = found.outcome
  assert result.kind == 'unreadable'
  assert result.reason.endswith("or run: pip install 'fedjax_asr[formats]'.")
  assert '\n' not in result.reason


def test_features_are_computed_again_once_the_extra_is_there(
  tmp_path, monkeypatch
):
  path = write(tmp_path, M4A)
  items = [
    utterance.Utterance('a', 's', 'one', 0.0, utterance.AudioFile(str(path)))
  ]
  data = config.DataConfig(cache_dir=str(tmp_path), num_workers=1)

  def frames():
    found = store.open_or_build(
      items, data, config.FeaturesConfig(), lambda *_: None
    )
    return found.num_frames.tolist()

  with monkeypatch.context() as patch:
    patch.setattr(formats, 'has_decoder', lambda: False)
    assert frames() == [0]
  assert frames()[0] == pytest.approx(300, abs=3)


def test_what_libsndfile_reads_is_not_decoded_by_another(tmp_path, monkeypatch):
  """Its samples stay those of the runs before."""
  monkeypatch.setattr(av, 'open', None)
  file = io.BytesIO()
  soundfile.write(file, SWEEP, RATE, format='OGG')
  for ending in ('.ogg', '.oga', '.opus'):
    (tmp_path / f'a{ending}').write_bytes(file.getvalue())
    assert len(audio.read(tmp_path / f'a{ending}', RATE)) == len(SWEEP)
