"""Recordings in windows, against the same at once."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.decoding import long_form, text_decoder
from fedjax_asr.models import model
from fedjax_asr.presets import models
from fedjax_asr.speech import alphabets, audio, features, spelling, windows

CFG = config.FeaturesConfig(
  sample_rate=1000,
  window_ms=25.0,
  hop_ms=10.0,
  fft_size=56,
  num_features=alphabets.ENGLISH.size,
  num_mels=alphabets.ENGLISH.size,
  kind=config.FeatureKind.LOG_SPECTROGRAM,
  normalization=config.Normalization.NONE,
)
GREEDY = text_decoder.chosen(config.DecodeConfig(), alphabets.ENGLISH)
shapes = []


def _apply(params, norm_state, values, num_frames, *, train):
  """The features of every second frame are the logits."""
  assert not train
  shapes.append(values.shape)
  return values[:, ::2] * params['scale'], -(-num_frames // 2), norm_state


LOCAL = model.Model(lambda key: ({}, {}), _apply, lambda n: -(-n // 2))


def _listener(seconds=2.0, overlap=0.4, params=1.0, **changes):
  cfg = config.FeaturesConfig(**(_fields() | changes))
  sizes = windows.layout(seconds, overlap, 2, cfg)
  params = {'scale': jnp.float32(params)}
  return long_form.Listener(LOCAL, params, {}, cfg, None, sizes)


def _fields():
  return {name: getattr(CFG, name) for name in CFG.__slots__}


def _speech(seconds, seed=0):
  """Tones that come and go: no two windows alike."""
  rng = np.random.default_rng(seed)
  count = int(1000 * seconds)
  pitch = np.repeat(rng.uniform(0, 500, count // 60 + 1), 60)[:count]
  return np.sin(2 * np.pi * np.cumsum(pitch) / 1000).astype(np.float32)


def _recognized(waveform, listener, decoder=GREEDY, report=lambda done: None):
  blocks = np.array_split(waveform, max(1, len(waveform) // 900))
  return long_form.recognized(
    blocks, listener, decoder, alphabets.ENGLISH, report
  )


def _at_once(waveform):
  logits = features.extract(waveform, CFG)[::2]
  (heard,) = GREEDY(logits[None], np.array([len(logits)]))
  return ' '.join(heard.split())


@pytest.mark.parametrize('seconds', [0.5, 1.9, 2.0, 2.1, 3.7, 20.0])
def test_windows_of_a_local_model_read_as_the_whole(seconds):
  waveform = _speech(seconds)
  result = _recognized(waveform, _listener())
  assert result.text == _at_once(waveform)
  assert len(result.text) > 5
  assert result.seconds == pytest.approx(seconds)


def test_segments_follow_each_other_and_hold_the_text():
  result = _recognized(_speech(20.0), _listener())
  assert len(result.segments) > 5
  times = [(item.start, item.end) for item in result.segments]
  assert times[0][0] == 0.0
  assert times[-1][1] == pytest.approx(20.0)
  assert all(a[1] == b[0] for a, b in itertools.pairwise(times))
  together = ''.join(item.text for item in result.segments)
  assert together.replace(' ', '') == result.text.replace(' ', '')


@pytest.mark.parametrize('share_of_spaces', [0.0, 0.05])
def test_decoding_in_pieces_is_decoding_at_once(share_of_spaces):
  """Pieces of random logits, most of them blank, with repeats at the cuts."""
  rng = np.random.default_rng(1)
  path = rng.choice([0, 0, 0, 3, 4], 4000).repeat(2)
  spaces = rng.random(len(path)) < share_of_spaces
  path = np.where(spaces, 1, path)
  logits = 5 * np.eye(29, dtype=np.float32)[path]
  joined = long_form._Joined(GREEDY, alphabets.ENGLISH, 0.02)
  for piece in np.array_split(logits, 13):
    joined.add(piece)
  joined.finish(160.0)
  (want,) = GREEDY(logits[None], np.array([len(logits)]))
  assert joined.text.split() == want.split()
  assert len(joined.segments) >= 13


def test_words_are_not_joined_where_a_decoder_trims_them():
  def trimmed(logits, num_frames):
    return [item.strip() for item in GREEDY(logits, num_frames)]

  path = alphabets.ENGLISH.encode('left turn now')
  path = np.stack([path, np.zeros_like(path)], 1).ravel()
  joined = long_form._Joined(trimmed, alphabets.ENGLISH, 0.02)
  for symbol in path:
    joined.add(5 * np.eye(29, dtype=np.float32)[[symbol]])
  joined.finish(1.0)
  assert joined.text == 'left turn now'


def test_what_waits_is_bounded(monkeypatch):
  """Of a model that gives neither spaces nor blanks."""
  monkeypatch.setattr(long_form, '_MAX_WAITING', 70)
  joined = long_form._Joined(GREEDY, alphabets.ENGLISH, 0.02)
  path = np.arange(200) % 26 + 3
  for piece in np.array_split(5 * np.eye(29, dtype=np.float32)[path], 10):
    joined.add(piece)
  joined.finish(4.0)
  assert joined.text == alphabets.ENGLISH.decode(path)
  assert [item.end for item in joined.segments] == pytest.approx([1.6, 3.2, 4])


def test_silence_has_no_text_and_never_reaches_the_model():
  listener = _listener(normalization=config.Normalization.UTTERANCE)
  shapes.clear()
  result = _recognized(np.zeros(9000, np.float32), listener)
  assert (result.text, result.is_silent, shapes) == ('', True, [])
  quiet = np.full(9000, 0.5 * audio.SILENCE, np.float32)
  assert _recognized(quiet, listener).is_silent


def test_a_constant_level_is_silent():
  listener = _listener(normalization=config.Normalization.UTTERANCE)
  result = _recognized(np.full(9000, 0.3, np.float32), listener)
  assert (result.text, result.is_silent) == ('', True)


def test_speech_after_silence_is_heard():
  speech = _speech(3.0)
  waveform = np.concatenate([np.zeros(8000, np.float32), speech])
  result = _recognized(waveform, _listener())
  assert not result.is_silent
  heard = [item for item in result.segments if item.text]
  assert heard[0].end > 8.0
  assert result.text.endswith(_at_once(speech)[-8:])


def test_shapes_are_at_most_four():
  shapes.clear()
  listener = _listener()
  for seconds in np.linspace(0.1, 6.0, 40):
    _recognized(_speech(seconds), listener)
  lengths = [shape[1] for shape in shapes]
  # Parts of a window of 200 frames; each is traced once.
  assert sorted(lengths) == [25, 50, 100, 200]


def test_model_that_diverged_is_one_line():
  listener = _listener(params=np.nan)
  with pytest.raises(config.UserError, match='not finite'):
    _recognized(_speech(1.0), listener)


def test_progress_ends_with_the_recording():
  told = []
  result = _recognized(_speech(9.0), _listener(), report=told.append)
  assert told == sorted(told)
  assert told[-1] == result.seconds


def test_time_stride_is_that_of_the_architecture():
  ds2, ds1 = models.ds2('tiny'), models.ds1('paper')
  assert long_form.time_stride(model.acoustic(ds2, 80)) == 4
  assert long_form.time_stride(model.acoustic(ds1, 80)) == 2


def test_mandarin_is_cut_at_blanks_and_gets_no_space():
  alphabet, _ = alphabets.of_texts(['一二三四'], spelling.Rules())
  greedily = text_decoder.chosen(config.DecodeConfig(), alphabet)
  rng = np.random.default_rng(2)
  path = rng.choice([0, 0, 1, 2, 3, 4], 400).repeat(2)
  logits = 5 * np.eye(5, dtype=np.float32)[path]
  joined = long_form._Joined(greedily, alphabet, 0.02)
  for piece in np.array_split(logits, 13):
    joined.add(piece)
  joined.finish(16.0)
  (want,) = greedily(logits[None], np.array([len(logits)]))
  assert joined.text == want
  assert len(joined.segments) >= 13


def test_units_are_cut_where_a_word_begins():
  """What reads them drops the space before the first word."""
  symbols = ['\u2581left', '\u2581turn', 's', '\u2581now']
  alphabet = alphabets.Alphabet(alphabets.Kind.UNITS, symbols)
  greedily = text_decoder.chosen(config.DecodeConfig(), alphabet)
  joined = long_form._Joined(greedily, alphabet, 0.02)
  for symbol in [1, 0, 2, 0, 0, 3, 0, 4, 0, 0]:
    joined.add(5 * np.eye(5, dtype=np.float32)[[symbol] * 2])
  joined.finish(1.0)
  assert joined.text == 'left turns now'
