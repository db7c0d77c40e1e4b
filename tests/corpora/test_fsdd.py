"""The Free Spoken Digit Dataset."""

import os
import pathlib

import pytest

from fedjax_asr.corpora import fsdd, utterance

RECORDINGS = (
  pathlib.Path(__file__).parents[3] / 'shared' / 'data' / 'fsdd' / 'recordings'
)


def test_a_file_name_is_digit_speaker_and_index(tmp_path):
  (tmp_path / '7_jackson_32.wav').touch()
  (found,), problems = fsdd.utterances(tmp_path)
  assert problems == []
  assert (found.id, found.speaker, found.text) == (
    '7_jackson_32',
    'jackson',
    'seven',
  )


@pytest.mark.parametrize(
  'name', ['12_anna_0.wav', 'x_anna_0.wav', '1_anna.wav', '1__0.wav']
)
def test_another_name_is_a_problem(tmp_path, name):
  (tmp_path / '0_anna_0.wav').touch()
  (tmp_path / name).touch()
  (tmp_path / 'LICENCE').touch()
  found, (problem,) = fsdd.utterances(tmp_path)
  assert len(found) == 1
  assert problem.kind == 'bad_name'
  assert problem.source == str(tmp_path / name)


@pytest.mark.parametrize(
  ('name', 'kind'),
  [
    ('1_anna_0.m4a', 'other_format'),
    ('1_anna_0.flac', 'bad_name'),
    ('1_anna_0.WAV', 'bad_name'),
  ],
)
@pytest.mark.usefixtures('without_formats')
def test_another_format_is_a_problem(tmp_path, name, kind):
  (tmp_path / '0_anna_0.wav').touch()
  (tmp_path / '0_anna_0.m4a').touch()  # What the other was converted from.
  (tmp_path / name).touch()
  found, (problem,) = fsdd.utterances(tmp_path)
  assert len(found) == 1
  assert problem.kind == kind
  assert problem.source == str(tmp_path / name)


def test_a_name_need_not_be_utf_8(tmp_path):
  (tmp_path / os.fsdecode(b'0_ren\xe9_0.wav')).touch()
  (found,), problems = fsdd.utterances(tmp_path)
  assert problems == []
  assert os.fsencode(found.speaker) == b'ren\xe9'


def test_a_folder_without_recordings_is_an_error(tmp_path):
  with pytest.raises(utterance.CorpusError, match='recordings folder of FSDD'):
    fsdd.utterances(tmp_path)


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f'no {RECORDINGS}')
def test_the_real_one_has_six_speakers_of_fifty_recordings_a_digit():
  found, problems = fsdd.utterances(RECORDINGS)
  assert (len(found), problems) == (3000, [])
  counts = {}
  for item in found:
    key = item.speaker, item.text
    counts[key] = counts.get(key, 0) + 1
  assert len(counts) == 60
  assert set(counts.values()) == {50}
