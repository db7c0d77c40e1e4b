"""What synthetic speakers say in other languages than English."""

import re
import sys

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.corpora import grammar, languages, synthetic
from fedjax_asr.speech import audio, spelling

_RATE = 16_000


def corpus(language, **fields):
  cfg = config.SyntheticConfig(
    language=language, num_speakers=2, utterances_per_speaker=3, **fields
  )
  return synthetic.utterances(cfg)


@pytest.mark.parametrize('language', languages.LANGUAGES)
def test_speech_is_heard_and_of_plausible_length(language):
  """0.04 to 0.6 seconds a character: a syllable of Mandarin, a letter."""
  for item in corpus(language):
    heard = item.source.waveform(_RATE)
    assert not audio.is_silent(heard)
    seconds = len(heard) / _RATE
    letters = len(item.text.replace(' ', ''))
    assert 0.04 < seconds / letters < 0.6, (item.text, seconds)


@pytest.mark.parametrize('language', languages.LANGUAGES)
def test_what_is_said_has_letters_of_the_language_alone(language):
  found = languages.LANGUAGES[language]
  rng = np.random.default_rng(0)
  for kind in (config.Grammar.DIGITS, config.Grammar.COMMANDS):
    for _ in range(60):
      said = grammar.sentence_in(found, kind, rng)
      normal = spelling.normalize(said, spelling.Rules(), None)
      assert not normal.lost, said
      assert '{' not in said
      assert (' ' in said) <= (language != 'cmn')


def test_every_slot_is_filled():
  for found in languages.LANGUAGES.values():
    slots = {
      slot for each in found.templates for slot in re.findall(r'{(\w+)}', each)
    }
    assert slots - {'digits', 'number'} == set(found.options)
    assert len(found.digits.split(', ')) == 10


def test_a_voice_is_of_its_language():
  """The same words, by the same speaker, sound otherwise."""
  (said,) = corpus('de', grammar=config.Grammar.DIGITS)[:1]
  english = said.source._replace(language='en')
  assert len(said.source.waveform(_RATE)) != len(english.waveform(_RATE))


def test_english_features_stay_in_the_cache():
  """By the very text that named them before there were languages."""
  source = synthetic.SyntheticSpeech(0, 1, 2, 'go left')
  assert source.fingerprint().endswith("(0, 1, 2, 'go left')")
  german = source._replace(language='de')
  assert german.fingerprint().endswith("(0, 1, 2, 'go left', 'de')")


def test_a_language_without_grammar_is_refused_with_those_there_are():
  with pytest.raises(config.ConfigError) as caught:
    corpus('xx')
  assert str(caught.value) == (
    "config.data.synthetic.language='xx'; want one that there is a grammar "
    'of: en, de, es, fr, ar, hi, cmn.'
  )
  with pytest.raises(config.ConfigError, match='want digits or commands for'):
    corpus('de', grammar=config.Grammar.GRID)


def test_the_package_of_numbers_is_named_where_it_is_missing(monkeypatch):
  monkeypatch.setitem(sys.modules, 'num2words', None)
  with pytest.raises(config.UserError, match=r'language=de needs .*num2words'):
    corpus('de')
  assert corpus('de', grammar=config.Grammar.DIGITS)
  assert corpus('hi')
