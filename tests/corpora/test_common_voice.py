"""Tables of Common Voice, and every way in which one can be bad."""

import pytest

from fedjax_asr.corpora import common_voice, utterance

HEADER = 'up_votes\tsentence\tclient_id\tpath\n'


def write(folder, content, name='validated.tsv'):
  (folder / 'clips').mkdir(exist_ok=True)
  for stem in ('a', 'b'):
    (folder / 'clips' / f'{stem}.mp3').write_bytes(b'')
  path = folder / name
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return path


def test_columns_are_found_by_name_and_quotes_are_text(tmp_path):
  path = write(tmp_path, HEADER + '2\t"Yes", he said\tanna\ta.mp3\r\n')
  (found,), problems = common_voice.utterances(path)
  source = utterance.AudioFile(str(tmp_path / 'clips' / 'a.mp3'))
  assert problems == []
  assert found == utterance.Utterance(
    'a', 'anna', '"Yes", he said', 0.0, source
  )


def test_of_a_folder_what_listeners_agreed_on_is_read(tmp_path):
  write(tmp_path, HEADER + '2\tone\tanna\ta.mp3\n', 'train.tsv')
  assert len(common_voice.utterances(tmp_path)[0]) == 1
  write(tmp_path, HEADER + '2\tone\tc\ta.mp3\n2\tone\tc\tb.mp3\n')
  assert len(common_voice.utterances(tmp_path)[0]) == 2


@pytest.mark.parametrize(
  ('row', 'kind', 'reason'),
  [
    (b'2\tone\tanna', 'bad_line', '3 columns; want 4'),
    (b'2\tone\tanna\ta.mp3\t', 'bad_line', '5 columns'),
    (b'2\tcaf\xe9\tanna\ta.mp3', 'bad_line', 'not UTF-8'),
    (b'2\tone\tanna\t', 'bad_line', "path=''; want a string"),
    (b'2\tone\tanna\tc.mp3', 'missing_file', 'c.mp3'),
    (b'2\ttwo\tben\ta.mp3', 'duplicate_id', "repeats the id 'a'"),
  ],
)
def test_a_bad_row_is_a_problem_with_its_line(tmp_path, row, kind, reason):
  good = b'2\tone\tanna\ta.mp3\n', b'\n2\ttwo\tben\tb.mp3\n'
  path = write(tmp_path, HEADER.encode() + row.join(good))
  found, (only,) = common_voice.utterances(path)
  assert [item.id for item in found] == ['a', 'b']
  assert (only.kind, only.source) == (kind, f'{path}:3')
  assert reason in only.reason
  assert not only.is_warning


def test_a_row_without_person_is_a_speaker_of_its_own(tmp_path):
  path = write(tmp_path, HEADER + '2\tone\t\ta.mp3\n')
  (found,), (warning,) = common_voice.utterances(path)
  assert (found.speaker, warning.kind) == ('a', 'no_speaker')


@pytest.mark.parametrize(
  ('content', 'reason'),
  [
    ('', 'no column client_id, path, sentence; want'),
    ('client_id\tsentence\nx\ty\n', 'no column path; want'),
    ('client_id,path,sentence\n', 'separated by tabs'),
    (b'caf\xe9\tpath\n', ':1: not UTF-8'),
    (HEADER, 'a table without rows'),
  ],
)
def test_a_table_that_is_none_is_one_line(tmp_path, content, reason):
  path = write(tmp_path, content)
  with pytest.raises(utterance.CorpusError, match=reason) as error:
    common_voice.utterances(path)
  assert str(error.value).startswith(str(path))
  assert '\n' not in str(error.value)


def test_a_folder_without_table_and_a_missing_table_are_one_line(tmp_path):
  with pytest.raises(utterance.CorpusError, match=r'no validated\.tsv or'):
    common_voice.utterances(tmp_path)
  with pytest.raises(utterance.CorpusError, match='cannot read the table'):
    common_voice.utterances(tmp_path / 'test.tsv')
