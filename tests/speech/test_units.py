"""Byte-pair units of sentencepiece."""

import json
import sys

import pytest

from fedjax_asr import config
from fedjax_asr.speech import alphabets, units
from launch import transcribe_wav

_LINES = ['schließe die tür', 'öffne das fenster', 'die tür ist zu'] * 20


def _trained(path, **options):
  sentencepiece = pytest.importorskip('sentencepiece')
  (path / 'text').write_text('\n'.join(_LINES), encoding='utf-8')
  sentencepiece.SentencePieceTrainer.train(
    input=str(path / 'text'),
    model_prefix=str(path / 'de'),
    model_type='bpe',
    minloglevel=2,
    **options,
  )
  return str(path / 'de.model')


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  return _trained(tmp_path_factory.mktemp('units'), vocab_size=40)


@pytest.fixture(scope='module')
def with_bytes(tmp_path_factory):
  return _trained(
    tmp_path_factory.mktemp('bytes'), vocab_size=300, byte_fallback=True
  )


def joined_without_the_package(pieces):
  return transcribe_wav.joined(pieces, units.SPACE)


def of(path):
  return alphabets.of_config(config.DataConfig(alphabet=path))


def test_text_comes_back_from_units(model):
  alphabet = of(model)
  said = alphabet.normalize('Schließe, die Tür!')
  assert said.text == 'schließe die tür'
  labels = alphabet.encode(said.text)
  assert 0 < len(labels) < len(said.text)
  assert alphabet.decode(labels) == said.text
  assert alphabet.has_words
  assert alphabet.space is None
  # <unk>, <s> and </s> are none of the symbols; the blank is.
  assert alphabet.size == 40 - 3 + 1


def test_what_a_model_does_not_know_is_lost(model):
  assert of(model).normalize('die 7 qx tür') == ('die tür', '', '7qx')


def test_the_record_holds_the_model(model):
  alphabet = of(model)
  again = alphabets.of_record(
    json.loads(json.dumps(alphabets.record(alphabet)))
  )
  assert again == alphabet
  assert again.encode('die tür').tolist() == alphabet.encode('die tür').tolist()


def test_words_begin_where_units_say(model):
  alphabet = of(model)
  labels = alphabet.encode('die tür ist zu')
  assert alphabet.starts_word[labels].sum() == 4


@pytest.mark.parametrize('said', ['qué año', 'die 門 ist zu', 'کتاب', '😀'])
def test_with_byte_fallback_any_letter_is_spelled(with_bytes, said):
  alphabet = of(with_bytes)
  labels = alphabet.encode(said)
  assert alphabet.decode(labels) == said
  pieces = [alphabet.symbols[label] for label in labels]
  assert any(piece.startswith('<0x') for piece in pieces)
  sentencepiece = pytest.importorskip('sentencepiece')
  processor = sentencepiece.SentencePieceProcessor(model_file=with_bytes)
  assert processor.decode(pieces) == said
  # But for what the rules leave out whatever the model knows.
  wanted = ('', '', said) if said == '😀' else (said, '', '')
  assert alphabet.normalize(said) == wanted


def test_the_256_bytes_are_labels_and_the_record_holds_them(with_bytes):
  alphabet = of(with_bytes)
  assert alphabet.size == 300 - 3 + 1
  assert {f'<0x{byte:02X}>' for byte in range(256)} <= {*alphabet.symbols}
  again = alphabets.of_record(
    json.loads(json.dumps(alphabets.record(alphabet)))
  )
  assert again == alphabet
  assert again.decode(again.encode('año')) == 'año'


@pytest.mark.parametrize('join', [units.joined, joined_without_the_package])
@pytest.mark.parametrize(
  ('pieces', 'said'),
  [
    ('▁t <0xC3> <0xBC> r', 'tür'),
    # The first byte of two, then a letter, a word, and the end.
    ('▁t <0xC3> r', 't\ufffdr'),
    ('▁t <0xC3> ▁r', 't\ufffd r'),
    ('▁t <0xC3>', 't\ufffd'),
    # A second byte alone; beside a letter that is spelled by itself.
    ('▁t <0xBC> ü', 't\ufffdü'),
    ('<0xBC>', '\ufffd'),
    # Two of three bytes are one; what cannot begin a character is each one.
    ('▁a <0xE9> <0x96> b', 'a\ufffdb'),
    ('▁a <0xFF> <0xFF> b', 'a\ufffd\ufffdb'),
    # Overlong, and a surrogate.
    ('<0xC0> <0x80>', '\ufffd\ufffd'),
    ('<0xED> <0xA0> <0x80>', '\ufffd\ufffd\ufffd'),
    # Words are parted by units only, and a terminal is left in peace.
    ('▁a <0x20> b', 'a\ufffdb'),
    ('▁a <0xC2> <0xA0> b <0x1B>', 'a\ufffdb\ufffd'),
    ('▁a <0xE2> <0x80> <0x8C> b', 'a\u200cb'),
  ],
)
def test_bytes_that_spell_no_character_are_shown_as_such(join, pieces, said):
  assert join(pieces.split()) == said


def test_a_unit_that_only_looks_like_a_byte_is_refused(tmp_path):
  path = _trained(tmp_path, vocab_size=60, user_defined_symbols=['<0xC3>'])
  with pytest.raises(config.ConfigError, match=r"'<0xC3>' looks like a byte"):
    of(path)


def test_a_file_that_is_no_model_is_one_line(tmp_path):
  pytest.importorskip('sentencepiece')
  path = tmp_path / 'no.model'
  path.write_text('nothing of the kind')
  with pytest.raises(config.ConfigError, match='no sentencepiece model; want'):
    of(str(path))
  with pytest.raises(config.ConfigError, match='No such file'):
    of(str(tmp_path / 'none.model'))


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'sentencepiece', None)
  path = tmp_path / 'a.model'
  path.write_bytes(b'')
  with pytest.raises(config.UserError, match=r'extra units; run: pip install'):
    of(str(path))
