"""Kaldi's data directories, and every way in which one can be bad."""

import pytest

from fedjax_asr.corpora import kaldi, utterance

GOOD = {
  'wav.scp': 'a a.wav\nb b.wav\n',
  'text': 'a ONE  two\nb six\n',
  'utt2spk': 'a anna\nb ben\n',
}
SEGMENTED = GOOD | {
  'segments': 'u a 1.5 3.0\nv a 0 1.5\nw b 2 -1\n',
  'text': 'u one\nv two\nw six\n',
  'utt2spk': 'u anna\nv anna\nw ben\n',
}


def write(folder, files):
  for name in ('a.wav', 'b.wav'):
    (folder / name).write_bytes(b'')
  for name, content in files.items():
    content = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(content)
  return folder


def test_without_segments_an_utterance_is_a_recording(tmp_path):
  found, problems = kaldi.utterances(write(tmp_path, GOOD))
  assert problems == []
  assert found[0] == utterance.Utterance(
    'a', 'anna', 'ONE  two', 0.0, utterance.AudioFile(str(tmp_path / 'a.wav'))
  )
  assert [item.id for item in found] == ['a', 'b']


def test_segments_are_stretches_in_order_and_minus_one_is_the_end(tmp_path):
  found, problems = kaldi.utterances(write(tmp_path, SEGMENTED))
  assert problems == []
  assert [(item.id, *item.source[1:], item.duration) for item in found] == [
    ('v', 0.0, 1.5, 1.5),
    ('u', 1.5, 1.5, 1.5),
    ('w', 2.0, 0.0, 0.0),
  ]


def test_a_path_may_start_at_the_working_directory(tmp_path, monkeypatch):
  write(tmp_path, GOOD)
  (tmp_path / 'b.wav').rename(tmp_path / 'c.wav')
  (tmp_path / 'data').mkdir()
  write(tmp_path / 'data', GOOD | {'wav.scp': 'a a.wav\nb c.wav\n'})
  monkeypatch.chdir(tmp_path)
  found, _ = kaldi.utterances('data')
  assert [item.source.path for item in found] == ['data/a.wav', 'c.wav']


@pytest.mark.parametrize(
  ('wanted', 'files', 'place', 'kind', 'reason'),
  [
    ('a', GOOD | {'text': 'a one\n'}, 'wav.scp:2', 'no_transcript', 'not in'),
    ('a', GOOD | {'text': b'a one\nb \xe9\n'}, 'text:2', 'bad_line', 'UTF-8'),
    (
      'ab',
      GOOD | {'text': 'a one\nb six\nc no\n'},
      'text:3',
      'missing_file',
      'wav.scp',
    ),
    (
      'a',
      GOOD | {'wav.scp': 'a a.wav\nb c.wav\n'},
      'wav.scp:2',
      'missing_file',
      'no file',
    ),
    (
      'ab',
      GOOD | {'wav.scp': 'a a.wav\nb b.wav\na b.wav'},
      'wav.scp:3',
      'duplicate_id',
      "repeats the id 'a'",
    ),
    *(
      (
        'vw',
        SEGMENTED | {'segments': f'u {segment}\nv a 0 1.5\nw b 2 -1\n'},
        'segments:1',
        kind,
        reason,
      )
      for segment, kind, reason in (
        ('c 0 1', 'missing_file', "recording 'c' is not in"),
        ('a 2 1', 'bad_segment', 'from 2 s to 1 s; want a later end'),
        ('a -1 1', 'bad_segment', 'from -1 s'),
        ('a 1 x', 'bad_line', "'x'; want seconds"),
        ('a 1 inf', 'bad_line', "'inf'; want seconds"),
        ('a 1', 'bad_line', "'a 1'; want a recording, its start"),
      )
    ),
  ],
)
def test_a_bad_entry_is_a_problem_with_its_place(
  tmp_path, wanted, files, place, kind, reason
):
  found, problems = kaldi.utterances(write(tmp_path, files))
  assert ''.join(item.id for item in found) == wanted
  assert (problems[0].kind, problems[0].source) == (kind, f'{tmp_path}/{place}')
  assert reason in problems[0].reason
  assert not problems[0].is_warning


def test_an_utterance_without_speaker_is_one_of_its_own(tmp_path):
  path = write(tmp_path, GOOD | {'utt2spk': 'a anna\n'})
  found, (warning,) = kaldi.utterances(path)
  assert [item.speaker for item in found] == ['anna', 'b']
  assert warning.kind == 'no_speaker'


@pytest.mark.parametrize(
  ('value', 'reason'),
  [
    ('sph2pipe -f wav b.sph |', r"'sph2pipe -f wav b.sph \|' is a command"),
    ('raw.ark:1234', "'raw.ark:1234' is a place in an archive"),
  ],
)
def test_commands_and_archives_are_refused_in_one_line(tmp_path, value, reason):
  write(tmp_path, GOOD | {'wav.scp': f'a a.wav\nb {value}\n'})
  with pytest.raises(utterance.CorpusError, match=reason) as error:
    kaldi.utterances(tmp_path)
  assert str(error.value).startswith(f'{tmp_path}/wav.scp:2: ')
  assert 'first, for instance with wav-copy' in str(error.value)


@pytest.mark.parametrize('name', GOOD)
def test_a_missing_file_is_one_line(tmp_path, name):
  write(tmp_path, GOOD)
  (tmp_path / name).unlink()
  with pytest.raises(
    utterance.CorpusError, match=f'cannot read {name} of a data directory'
  ):
    kaldi.utterances(tmp_path)
