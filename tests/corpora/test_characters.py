"""The alphabet `corpus`, and which utterances it leaves."""

import numpy as np
import pytest
import tiny_run

from fedjax_asr import config
from fedjax_asr.corpora import datasets, problem, utterance

_FEATURES = config.FeaturesConfig(num_features=8, num_mels=8)
_SAID = {
  'de': ('die tür', 'das öl', 'die uhr', 'du'),
  'hi': ('दो चार', 'खोलो', 'पाँच', 'छह'),
  'ar': ('صفر', 'السَّلام', 'ستة واحد', 'باب'),
  'zh': ('打开灯', '关掉灯', '一二三', '门'),
}


@pytest.fixture
def corpus(tmp_path):
  """`corpus(by speaker, ...)`: a manifest of noise that says so."""

  def write(*spoken):
    rng, lines = np.random.default_rng(0), []
    for speaker, texts in enumerate(spoken):
      for number, said in enumerate(texts):
        name = f'{speaker}_{number}'
        np.save(tmp_path / f'{name}.npy', rng.normal(size=(60, 8)))
        lines.append(
          {
            'id': name,
            'features_filepath': f'{name}.npy',
            'text': said,
            'speaker': f's{speaker}',
          }
        )
    tiny_run.write_manifest(tmp_path / 'manifest.jsonl', lines)

  return write


def prepared(path, alphabet=None, **fields):
  data = config.DataConfig(
    **{
      'corpus': config.Corpus.MANIFEST,
      'path': str(path / 'manifest.jsonl'),
      'cache_dir': str(path / 'cache'),
      'num_workers': 1,
      'num_heldout_speakers': 1,
      'heldout_utterance_fraction': 0.0,
      'alphabet': 'corpus',
      **fields,
    }
  )
  return datasets.prepare(
    data, _FEATURES, lambda frames: frames, 0, lambda *_: None, alphabet
  )


def sets(data):
  return [
    each.ids
    for each in (data.train, data.heldout_speakers, data.heldout_utterances)
  ]


@pytest.mark.parametrize('language', _SAID)
def test_the_alphabet_is_of_the_training_transcripts(
  corpus, tmp_path, language
):
  corpus(*[_SAID[language]] * 3)
  data = prepared(tmp_path)
  wanted = {*''.join(_SAID[language])}
  assert {*data.alphabet.symbols[1:]} == wanted
  assert data.alphabet.has_words == (' ' in wanted)
  assert data.problems == []
  for said, labels in zip(data.train.texts, data.train.labels, strict=True):
    assert data.alphabet.decode(labels) == said
  assert sorted(data.train.texts) == sorted(_SAID[language] * 2)


def test_held_out_characters_are_none_of_it(corpus, tmp_path):
  """Whoever is held out: one speaker has a letter that the others lack."""
  corpus(('ab', 'abx'), ('ab', 'aby'), ('ab', 'abz'))
  data = prepared(tmp_path)
  (heldout,) = set(data.heldout_speakers.speakers)
  own = 'xyz'[int(heldout[1])]
  assert own not in data.alphabet.symbols
  assert data.heldout_speakers.texts == ['ab']
  (found,) = data.problems
  assert found.kind == problem.Kind.RARE_SYMBOL
  assert f'has {own!r}, which training transcripts' in found.reason


def test_rare_characters_make_bad_utterances(corpus, tmp_path):
  corpus(*[('ab', 'ab', 'abq')] * 3, ('abk', 'ab'))
  data = prepared(tmp_path, min_symbol_count=4, num_heldout_speakers=0)
  assert data.alphabet.symbols == ('_', 'a', 'b')
  assert len(data.train) == 7
  kinds = [each.kind for each in data.problems]
  assert kinds.count(problem.Kind.RARE_SYMBOL) == 4
  (warning,) = [each for each in data.problems if each.is_warning]
  assert '2 characters are left out of the alphabet' in warning.reason
  assert "less often than config.data.min_symbol_count=4: 'q' 3, 'k' 1." in (
    warning.reason
  )
  (line,) = [
    line for line in problem.told(data.problems) if 'bad utterances' in line
  ]
  assert '4 rare_symbol' in line


def test_rare_characters_are_no_reason_to_lose_everything(corpus, tmp_path):
  corpus(('ab',), ('ba',))
  with pytest.raises(utterance.CorpusError, match='min_symbol_count=9: every'):
    prepared(tmp_path, min_symbol_count=9)


def test_an_error_is_asked_for_at_the_first_bad_utterance(corpus, tmp_path):
  corpus(('ab', 'abq'), ('ab', 'ab'), ('ab', 'ab'))
  with pytest.raises(utterance.CorpusError, match='bad utterances'):
    prepared(
      tmp_path,
      min_symbol_count=2,
      on_bad_utterance=config.OnBadUtterance.ERROR,
    )


def test_a_recorded_alphabet_finds_the_same_split_again(corpus, tmp_path):
  corpus(*[('ab c', 'abq', 'cab', 'b')] * 5, ('abk', 'a'), ('q', 'k'))
  first = prepared(tmp_path, min_symbol_count=3, heldout_utterance_fraction=0.2)
  assert first.problems
  again = prepared(
    tmp_path,
    first.alphabet,
    min_symbol_count=3,
    heldout_utterance_fraction=0.2,
    # As a run's config has it, once that is settled.
    num_heldout_speakers=first.num_heldout_speakers,
  )
  assert sets(again) == sets(first)
  assert again.alphabet == first.alphabet


def test_a_speaker_of_rare_characters_is_still_held_out(corpus, tmp_path):
  """Or the number that is settled would draw others the next time."""
  corpus(('x',), ('y',), ('z',))
  data = prepared(tmp_path)
  assert data.num_heldout_speakers == 1
  assert len(data.heldout_speakers) == 0


def _with_file(path, content):
  """A data set by the alphabet of a file."""
  (path / 'symbols').write_text(content, encoding='utf-8')
  data = config.DataConfig(
    corpus=config.Corpus.MANIFEST,
    path=str(path / 'manifest.jsonl'),
    cache_dir=str(path / 'cache'),
    num_workers=1,
    alphabet=str(path / 'symbols'),
  )
  return datasets.usable(
    data, _FEATURES, lambda frames: frames, lambda *_: None
  )


def test_spaces_are_needed_only_where_transcripts_have_some(corpus, tmp_path):
  corpus(('打开灯', '关掉，灯。'), ('打开灯',))
  found = _with_file(tmp_path, '打\n开\n灯\n关\n掉\n')
  assert found.kept == [0, 1, 2]
  assert found.utterances[1].text == '关掉灯'
  corpus(('打开灯', '关掉 灯'), ('打开灯',))
  with pytest.raises(utterance.CorpusError) as caught:
    _with_file(tmp_path, '打\n开\n灯\n关\n掉\n')
  message = str(caught.value)
  assert "has no space, and 1 of 3 transcripts do, such as that of '0_1'" in (
    message
  )
  assert '\n' not in message
  assert _with_file(tmp_path, '打\n开\n灯\n关\n掉\n<space>').kept == [0, 1, 2]


def test_a_transcript_of_unknown_symbols_alone_is_counted(corpus, tmp_path):
  corpus(('打开', 'abc', '12'), ('打',))
  found = _with_file(tmp_path, '打\n开\n')
  assert found.kept == [0, 3]
  kinds = [each.kind for each in found.problems]
  assert kinds == [problem.Kind.OTHER_ALPHABET, problem.Kind.UNSPELLED]
  assert "outside the alphabet: 'abc'" in found.problems[0].reason


def test_where_nothing_can_be_spelled_the_alphabet_is_named(corpus, tmp_path):
  corpus(('привет', 'как дела'), ('дела',))
  with pytest.raises(utterance.CorpusError) as caught:
    _with_file(tmp_path, 'a\nb\n<space>\n')
  message = str(caught.value)
  assert 'no usable utterance; 3 problems' in message
  assert f"config.data.alphabet='{tmp_path}" in message
  assert 'want corpus, for the characters' in message
  assert '\n' not in message
