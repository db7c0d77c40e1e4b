"""Labels of any language and back."""

import json
import time

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.speech import alphabets, spelling, text

_RULES = spelling.Rules()
_SAID = {
  'german': 'schließe die tür',
  'arabic': 'السَّلامُ عليكم',
  'hindi': 'खिड़की को पाँच पर रखो',
  'mandarin': '打开厨房的灯',
}


def of_texts(*texts, **fields):
  return alphabets.of_texts(texts, _RULES, **fields)[0]


@pytest.mark.parametrize('language', _SAID)
def test_text_comes_back_from_its_labels(language):
  said = _SAID[language]
  alphabet = of_texts(said)
  labels = alphabet.encode(said)
  assert labels.dtype == np.int32
  assert (labels > 0).all()
  assert (labels < alphabet.size).all()
  assert alphabet.decode(labels) == said
  # One label for each code point, the blank and no other beside them.
  assert len(labels) == len(said)
  assert alphabet.size == len(set(said)) + 1
  assert alphabet.normalize(said) == (said, '', '')
  assert alphabet.has_words == (language != 'mandarin')


@pytest.mark.parametrize('language', _SAID)
def test_a_record_is_the_alphabet_again(language):
  alphabet = of_texts(_SAID[language])
  values = json.loads(json.dumps(alphabets.record(alphabet)))
  again = alphabets.of_record(values)
  assert again == alphabet
  assert again.decode(again.encode(_SAID[language])) == _SAID[language]
  assert again != alphabets.ENGLISH


def test_english_is_recorded_as_it_always_was():
  was = "_ 'abcdefghijklmnopqrstuvwxyz"
  assert alphabets.record(alphabets.ENGLISH) == was
  assert alphabets.of_record(was) is alphabets.ENGLISH
  assert alphabets.of_config(config.DataConfig()) is alphabets.ENGLISH


@pytest.mark.parametrize(
  'values',
  [
    None,
    '_ abc',
    {'kind': 'file'},
    {'kind': 'x', 'case': 'lower', 'punctuation': 'drop', 'symbols': ['_']},
    {'kind': 'file', 'case': 'lower', 'punctuation': 'drop', 'symbols': ['a']},
  ],
)
def test_what_is_no_record_is_refused(values):
  with pytest.raises((KeyError, TypeError, ValueError)):
    alphabets.of_record(values)


def test_rare_characters_are_counted_and_left_out():
  alphabet, rare = alphabets.of_texts(['aab', 'aéb c'], _RULES, 2)
  assert alphabet.symbols == ('_', 'a', 'b')
  assert rare == {'é': 1, ' ': 1, 'c': 1}
  assert alphabet.normalize('a c b') == ('a b', '', 'c')


def test_what_a_corpus_never_had_is_lost():
  alphabet = of_texts(_SAID['german'])
  found = alphabet.normalize('Die Zebras')
  assert found.lost == 'zba'
  assert found.text == 'die ers'
  with pytest.raises(ValueError, match=r"'z' in 'die zebras'; want ' cdehi"):
    alphabet.encode('die zebras')


def test_without_a_space_each_character_is_a_word():
  assert not of_texts('你好').has_words
  assert of_texts('你好').space is None
  assert of_texts('你 好').space == 1
  assert alphabets.ENGLISH.space == 1


def test_six_thousand_symbols_have_no_slow_path():
  """Linear in the text, whatever the alphabet."""
  characters = [chr(0x4E00 + i) for i in range(6000)]
  alphabet = of_texts(''.join(characters))
  assert alphabet.size == 6001
  said = ''.join(np.random.default_rng(0).choice(characters, 100_000))
  start = time.perf_counter()
  assert alphabet.decode(alphabet.encode(said)) == said
  assert alphabet.normalize(said[:20_000]).text == said[:20_000]
  assert time.perf_counter() - start < 2


def test_english_rules_are_for_english_alone():
  raw = 'Café, Größe'
  assert alphabets.ENGLISH.normalize(raw) == text.normalize(raw)
  assert alphabets.ENGLISH.normalize(raw).text == 'cafe grosse'
  assert of_texts('café größe').normalize(raw).text == 'café größe'
