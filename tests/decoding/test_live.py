"""A stream's logits and words, against those of the recording as a whole."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import streamed_model

from fedjax_asr import config
from fedjax_asr.decoding import greedy, live
from fedjax_asr.speech import alphabets, features

STATISTICS = features.Statistics(
  mean=np.full(6, -5, np.float32), std=np.full(6, 2, np.float32)
)
HOP, STRIDE = 10, 4


def listener(chunk_outputs, cfg=None):
  _, params, norm_state = streamed_model.trained()
  return live.Listener(
    cfg or streamed_model.run_config(),
    params,
    norm_state,
    STATISTICS,
    alphabets.ENGLISH,
    chunk_outputs * STRIDE * HOP / 1000,
  )


def speech(num_samples, seed=0):
  """Noise whose colour changes, so that what is heard does, too."""
  rng = np.random.default_rng(seed)
  pitch = np.repeat(rng.uniform(0, 500, num_samples // 60 + 1), 60)
  tones = np.sin(2 * np.pi * np.cumsum(pitch[:num_samples]) / 1000)
  return (tones + 0.1 * rng.normal(size=num_samples)).astype(np.float32)


def whole(waveform):
  acoustic, params, norm_state = streamed_model.trained()
  values = features.normalize(
    features.extract(waveform, streamed_model.run_config().features),
    config.Normalization.RUNNING,
    STATISTICS,
  )
  logits, num_outputs, _ = jax.jit(
    functools.partial(acoustic.apply, train=False)
  )(params, norm_state, values[None], np.array([len(values)]))
  logits, num_outputs = np.asarray(logits), np.asarray(num_outputs)
  (text,) = greedy.texts(logits, num_outputs, alphabets.ENGLISH)
  return jax.nn.log_softmax(logits[0, : num_outputs[0]]), text


def streamed(heard, waveform, block_frames):
  """Log-probabilities, and words as they come."""
  stream = heard.stream()
  words = live.GreedyWords(alphabets.ENGLISH, heard.output_seconds)
  size, logits, found = block_frames * HOP, [], []
  for start in range(0, len(waveform), size):
    logits.append(stream.add(waveform[start : start + size]))
    found += words.add(logits[-1].argmax(1))
  logits.append(stream.finish())
  found += words.add(logits[-1].argmax(1)) + words.finish()
  return jax.nn.log_softmax(jnp.concatenate(logits)), found


@pytest.mark.parametrize('chunk_outputs', [1, 5])
def test_text_is_that_of_the_whole_whatever_comes_at_once(chunk_outputs):
  waveform = speech(2345)
  want, text = whole(waveform)
  assert len(text.split()) > 2
  assert len(set(text)) > 5
  heard = listener(chunk_outputs)
  for block_frames in (1, 7, 100, 1000):
    log_probs, words = streamed(heard, waveform, block_frames)
    np.testing.assert_allclose(log_probs, want, rtol=1e-4, atol=1e-4)
    assert ' '.join(word.text for word in words) == ' '.join(text.split())
  # Streams of any length and blocks of any size are one compiled program.
  streamed(heard, waveform[:333], 3)
  assert heard._step._cache_size() == 1


@pytest.mark.parametrize('num_samples', [1, 24, 25, 36, 400])
def test_streams_may_be_shorter_than_a_chunk(num_samples):
  waveform = speech(num_samples)
  log_probs, _ = streamed(listener(25), waveform, 7)
  want, _ = whole(waveform)
  np.testing.assert_allclose(log_probs, want, rtol=1e-4, atol=1e-4)


def test_a_stream_without_samples_has_no_outputs():
  stream = listener(2).stream()
  assert stream.finish().shape == (0, 29)


def test_words_come_within_the_look_ahead():
  """All that is heard up to a moment is there so many milliseconds later."""
  heard, waveform = listener(1), speech(2345)
  want, _ = whole(waveform)
  stream, given = heard.stream(), 0
  for start in range(0, len(waveform), HOP):
    given += len(stream.add(waveform[start : start + HOP]))
    passed = 1000 * (start + HOP) / 1000
    # Of the outputs whose look-ahead has passed, but for rounding to strides in
    # each of the three layers that reach ahead.
    due = (passed - heard.look_ahead.total) / (HOP * STRIDE)
    assert given >= int(due) - 2
  assert given < len(want)


def test_look_ahead_is_what_each_part_of_the_model_sees():
  ahead = listener(3).look_ahead
  # Kernels of 5 and 3 see 2 and then 1 * 2 frames ahead; the lookahead 3 * 4.
  assert ahead == live.LookAhead(25.0, 40.0, 120.0, 120.0)
  assert ahead.total == 305.0


def test_words_end_with_the_space_behind_them():
  words = live.GreedyWords(alphabets.ENGLISH, 0.04)
  found = [
    [word.text for word in words.add(np.array([symbol]))]
    for symbol in _path('see to')
  ]
  assert [len(each) for each in found].index(1) == 6
  assert [*itertools.chain(*found)] == ['see']
  (last,) = words.finish()
  assert (last.text, round(last.start, 2), round(last.end, 2)) == (
    'to',
    0.32,
    0.48,
  )


def _path(text):
  """A frame for each letter and a blank behind it."""
  labels = alphabets.ENGLISH.encode(text)
  return np.stack([labels, np.zeros_like(labels)], 1).ravel()


def test_a_symbol_that_goes_on_in_the_next_block_is_one():
  rng = np.random.default_rng(0)
  path = rng.choice([0, 0, 1, 3, 4, 5], 500).repeat(rng.integers(1, 4, 500))
  logits = 5 * np.eye(29, dtype=np.float32)[path]
  (want,) = greedy.texts(logits[None], np.array([len(path)]), alphabets.ENGLISH)
  for size in (1, 7, 100):
    words, found = live.GreedyWords(alphabets.ENGLISH, 0.04), []
    for start in range(0, len(path), size):
      found += words.add(path[start : start + size])
    found += words.finish()
    assert [word.text for word in found] == want.split()


def test_without_words_each_symbol_comes_at_once():
  alphabet = alphabets.Alphabet(alphabets.Kind.FILE, ['x', 'y', 'z'])
  words = live.GreedyWords(alphabet, 0.04)
  found = words.add(np.array([1, 1, 0, 1, 2])) + words.finish()
  assert [word.text for word in found] == ['x', 'x', 'y']


def test_bytes_of_a_letter_may_come_in_two_blocks():
  symbols = ['\u2581t', 'r', '\u2581zu', '<0xC3>', '<0xBC>']
  alphabet = alphabets.Alphabet(alphabets.Kind.UNITS, symbols)
  path = np.array([1, 0, 4, 0, 0, 5, 2, 0, 3, 4])
  words, found = live.GreedyWords(alphabet, 0.04), []
  for start in range(0, len(path), 3):
    found += words.add(path[start : start + 3])
  found += words.finish()
  assert [word.text for word in found] == ['tür', 'zu\ufffd']


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      lambda cfg: setattr(cfg.model.ds2, 'bidirectional', True),
      'model.ds2.bidirectional=true; want false',
    ),
    (
      lambda cfg: setattr(
        cfg.features, 'normalization', config.Normalization.UTTERANCE
      ),
      'features.normalization=utterance; want running, global or none',
    ),
    (
      lambda cfg: setattr(cfg.features, 'dynamic_range_db', 30.0),
      'features.dynamic_range_db=30; want 0 for a stream',
    ),
  ],
)
def test_what_cannot_stream_is_refused(change, message):
  cfg = streamed_model.run_config()
  change(cfg)
  with pytest.raises(config.ConfigError, match=message):
    listener(1, cfg)


def test_logits_that_are_not_finite_are_no_words():
  heard = listener(1)
  heard._weights = jax.tree.map(lambda leaf: leaf * np.nan, heard._weights)
  with pytest.raises(config.UserError, match='training did not diverge'):
    streamed(heard, speech(500), 100)
