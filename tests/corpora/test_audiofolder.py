"""Hugging Face's audio folders, and every way in which one can be bad."""

import json

import pytest

from fedjax_asr.corpora import audiofolder, utterance


def write(folder, **files):
  """`csv` and `jsonl`: of the metadata."""
  folder.mkdir(parents=True, exist_ok=True)
  for name in ('a.wav', 'b.flac'):
    (folder / name).write_bytes(b'')
  for ending, content in files.items():
    content = content if isinstance(content, bytes) else content.encode()
    (folder / f'metadata.{ending}').write_bytes(content)
  return folder


HEADER = 'file_name,sentence,transcription,client_id\n'
BOTH = HEADER + 'a.wav,no,one,anna\nb.flac,no,"six, and\nso on",\n'


def test_rows_of_csv_become_utterances(tmp_path):
  found, (warning,) = audiofolder.utterances(write(tmp_path, csv=BOTH))
  assert found[0] == utterance.Utterance(
    'a', 'anna', 'one', 0.0, utterance.AudioFile(str(tmp_path / 'a.wav'))
  )
  assert found[1][:3] == ('b', 'b', 'six, and\nso on')
  assert (warning.kind, len(found)) == ('no_speaker', 2)


def test_rows_of_json_become_utterances_named_by_their_folders(tmp_path):
  rows = (
    {'file_name': 'a.wav', 'text': 'one', 'speaker': 0, 'client_id': 'x'},
    {'file_name': 'b.flac', 'text': None, 'sentence': 'two', 'speaker_id': 's'},
  )
  content = ''.join(json.dumps(row) + '\n' for row in rows)
  write(tmp_path / 'train', jsonl=content)
  write(tmp_path / 'test', csv=BOTH)
  found, _ = audiofolder.utterances(tmp_path)
  assert [item[:3] for item in found[2:]] == [
    ('train/a', '0', 'one'),
    ('train/b', 's', 'two'),
  ]
  assert [item.id for item in found[:2]] == ['test/a', 'test/b']
  found, _ = audiofolder.utterances(tmp_path / 'train')
  assert [item.id for item in found] == ['a', 'b']


@pytest.mark.parametrize(
  ('row', 'kind', 'reason'),
  [
    (b'c.wav,x,one,ben', 'missing_file', 'c.wav'),
    (b',x,one,ben', 'bad_line', "file_name=''; want a string"),
    (b'c.wav,x,caf\xe9,ben', 'bad_line', 'not UTF-8'),
    (b'c.wav,x,one,ben,more', 'bad_line', 'more columns than'),
    (b'a.wav,x,one,ben', 'duplicate_id', "repeats the id 'a'"),
    (b'b.flac', 'no_transcript', 'lacks transcription, text or sentence'),
  ],
)
def test_a_bad_row_is_a_problem_with_its_line(tmp_path, row, kind, reason):
  path = write(
    tmp_path,
    csv=HEADER.encode() + b'a.wav,x,one,anna\n' + row + b'\nb.flac,x,two,ben\n',
  )
  found, (only,) = audiofolder.utterances(path)
  assert [item.id for item in found] == ['a', 'b']
  assert (only.kind, only.source) == (kind, f'{path}/metadata.csv:3')
  assert reason in only.reason


@pytest.mark.parametrize('line', ['{', '[]', '{"text": "one"}'])
def test_a_bad_line_of_json_is_a_problem(tmp_path, line):
  path = write(tmp_path, jsonl=f'{line}\n{{"file_name": "a.wav", "text": ""}}')
  found, problems = audiofolder.utterances(path)
  assert [item.id for item in found] == ['a']
  assert (problems[0].kind, problems[0].source) == (
    'bad_line',
    f'{path}/metadata.jsonl:1',
  )


def test_recordings_that_no_row_names_are_problems(tmp_path):
  path = write(tmp_path, csv=HEADER + 'a.wav,x,one,anna\n')
  (path / 'c.m4a').write_bytes(b'')
  (path / 'notes.txt').write_bytes(b'')
  _, problems = audiofolder.utterances(path)
  assert [(each.utterance, each.kind) for each in problems] == [
    ('b', 'no_transcript'),
    ('c', 'no_transcript'),
  ]


@pytest.mark.parametrize(
  ('content', 'reason'),
  [
    ('', 'want file_name and transcription, text or sentence'),
    ('file_name,label\na.wav,3\n', 'columns file_name, label; want file_name'),
    (HEADER + 'a.wav,"cut off', 'not CSV: unexpected end of data'),
  ],
)
def test_metadata_that_is_none_is_one_line(tmp_path, content, reason):
  path = write(tmp_path, csv=content)
  with pytest.raises(utterance.CorpusError, match=reason):
    audiofolder.utterances(path)


def test_a_folder_without_metadata_is_one_line(tmp_path):
  with pytest.raises(
    utterance.CorpusError, match=r'no metadata\.csv or metadata\.jsonl in it'
  ):
    audiofolder.utterances(write(tmp_path))
