import builtins

import hypothesis
import pytest
from hypothesis import strategies

from fedjax_asr import config
from fedjax_asr.speech import alphabets, spoken_numbers, transcript

SPELL = config.Numbers.SPELL


def spelled(raw, **data):
  return transcript.spelled(raw, config.DataConfig(**data), alphabets.ENGLISH)


@pytest.mark.parametrize(
  ('raw', 'tags'),
  [
    ('[noise] go <unk> left {laugh}', ('[noise]', '<unk>', '{laugh}')),
    ('[two words] go', ('[two words]',)),
    ('a <b> <b>', ('<b>', '<b>')),
    ('[]', ('[]',)),
  ],
)
def test_a_tag_never_becomes_a_word(raw, tags):
  found = spelled(raw)
  assert found.tags == tags
  assert not set(found.text.split()) & {'noise', 'unk', 'laugh', 'two', 'b'}
  assert 'config.data.drop_tags' in found.fault()


@pytest.mark.parametrize('raw', ['[noise go', 'go noise]', 'a < b', '{a'])
def test_half_a_tag_is_a_fault(raw):
  assert spelled(raw).fault()


@pytest.mark.parametrize(
  ('raw', 'drop_tags', 'wanted'),
  [
    ('[noise] go [NOISE]', ('[noise]',), 'go'),
    ('go[noise]left', ('[noise]',), 'go left'),
    ('<unk> go (hesitation) on', ('<unk>', '(hesitation)'), 'go on'),
    ('[a] go [b c] (on)', ('[*]',), 'go on'),
    ('uh I uh, duh UH', ('uh',), 'i duh'),
    ('%HES go', ('%hes',), 'go'),
  ],
)
def test_a_listed_tag_is_dropped_without_a_fault(raw, drop_tags, wanted):
  found = spelled(raw, drop_tags=drop_tags)
  assert (found.text, found.fault()) == (wanted, '')


def test_a_pattern_ends_at_a_bracket():
  assert spelled('[a] go [b]', drop_tags=('[*',)).lost == ']]'


@pytest.mark.parametrize(
  ('raw', 'wanted'),
  [
    ('turn it to 25, please', 'turn it to twenty five please'),
    ('1,000 and 1000.', 'one thousand and one thousand'),
    ('(0.50) 3.14!', 'zero point five zero three point one four'),
    (
      'the 22nd, 1ST and 101st',
      'the twenty second first and one hundred and first',
    ),
    ('a 25-year-old', 'a twenty five year old'),
    ('in 1999', 'in one thousand nine hundred and ninety nine'),
    ('"7"', 'seven'),
  ],
)
def test_numbers_are_spelled_where_there_is_one_reading(raw, wanted):
  pytest.importorskip('num2words')
  found = spelled(raw, numbers=SPELL)
  assert (found.text, found.fault()) == (wanted, '')


@pytest.mark.parametrize(
  'raw',
  [
    *('007', '10:30', '1/2', '5-6', '-5', '\u22125', '$5', '5%', '1990s'),
    *('42b', 'b42', '1.2.3', '1,00', '2th', '\u0663', '\u00bd', '5\u00b0'),
    '1' * 16,
  ],
)
def test_what_may_be_read_in_several_ways_stays_a_fault(raw):
  pytest.importorskip('num2words')
  assert spelled(f'a {raw} b', numbers=SPELL).fault()


@pytest.mark.parametrize(
  ('raw', 'shown'),
  [
    ('a 12,34 b', "'12,34'"),
    ('"$5," he said', "'$5'"),
    ('\u21161 or \u0663', "'\u21161', '\u0663'"),
    ('5% 5% (5%)', "'5%'"),
    ('%a %b %c& %d+ # @ _', "'%', '%c&', '%d+', '#', '@', ..."),
  ],
)
def test_what_is_lost_is_reported_as_it_is_written(raw, shown):
  fault = f'the transcript has {shown}, not in the alphabet.'
  assert spelled(raw).fault() == fault


@pytest.mark.parametrize('raw', ['go 25', '1,000 $5'])
def test_spelling_is_advised_where_it_helps(raw):
  assert 'config.data.numbers=spell' in spelled(raw).fault()


@pytest.mark.parametrize('raw', ['$5', '\u21161', '\u0663', '12,34', '2th'])
def test_spelling_is_not_advised_where_it_is_done(raw):
  pytest.importorskip('num2words')
  assert 'config.data' not in spelled(raw, numbers=SPELL).fault()


def test_a_missing_package_is_one_line_with_the_command(monkeypatch):
  importing = builtins.__import__

  def without(name, *arguments):
    if name == 'num2words':
      raise ImportError("No module named 'num2words'")
    return importing(name, *arguments)

  monkeypatch.setattr(builtins, '__import__', without)
  data = config.DataConfig(numbers=SPELL)
  with pytest.raises(
    spoken_numbers.MissingPackageError,
    match=r"^config.data.numbers=spell .* pip install 'num2words",
  ):
    transcript.check(data)
  transcript.check(config.DataConfig())


@hypothesis.given(strategies.text(), strategies.sampled_from(config.Numbers))
def test_a_transcript_without_fault_keeps_all_that_is_said(raw, numbers):
  if numbers is SPELL:
    pytest.importorskip('num2words')
  found = spelled(raw, numbers=numbers)
  assert spelled(found.text, numbers=numbers) == transcript.Transcript(
    found.text, '', '', ()
  )
  assert set(found.text) <= set(alphabets.ENGLISH.symbols[1:])
  if not found.fault() and numbers is not SPELL:
    assert not any(character.isdigit() for character in raw)
    assert not set('[]{}<>%&@#*_$') & set(raw)
