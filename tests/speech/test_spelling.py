"""German, Arabic, Hindi, Mandarin and others, spelled by rules."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedjax_asr import config
from fedjax_asr.speech import spelling, text

_RULES = spelling.Rules()
_KEEP = spelling.Rules(config.Case.KEEP, config.Punctuation.KEEP)


def spelled(raw, rules=_RULES, symbols=None):
  known = None if symbols is None else spelling.listed(frozenset(symbols))
  return spelling.normalize(raw, rules, known)


@pytest.mark.parametrize(
  ('raw', 'wanted'),
  [
    ('Schließe die TÜR!', 'schließe die tür'),
    # Decomposed: u and a combining diaeresis.
    ('Tu\u0308r', 'tür'),
    ('„Grüß Gott“, sagte er – und ging.', 'grüß gott sagte er und ging'),
    ('E-Mail', 'e mail'),
    ("C'est l\u2019été", "c'est l'été"),
    ("'Zitat'", 'zitat'),
    # Vowel marks stay, in their order; the comma and question mark go.
    ('السَّلامُ عليكم، كيف؟', 'السَّلامُ عليكم كيف'),
    # Marks of direction are nobody's.
    ('\u200fمرحبا\u200e', 'مرحبا'),
    # The joiner inside of a Persian word is how it is written.
    ('می\u200cخواهم\u200c', 'می\u200cخواهم'),
    ('दरवाज़ा खोलो।', unicodedata.normalize('NFC', 'दरवाज़ा खोलो')),
    ('क्षत्रिय', 'क्षत्रिय'),
    # No space where the script has none.
    ('你好，世界。', '你好世界'),
    ('「東京」へ、行く', '東京へ行く'),
    ('Αθήνα ΟΔΟΣ', 'αθήνα οδος'.replace('οδος', 'οδος'[:-1] + 'ς')),
    ("п'ять", "п'ять"),
    ('п\u02bcять', "п'ять"),
  ],
)
def test_nothing_that_is_said_is_lost(raw, wanted):
  found = spelled(raw)
  assert found.text == wanted
  assert found.lost == ''


def test_case_and_punctuation_are_kept_if_asked_for():
  assert spelled('Hallo, Welt – Ü!', _KEEP) == ('Hallo, Welt – Ü!', '', '')
  assert spelled('Hallo, Welt!').dropped == ',!'


@pytest.mark.parametrize(
  'raw', ['5', '٣', '२', '５', '€', '%', '&', '😀', '\0']
)
def test_what_is_said_in_unknown_words_is_lost(raw):
  assert spelled(f'a {raw} b') == ('a b', '', raw)


def test_what_a_file_lists_stays_and_other_letters_are_lost():
  assert spelled('Ab-c 5!', symbols='ab-5 ') == ('ab- 5', '!', 'c')
  assert spelled('it\u2019s', symbols="its'") == ("it's", '', '')
  assert spelled('it\u2019s', symbols='its ') == ('it s', '\u2019', '')


def test_the_longest_symbol_of_a_file_is_taken():
  found = spelled('क्षक', symbols=('क', 'क्ष'))
  assert found == ('क्षक', '', '')
  known = spelling.listed(frozenset(('क', 'क्ष')))
  assert [piece for _, piece in spelling.pieces('क्षक', known)] == ['क्ष', 'क']


_ANY = st.text(
  st.characters(exclude_categories=['Cs'])
  | st.sampled_from("aßÄ'\u2019\u200c-, .\u0308\u064e़你、。")
)


@given(_ANY, st.sampled_from([_RULES, _KEEP]))
def test_normalising_twice_is_normalising_once(raw, rules):
  once = spelled(raw, rules).text
  again = spelled(once, rules)
  assert again == text.Normalized(once, '', '')
  assert unicodedata.is_normalized('NFC', once)
