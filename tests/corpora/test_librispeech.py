"""LibriSpeech's directory tree."""

import os

import pytest

from fedjax_asr.corpora import librispeech, utterance
from fedjax_asr.speech import formats


@pytest.fixture
def split(tmp_path):
  """Two speakers of one chapter each, files empty: nothing is read."""
  folder = tmp_path / 'LibriSpeech' / 'train-clean-100'
  for speaker, chapter, texts in (
    ('19', '198', ['CHAPTER ONE', 'IT WAS']),
    ('26', '495', ['NOT SO']),
  ):
    place = folder / speaker / chapter
    place.mkdir(parents=True)
    stem = f'{speaker}-{chapter}'
    lines = [f'{stem}-{i:04d} {text}\n' for i, text in enumerate(texts)]
    (place / f'{stem}.trans.txt').write_text(''.join(lines))
    for index in range(len(texts)):
      (place / f'{stem}-{index:04d}.flac').touch()
  return folder


def test_each_line_of_a_transcript_is_an_utterance(split):
  found, problems = librispeech.utterances(split)
  assert problems == []
  assert [(item.id, item.speaker, item.text) for item in found] == [
    ('19-198-0000', '19', 'CHAPTER ONE'),
    ('19-198-0001', '19', 'IT WAS'),
    ('26-495-0000', '26', 'NOT SO'),
  ]
  assert found[0].source.path == str(split / '19/198/19-198-0000.flac')


def test_the_parent_folder_will_do(split):
  assert librispeech.utterances(split.parent) == librispeech.utterances(split)


def test_of_several_folders_those_named_are_taken(split):
  other = split.parent / 'dev-clean' / '7' / '8'
  other.mkdir(parents=True)
  (other / '7-8.trans.txt').write_text('7-8-0000 YES\n')
  (other / '7-8-0000.flac').touch()

  def ids(*splits):
    found, _ = librispeech.utterances(split.parent, splits)
    return [item.id for item in found]

  assert ids('dev-clean') == ['7-8-0000']
  assert ids('train-clean-100', 'dev-clean') == ids()
  assert len(ids()) == 4
  with pytest.raises(utterance.CorpusError, match='train-other-500: no'):
    ids('train-clean-100', 'train-other-500')


def test_a_transcript_without_audio_is_a_problem(split):
  (split / '19/198/19-198-0000.flac').unlink()
  found, (problem,) = librispeech.utterances(split)
  assert [item.id for item in found] == ['19-198-0001', '26-495-0000']
  assert (problem.kind, problem.utterance) == ('missing_file', '19-198-0000')
  assert problem.source.endswith('19-198.trans.txt:1')


def test_audio_without_a_transcript_is_a_problem(split):
  (split / '26/495/26-495-0009.flac').touch()
  found, (problem,) = librispeech.utterances(split)
  assert len(found) == 3
  assert (problem.kind, problem.utterance) == ('no_transcript', '26-495-0009')


def test_a_chapter_without_transcripts_is_listed(split):
  chapter = split / '26' / '496'
  chapter.mkdir()
  for index in range(2):
    (chapter / f'26-496-000{index}.flac').touch()
  found, problems = librispeech.utterances(split)
  assert len(found) == 3
  assert [each.kind for each in problems] == ['no_transcript'] * 2
  assert problems[1].source == str(chapter / '26-496-0001.flac')


def test_audio_in_another_format_is_used_where_it_is_read(split):
  for ending in ('.wav', '.FLAC'):
    (split / '26/495/26-495-0000.flac').rename(
      split / f'26/495/26-495-0000{ending}'
    )
    found, problems = librispeech.utterances(split)
    assert problems == []
    assert found[-1].source.path.endswith(ending)
    (split / f'26/495/26-495-0000{ending}').rename(
      split / '26/495/26-495-0000.flac'
    )


def test_with_the_extra_formats_audio_that_was_not_converted_is_read(
  split, monkeypatch
):
  monkeypatch.setattr(formats, 'has_decoder', lambda: True)
  chapter = split / '26' / '495'
  (chapter / '26-495-0000.flac').rename(chapter / '26-495-0000.m4a')
  (split / '19' / '198' / '19-198-0000.m4a').touch()
  found, problems = librispeech.utterances(split)
  assert problems == []
  endings = [item.source.path.rpartition('.')[2] for item in found]
  assert endings == ['flac', 'flac', 'm4a']


@pytest.mark.usefixtures('without_formats')
def test_audio_that_is_not_read_is_listed_once(split):
  chapter = split / '26' / '495'
  (chapter / '26-495-0000.flac').rename(chapter / '26-495-0000.m4a')
  (chapter / '26-495-0001.wma').touch()
  # What has been converted is not missed.
  (split / '19' / '198' / '19-198-0000.m4a').touch()
  found, problems = librispeech.utterances(split)
  assert len(found) == 2
  assert [(each.kind, each.source) for each in problems] == [
    ('other_format', str(chapter / '26-495-0000.m4a')),
    ('other_format', str(chapter / '26-495-0001.wma')),
  ]
  assert '.m4a is not read; convert to WAV or FLAC' in problems[0].reason


def test_names_need_not_be_utf_8(split):
  name = os.fsdecode(b'26-495-\xff')
  (split / '26' / '495' / f'{name}.flac').touch()
  _, (problem,) = librispeech.utterances(split)
  assert (problem.kind, problem.utterance) == ('no_transcript', name)


def test_a_repeated_id_is_a_problem(split):
  (split / '19/198/19-198.trans.txt').write_text('19-198-0000 A\n' * 2)
  (split / '19/198/19-198-0001.flac').unlink()
  found, (problem,) = librispeech.utterances(split)
  assert len(found) == 2
  assert problem.kind == 'duplicate_id'


def test_a_line_without_words_is_kept_for_the_audit(split):
  (split / '26/495/26-495.trans.txt').write_text('26-495-0000\n')
  found, problems = librispeech.utterances(split)
  assert (found[-1].text, problems) == ('', [])


@pytest.mark.parametrize('name', ['absent', '.'])
def test_a_folder_without_transcripts_is_an_error(tmp_path, name):
  with pytest.raises(utterance.CorpusError, match='want a LibriSpeech tree'):
    librispeech.utterances(tmp_path / name)
