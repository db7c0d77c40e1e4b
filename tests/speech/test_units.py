"""Byte-pair units of sentencepiece."""

import json
import sys

import pytest

from fedjax_asr import config
from fedjax_asr.speech import alphabets

_LINES = ['schließe die tür', 'öffne das fenster', 'die tür ist zu'] * 20


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  sentencepiece = pytest.importorskip('sentencepiece')
  path = tmp_path_factory.mktemp('units')
  (path / 'text').write_text('\n'.join(_LINES), encoding='utf-8')
  sentencepiece.SentencePieceTrainer.train(
    input=str(path / 'text'),
    model_prefix=str(path / 'de'),
    vocab_size=40,
    model_type='bpe',
    minloglevel=2,
  )
  return str(path / 'de.model')


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
