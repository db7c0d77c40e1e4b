"""The synthetic corpus, its grammars and its speakers."""

import collections
import re
import sys

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.corpora import (
  espeak,
  grammar,
  synthetic,
  utterance,
  voices,
)
from fedjax_asr.speech import text

pytest.importorskip('espeakng_loader', reason='the synthetic extra is absent')


def small(**fields):
  return config.SyntheticConfig(
    num_speakers=2, utterances_per_speaker=3, **fields
  )


def test_a_waveform_does_not_depend_on_what_was_rendered_before():
  first, *others = (item.source for item in synthetic.utterances(small()))
  waveform = first.waveform(16000)
  for other in others:
    other.waveform(16000)
  np.testing.assert_array_equal(first.waveform(16000), waveform)


def test_a_waveform_is_speech_length_finite_and_never_silent():
  waveform = synthetic.utterances(small())[0].source.waveform(16000)
  assert 0.5 < len(waveform) / 16000 < 8
  assert np.isfinite(waveform).all()
  assert 0.1 < np.abs(waveform).max() <= 0.71
  quietest = np.abs(waveform[: len(waveform) // 160 * 160]).reshape(-1, 160)
  assert quietest.max(axis=1).min() > 0


@pytest.mark.parametrize('sample_rate', [8000, 22050])
def test_a_waveform_lasts_as_long_at_any_sample_rate(sample_rate):
  source = synthetic.utterances(small())[0].source
  seconds = len(source.waveform(16000)) / 16000
  other = len(source.waveform(sample_rate)) / sample_rate
  assert other == pytest.approx(seconds, abs=1e-3)


def test_speakers_and_utterances_differ_and_the_seed_matters():
  waveforms = [
    synthetic.SyntheticSpeech(seed, speaker, number, 'one two').waveform(16000)
    for seed, speaker, number in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
  ]
  assert len({each.tobytes() for each in waveforms}) == 4


def test_a_larger_corpus_contains_the_smaller_one():
  large = config.SyntheticConfig(num_speakers=3, utterances_per_speaker=5)
  assert set(synthetic.utterances(small())) < set(synthetic.utterances(large))


def test_ids_are_unique_and_speakers_are_counted():
  items = synthetic.utterances(config.SyntheticConfig())
  assert len({item.id for item in items}) == len(items) == 120 * 24
  assert len({item.speaker for item in items}) == 120


def test_the_fingerprint_holds_all_that_the_render_depends_on():
  base = synthetic.SyntheticSpeech(0, 1, 2, 'one')
  others = [
    base._replace(**{name: 5}) for name in ('seed', 'speaker', 'number')
  ]
  others.append(base._replace(text='two'))
  assert len({each.fingerprint() for each in [base, *others]}) == 5
  assert 'loader 0.' in base.fingerprint()


def test_an_utterance_over_the_maximum_is_refused():
  source = synthetic.utterances(small())[0].source
  with pytest.raises(utterance.TooLongError, match='speaker 0 utterance 0'):
    source.features(config.FeaturesConfig(), max_seconds=0.1)


@pytest.mark.parametrize('chosen', list(config.Grammar))
def test_a_sentence_is_in_the_alphabet_and_has_no_open_slot(chosen):
  rng = np.random.default_rng(0)
  for _ in range(300):
    sentence = grammar.sentence(chosen, rng)
    assert text.normalize(sentence) == text.Normalized(sentence, '', '')
    assert 2 <= len(sentence.split()) <= 11


def test_digit_sentences_are_two_to_seven_digits():
  rng = np.random.default_rng(0)
  counts = {
    len(grammar.sentence(config.Grammar.DIGITS, rng).split())
    for _ in range(200)
  }
  assert counts == set(range(2, 8))


def test_a_grid_sentence_has_its_six_slots():
  sentence = grammar.sentence(config.Grammar.GRID, np.random.default_rng(0))
  assert re.fullmatch(
    r'(bin|lay|place|set) (blue|green|red|white) (at|by|in|with) [a-vx-z] '
    r'(zero|one|two|three|four|five|six|seven|eight|nine) '
    r'(again|now|please|soon)',
    sentence,
  )


def test_spelling_has_every_letter_as_a_word_and_sentences_of_words():
  rng = np.random.default_rng(0)
  counts = collections.Counter()
  for _ in range(2000):
    counts.update(grammar.sentence(config.Grammar.SPELLING, rng).split())
  letters = {word: n for word, n in counts.items() if len(word) == 1}
  assert set(letters) == set('abcdefghijklmnopqrstuvwxyz')
  assert min(letters.values()) > 50
  assert 0.3 < sum(letters.values()) / counts.total() < 0.6
  assert counts['december'] > 0


def test_commands_have_86_words_or_so():
  rng = np.random.default_rng(0)
  words = set()
  for _ in range(5000):
    words.update(grammar.sentence(config.Grammar.COMMANDS, rng).split())
  assert 80 <= len(words) <= 95


def test_a_speaker_is_a_function_of_seed_and_index():
  assert voices.speaker(0, 7) == voices.speaker(0, 7)
  assert len({voices.speaker(0, index) for index in range(500)}) == 500
  assert voices.speaker(0, 7) != voices.speaker(1, 7)


def test_many_voices_in_one_process_all_take_effect():
  """As files of their own, the library would refuse all but 349."""
  synthesizer = espeak.Synthesizer()
  prosody = espeak.Prosody(rate=260, pitch=50, pitch_range=50, word_gap=0)
  rendered = set()
  for index in range(360):
    speaker = voices.speaker(0, index)
    speech = synthesizer.speech(
      speaker.accent, speaker.variant, prosody, 'a', seed=1
    )
    rendered.add(speech.samples.tobytes())
  assert len(rendered) > 350


def test_the_random_seed_is_all_that_varies_a_voice():
  synthesizer = espeak.Synthesizer()
  speaker = voices.speaker(0, 0)
  prosody = espeak.Prosody(rate=160, pitch=50, pitch_range=50, word_gap=0)
  a, b = (
    synthesizer.speech(speaker.accent, speaker.variant, prosody, 'one', seed=9)
    for _ in range(2)
  )
  np.testing.assert_array_equal(a.samples, b.samples)


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch):
  monkeypatch.setitem(sys.modules, 'espeakng_loader', None)
  with pytest.raises(
    utterance.CorpusError, match=r"pip install 'fedjax_asr\[synthetic\]'"
  ):
    synthetic.utterances(small())


def test_a_build_that_lacks_an_accent_is_an_error(monkeypatch, tmp_path):
  import espeakng_loader

  monkeypatch.setattr(espeakng_loader, 'get_data_path', lambda: str(tmp_path))
  with pytest.raises(utterance.CorpusError, match='phondata: not in this'):
    espeak.locate()
