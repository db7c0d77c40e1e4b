"""Files of symbols, and one line about each that is none."""

import pytest

from fedjax_asr import config
from fedjax_asr.speech import alphabet_file, alphabets, spelling

_MOZILLA = """# Each line in this file represents the Unicode codepoint
# associated with a numeric label.
# A line that starts with # is a comment. You can escape it with \\# if you wish
# to use '#' as a label.
 
a
b
\\#
'
# The last (non-comment) line needs to end with a newline.
"""


@pytest.fixture
def file(tmp_path):
  def write(content):
    path = tmp_path / 'alphabet.txt'
    path.write_bytes(content if type(content) is bytes else content.encode())
    return str(path)

  return write


def read(path, **rules):
  return alphabet_file.read(path, spelling.Rules(**rules))


def test_mozillas_file_reads_as_it_is(file):
  assert read(file(_MOZILLA)) == (' ', 'a', 'b', '#', "'")


def test_windows_lines_a_byte_order_mark_and_the_named_space(file):
  content = '\ufeff<space>\r\nä\r\na\u0308\u0323\r\n\r\n'
  assert read(file(content)) == (' ', 'ä', 'ạ\u0308')


def test_labels_are_in_the_order_of_the_file(file):
  data = config.DataConfig(alphabet=file('z\n<space>\na\n'))
  alphabet = alphabets.of_config(data)
  assert alphabet.encode('a z').tolist() == [3, 2, 1]
  assert alphabet.normalize('A-z b') == ('a z', '', 'b')


@pytest.mark.parametrize('symbol', ['ख़', 'क्ष', 'é', 'ạ\u0308', 'کِ'])
def test_what_looks_like_one_character_is_a_symbol(file, symbol):
  (read_symbol,) = read(file(symbol))
  assert alphabets.Alphabet(alphabets.Kind.FILE, [read_symbol]).normalize(
    symbol
  ) == (read_symbol, '', '')


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('', 'it has no symbol; want one a line.'),
    ('# a\n\n', 'it has no symbol; want one a line.'),
    ('a\nb\na\n', "line 3: 'a': it is in line 1 too; want each symbol once."),
    # The same in Unicode's form NFC.
    ('ä\na\u0308\n', 'it is in line 1 too'),
    ('a\n<blank>\n', "line 2: '<blank>': the blank, which every alphabet has"),
    ('_\n', 'the blank, which every alphabet has; want the line removed.'),
    ('a\nsch\n', "line 2: 'sch': more than one character; want one symbol"),
    ('a \n', "line 1: 'a ': more than one character"),
    ('<unk>\n', 'more than one character'),
    ('a\n\nb\n', "line 2: '': an empty line; want a symbol (the space is <sp"),
    ('\t\n', 'a control or a wide space; want a symbol (the space is <space>)'),
    ('a\n\0\n', "line 2: '\\x00': a control"),
    ('a\n\u3000\n', 'a control or a wide space'),
    (' a\n', "line 1: ' a': more than one character"),
    # Lines of an old Mac are one.
    ('a\rb\r', "line 1: 'a\\rb': more than one character"),
    ('A\n', 'in upper case, which no transcript is in; want config.data.case'),
    (b'a\n\xfc\n', 'it is not UTF-8 (byte 2); want it saved as UTF-8.'),
  ],
)
def test_bad_lines_are_named(file, content, message):
  path = file(content)
  with pytest.raises(config.ConfigError) as caught:
    read(path)
  text = str(caught.value)
  assert text.startswith(f'config.data.alphabet={path!r}: ')
  assert message in text
  assert '\n' not in text


def test_upper_case_is_for_those_who_keep_it(file):
  assert read(file('A\na\n'), case=config.Case.KEEP) == ('A', 'a')


def test_a_file_that_is_not_there_is_named(tmp_path):
  with pytest.raises(config.ConfigError, match=r'No such file.*english, corp'):
    read(str(tmp_path / 'none'))
  with pytest.raises(config.ConfigError, match='want english, corpus, or a f'):
    read(str(tmp_path))
