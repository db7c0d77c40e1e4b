"""Words of a stream of sentences, against those of each by itself."""

import functools
import gc
import tracemalloc

import jax
import numpy as np
import pytest
import streamed_model

from fedjax_asr import config
from fedjax_asr.decoding import greedy, live, sentences
from fedjax_asr.speech import alphabets, endpoints, features, voice_activity

RATE = 1000
STATISTICS = features.Statistics(
  mean=np.full(6, -5, np.float32), std=np.full(6, 2, np.float32)
)


@pytest.fixture(scope='module')
def listener():
  _, params, norm_state = streamed_model.trained()
  return live.Listener(
    streamed_model.run_config(),
    params,
    norm_state,
    STATISTICS,
    alphabets.ENGLISH,
    0.08,
  )


def speech(seconds, seed):
  """Noise whose colour changes, so that what is heard does, too."""
  rng = np.random.default_rng(seed)
  count = round(seconds * RATE)
  pitch = np.repeat(rng.uniform(0, 500, count // 60 + 1), 60)[:count]
  tones = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
  return 0.5 * (tones + 0.1 * rng.normal(size=count))


def joined(*parts):
  """Speech where it is given, pauses where numbers are; noise throughout."""
  waveform = np.concatenate(
    [np.zeros(round(part * RATE)) if np.isscalar(part) else part
     for part in parts]
  )  # fmt: skip
  noise = 0.002 * np.random.default_rng(5).normal(size=len(waveform))
  return (waveform + noise).astype(np.float32)


def endpointer():
  return endpoints.Endpointer(voice_activity.energy_so_far(), 0.3, RATE)


def spans(waveform):
  """(first, last) sample of each sentence, by the endpointer alone."""
  found = []
  for part in endpointer().add(waveform):
    if part.begins:
      found.append([part.start, len(waveform)])
    if part.ends:
      found[-1][1] = part.start + len(part.waveform)
  return found


@functools.cache
def whole():
  acoustic, params, norm_state = streamed_model.trained()
  apply = jax.jit(functools.partial(acoustic.apply, train=False))
  return functools.partial(apply, params, norm_state)


def text_of_file(waveform):
  """By the model on the whole, which no stream has a part in."""
  values = features.normalize(
    features.extract(waveform, streamed_model.run_config().features),
    config.Normalization.RUNNING,
    STATISTICS,
  )
  # Of one shape, with garbage behind the end.
  padded = np.pad(values, ((0, 400 - len(values)), (0, 0)), constant_values=9.0)
  logits, num_outputs, _ = whole()(padded[None], np.array([len(values)]))
  (text,) = greedy.texts(
    np.asarray(logits), np.asarray(num_outputs), alphabets.ENGLISH
  )
  return ' '.join(text.split())


def heard(listener, waveform, block):
  """Words of each sentence."""
  stream = sentences.Sentences(listener, alphabets.ENGLISH, endpointer(), RATE)
  lines = [[]]
  for start in range(0, len(waveform), block):
    for words, ends in stream.add(waveform[start : start + block]):
      lines[-1] += words
      lines += [[]] * ends
  for words, ends in stream.finish():
    lines[-1] += words
    lines += [[]] * ends
  assert lines.pop() == []
  return lines


def texts(lines):
  return [' '.join(word.text for word in line) for line in lines]


@pytest.mark.parametrize('block', [1, 100, 10**6])
def test_text_is_that_of_each_sentence_as_a_file(listener, block):
  waveform = joined(speech(0.7, 0), 0.4, speech(0.7, 6), 0.8, speech(0.7, 7))
  places = spans(waveform)
  assert len(places) == 3
  want = [text_of_file(waveform[first:until]) for first, until in places]
  assert all(len(set(text)) > 3 for text in want)
  got = texts(heard(listener, waveform, block))
  assert got == want
  # What went on would have had other words.
  assert ' '.join(want) != text_of_file(waveform)
  assert listener._step._cache_size() == 1


def test_a_sentence_has_the_same_words_behind_any_other(listener):
  after = 1.0, speech(1.0, 3)
  waveforms = [
    joined(before, *after) for before in (speech(1.0, 4), 0.2 * speech(1.0, 5))
  ]
  (_, (first, until)), (_, place) = map(spans, waveforms)
  assert place == [first, until]
  one, other = (waveform[first:until] for waveform in waveforms)
  np.testing.assert_array_equal(one, other)
  got = [texts(heard(listener, waveform, 50)) for waveform in waveforms]
  assert got[0][1] == got[1][1] != ''
  assert got[0][0] != got[1][0]


def test_times_are_of_the_stream(listener):
  waveform = joined(speech(1.0, 0), 2.0, speech(1.0, 1))
  lines = heard(listener, waveform, 100)
  (_, second), places = lines, spans(waveform)
  assert second[0].start >= places[1][0] / RATE > 2.5
  times = [word.end for line in lines for word in line]
  assert times == sorted(times)
  assert times[-1] <= len(waveform) / RATE + 0.04


@pytest.mark.parametrize(
  ('parts', 'num_sentences'),
  [
    ((3.0,), 0),
    ((speech(3.0, 0),), 1),
    ((1.0, speech(1.0, 0)), 1),
    ((speech(1.0, 0), 0.5, 0.03 * np.ones(8), 0.8, speech(1.0, 1)), 2),
    ((speech(1.0, 0), 0.6, speech(0.2, 2), 0.6, speech(1.0, 1)), 3),
  ],
)
def test_sentences_are_counted(listener, parts, num_sentences):
  waveform = joined(*parts)
  lines = heard(listener, waveform, 33)
  assert len(lines) == num_sentences
  assert texts(lines) == [
    text_of_file(waveform[first:until]) for first, until in spans(waveform)
  ]


def test_words_of_a_sentence_are_not_later_than_those_of_a_file(listener):
  """At each sample, there are as many as without an end to find."""
  waveform = joined(speech(2.0, 0), 0.2, speech(1.0, 1))
  plain = listener.stream()
  words = live.GreedyWords(alphabets.ENGLISH, listener.output_seconds)
  stream = sentences.Sentences(listener, alphabets.ENGLISH, endpointer(), RATE)
  given = wanted = 0
  for at in range(0, len(waveform), 7):
    block = waveform[at : at + 7]
    wanted += len(words.add(plain.add(block).argmax(1)))
    given += sum(len(each.words) for each in stream.add(block))
    assert given == wanted
  assert given > 2


@pytest.mark.slow
def test_memory_of_many_sentences_does_not_grow(listener):
  some = joined(speech(1.0, 0), 0.8, speech(1.0, 1), 0.8)
  stream = sentences.Sentences(listener, alphabets.ENGLISH, endpointer(), RATE)

  def hear(count):
    for _ in range(count):
      for start in range(0, len(some), 200):
        stream.add(some[start : start + 200])

  tracemalloc.start()
  # Until the 20 s that levels are remembered for are full.
  hear(10)
  gc.collect()
  before = tracemalloc.get_traced_memory()[0]
  hear(10)
  gc.collect()
  grown = tracemalloc.get_traced_memory()[0] - before
  tracemalloc.stop()
  assert grown < 20_000
