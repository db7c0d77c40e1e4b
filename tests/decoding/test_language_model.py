import os
import subprocess
import sys

import pytest

from fedjax_asr.decoding import language_model, ngram
from fedjax_asr.speech import alphabets

pytest.importorskip(
  'flashlight.lib.text', reason="pip install 'fedjax_asr[decode]'"
)

_WORDS = ('ab', 'a', 'ba')
_SENTENCES = ('ab a', 'ab ab', 'ba a')


def arpa_of_words():
  return ngram.arpa(ngram.train([line.split() for line in _SENTENCES], 2))


def arpa_of_characters():
  sentences = [
    language_model.characters(line, alphabets.ENGLISH) for line in _SENTENCES
  ]
  return ngram.arpa(
    ngram.train(sentences, 3, language_model.symbols(alphabets.ENGLISH))
  )


_WHOLE = arpa_of_words().encode()
_BROKEN = {
  'empty': b'',
  'png': b'\x89PNG\r\n\x1a\n' + bytes(range(256)),
  'prose': b'what is an n-gram?\n',
  'half': _WHOLE[: len(_WHOLE) // 2],
  'no_end': _WHOLE.replace(b'\\end\\', b''),
  'header_only': _WHOLE[: _WHOLE.index(b'\\1-grams')],
  'huge_counts': _WHOLE.replace(b'ngram 1=', b'ngram 1=99999999'),
  'too_many': _WHOLE.replace(b'ngram 1=', b'ngram 1=1'),
  'a_letter_for_a_number': _WHOLE.replace(b'\n-', b'\nx-', 3),
  'no_start': _WHOLE.replace(b'<s>', b'<t>'),
  'unigrams_only': ngram.arpa(ngram.train([['ab']], 1)).encode(),
  'not_utf8': _WHOLE.replace(b'ba', b'\xff').replace(b'ab', b'\xff\xfe'),
  'half_a_binary': b'mmap lm http://kheafield.com/code format version 5\n\0',
  'zeros': bytes(5000),
}


@pytest.mark.parametrize('name', _BROKEN)
def test_broken_model_is_one_line(tmp_path, capfd, name):
  path = tmp_path / f'{name}.arpa'
  path.write_bytes(_BROKEN[name])
  with pytest.raises(language_model.DecodeError) as caught:
    language_model.of_words(str(path), _WORDS)
  message = str(caught.value)
  assert str(path) in message
  assert '\n' not in message
  assert len(message) < len(str(path)) + 300
  assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize(
  ('name', 'why'), [('', 'directory'), ('none.arpa', 'No such file')]
)
def test_path_that_is_no_file_is_one_line(tmp_path, name, why):
  for read in (
    lambda path: language_model.of_characters(path, alphabets.ENGLISH),
    lambda path: language_model.of_words(path, _WORDS),
  ):
    with pytest.raises(language_model.DecodeError, match=why):
      read(str(tmp_path / name))


def test_good_model_is_read_in_silence(tmp_path, capfd):
  (tmp_path / 'words.arpa').write_bytes(_WHOLE)
  language_model.of_words(str(tmp_path / 'words.arpa'), _WORDS)
  assert capfd.readouterr() == ('', '')
  os.write(2, b'standard error is back\n')
  assert capfd.readouterr().err == 'standard error is back\n'


def test_models_of_the_other_unit_are_refused(tmp_path):
  (tmp_path / 'words.arpa').write_bytes(_WHOLE)
  (tmp_path / 'characters.arpa').write_text(arpa_of_characters())
  with pytest.raises(language_model.DecodeError, match='no model of char'):
    language_model.of_characters(
      str(tmp_path / 'words.arpa'), alphabets.ENGLISH
    )
  with pytest.raises(language_model.DecodeError, match='does not know the'):
    language_model.of_words(str(tmp_path / 'characters.arpa'), _WORDS)


def test_words_of_one_letter_can_be_a_lexicon(tmp_path):
  sentences = [list('abc'), list('cab')]
  path = tmp_path / 'letters.arpa'
  path.write_text(ngram.arpa(ngram.train(sentences, 2)))
  language_model.of_words(str(path), ('a', 'b', 'c'))


def test_model_of_characters_without_spaces_in_its_text_is_one(tmp_path):
  model = ngram.train(
    [list('one'), list('two')], 3, language_model.symbols(alphabets.ENGLISH)
  )
  (tmp_path / 'digits.arpa').write_text(ngram.arpa(model))
  language_model.of_characters(str(tmp_path / 'digits.arpa'), alphabets.ENGLISH)


@pytest.mark.parametrize(
  ('content', 'why'),
  [
    (b'', 'empty'),
    (b'\n \n', 'empty'),
    (b'good\nB4D\n', "line 2: 'B4D'"),
    (b'two words\n', 'line 1'),
    (b'Caps\n', 'line 1'),
    ('café\n'.encode(), 'line 1'),
    (b'\x89PNG\r\n\x1a\n\xff', 'UTF-8'),
  ],
)
def test_broken_lexicon_names_the_line(tmp_path, content, why):
  path = tmp_path / 'lexicon.txt'
  path.write_bytes(content)
  with pytest.raises(language_model.DecodeError, match=why) as caught:
    language_model.read_lexicon(str(path), alphabets.ENGLISH)
  assert '\n' not in str(caught.value)


def test_lexicon_that_is_no_file_is_one_line(tmp_path):
  for path, why in ((tmp_path, 'directory'), (tmp_path / 'none', 'No such')):
    with pytest.raises(language_model.DecodeError, match=why):
      language_model.read_lexicon(str(path), alphabets.ENGLISH)


def test_lexicon_has_each_word_once(tmp_path):
  (tmp_path / 'lexicon.txt').write_text("it's\r\nab\n\n it's \n")
  words = language_model.read_lexicon(
    str(tmp_path / 'lexicon.txt'), alphabets.ENGLISH
  )
  assert words == ["it's", 'ab']
  assert language_model.read_lexicon('', alphabets.ENGLISH) == []


def test_import_does_not_load_flashlight():
  program = (
    'import sys; from fedjax_asr.decoding import beam; '
    'sys.exit(any(name.startswith("flashlight") for name in sys.modules))'
  )
  assert subprocess.run([sys.executable, '-c', program]).returncode == 0
