"""LibriSpeech's directory tree."""

import pytest

from fedjax_asr.corpora import librispeech, utterance


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
