"""Manifests, and every way in which a line can be bad."""

import json

import numpy as np
import pytest
import soundfile

from fedjax_asr.corpora import manifest, utterance


def write(folder, *lines):
  for stem in ('a', 'b'):
    soundfile.write(folder / f'{stem}.wav', np.zeros(160), 16000)
  path = folder / 'manifest.jsonl'
  content = [
    line if isinstance(line, bytes) else json.dumps(line).encode()
    for line in lines
  ]
  path.write_bytes(b'\n'.join(content))
  return path


def line(**fields):
  return {'audio_filepath': 'a.wav', 'text': 'one', 'speaker': 's', **fields}


def test_a_line_becomes_an_utterance(tmp_path):
  path = write(tmp_path, line(duration=0.5, id='x', offset=0))
  (found,), problems = manifest.utterances(path)
  source = utterance.AudioFile(str(tmp_path / 'a.wav'), 0.0, 0.5)
  assert found == utterance.Utterance('x', 's', 'one', 0.5, source)
  assert problems == []


def test_features_win_over_audio(tmp_path):
  np.save(tmp_path / 'f.npy', np.zeros((3, 80)))
  path = write(tmp_path, line(features_filepath='f.npy'))
  (found,), _ = manifest.utterances(path)
  assert found.source == utterance.FeatureFile(str(tmp_path / 'f.npy'))


def test_an_absolute_path_stays(tmp_path):
  (tmp_path / 'deep').mkdir()
  file = tmp_path / 'a.wav'
  write(tmp_path)
  path = write(tmp_path / 'deep', line(audio_filepath=str(file)))
  (found,), _ = manifest.utterances(path)
  assert found.source.path == str(file)


def test_a_default_id_is_the_stem_made_unique(tmp_path):
  path = write(tmp_path, line(), line(), line(audio_filepath='b.wav'))
  found, problems = manifest.utterances(path)
  assert [item.id for item in found] == ['a', 'a-2', 'b']
  assert problems == []


def test_without_speakers_each_is_its_own_and_one_warning_says_so(tmp_path):
  path = write(tmp_path, line(speaker=None), line(speaker=None), line())
  found, (warning,) = manifest.utterances(path)
  assert [item.speaker for item in found] == ['a', 'a-2', 's']
  assert warning.is_warning
  assert warning.reason.startswith('2 of 3 lines name no speaker')


def test_numbers_serve_as_names(tmp_path):
  path = write(tmp_path, line(speaker=1034, id=7))
  (found,), _ = manifest.utterances(path)
  assert (found.speaker, found.id) == ('1034', '7')


@pytest.mark.parametrize(
  ('bad', 'kind', 'reason'),
  [
    (b'{"audio_filepath": "a.wav", ', 'bad_line', 'not JSON'),
    (b'[' * 100_000, 'bad_line', 'not JSON'),
    (b'{"text": "caf\xe9"}', 'bad_line', 'not UTF-8'),
    (b'["a.wav", "one"]', 'bad_line', 'not a JSON object'),
    ({'text': 'one'}, 'bad_line', 'lacks audio_filepath'),
    ({'audio_filepath': 'a.wav', 'id': 'q'}, 'bad_line', 'lacks text'),
    (line(audio_filepath=''), 'bad_line', "audio_filepath=''"),
    (line(audio_filepath=3), 'bad_line', 'audio_filepath=3; want a string'),
    (line(text=None), 'bad_line', 'text=None; want a string'),
    (line(text=['one']), 'bad_line', 'want a string'),
    (line(speaker=True), 'bad_line', 'speaker=True'),
    (line(client=''), 'bad_line', "client=''; want a string"),
    (line(id={}), 'bad_line', 'id={}'),
    (line(duration='long'), 'bad_line', "duration='long'; want seconds"),
    (line(duration=True), 'bad_line', 'duration=True'),
    (line(duration=10**400), 'bad_line', 'want seconds'),
    (line(duration=float('nan')), 'bad_line', 'duration=nan'),
    (line(offset=-1.5), 'bad_line', 'offset=-1.5; want seconds, 0 or more'),
    (line(offset='1.5'), 'bad_line', "offset='1.5'; want seconds"),
    (line(offset=float('inf')), 'bad_line', 'offset=inf'),
    (
      line(features_filepath='a.npy', offset=1.5),
      'bad_line',
      'offset=1.5; want none beside a features_filepath',
    ),
    (line(audio_filepath='no.wav'), 'missing_file', 'no.wav'),
    (line(audio_filepath='.'), 'missing_file', 'no file'),
    (line(audio_filepath='x' * 5000), 'missing_file', 'no file'),
    (line(audio_filepath='a\0b'), 'missing_file', 'no file'),
    (line(id='first'), 'duplicate_id', "repeats the id 'first'"),
  ],
)
def test_a_bad_line_is_a_problem_with_its_number(tmp_path, bad, kind, reason):
  path = write(tmp_path, line(id='first'), b'', bad, line(id='last'))
  found, (only,) = manifest.utterances(path)
  assert [item.id for item in found] == ['first', 'last']
  assert only.kind == kind
  assert only.source == f'{path}:3'
  assert reason in only.reason
  assert not only.is_warning


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
  path = write(tmp_path, line())
  path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes() + b'\r\n\r\n')
  found, problems = manifest.utterances(path)
  assert (len(found), problems) == (1, [])


@pytest.mark.parametrize('content', [b'', b'\n \n'])
def test_an_empty_manifest_is_an_error(tmp_path, content):
  path = tmp_path / 'manifest.jsonl'
  path.write_bytes(content)
  with pytest.raises(utterance.CorpusError, match='an empty manifest'):
    manifest.utterances(path)


def test_a_missing_manifest_is_an_error_that_names_it(tmp_path):
  with pytest.raises(
    utterance.CorpusError, match=r'absent\.jsonl: cannot read'
  ):
    manifest.utterances(tmp_path / 'absent.jsonl')


def sources(found):
  return [tuple(item.source)[1:] for item in found]


def test_offset_and_duration_make_a_segment(tmp_path):
  times = ({'offset': 1.5, 'duration': 2}, {'offset': 7}, {'duration': 1})
  path = write(
    tmp_path, *(line(**fields, id=i) for i, fields in enumerate(times))
  )
  found, problems = manifest.utterances(path)
  assert problems == []
  assert [item.id for item in found] == ['2', '0', '1']
  assert sources(found) == [(0.0, 1.0), (1.5, 2.0), (7.0, 0.0)]


def test_segments_come_together_in_the_place_of_the_first(tmp_path):
  path = write(
    tmp_path,
    line(audio_filepath='b.wav', id='x', offset=3),
    line(id='a2', offset=2),
    line(audio_filepath='b.wav', id='y', offset=1),
    line(id='a1', offset=1),
  )
  found, _ = manifest.utterances(path)
  assert [item.id for item in found] == ['y', 'x', 'a1', 'a2']


def test_a_segment_is_named_by_its_times_wherever_its_line_is(tmp_path):
  lines = [
    line(offset=0, duration=1.5),
    line(offset=1.5, duration=2.25),
    line(offset=3.75),
  ]
  names = ['a', 'a-1.500-3.750', 'a-3.750-end']
  for ordered in (lines, lines[::-1], lines[1:] + lines[:1]):
    found, _ = manifest.utterances(write(tmp_path, *ordered))
    assert [item.id for item in found] == names
  found, problems = manifest.utterances(write(tmp_path, *lines, lines[1]))
  assert [item.id for item in found][2] == 'a-1.500-3.750-2'
  assert problems == []


@pytest.mark.parametrize('duration', [-1, 0, -0.5])
def test_no_duration_is_a_warning_and_the_line_is_kept(tmp_path, duration):
  path = write(tmp_path, line(duration=duration), line(duration=0.5))
  found, (warning,) = manifest.utterances(path)
  assert sources(found) == [(0.0, 0.0), (0.0, 0.5)]
  assert warning.is_warning
  assert (warning.kind, warning.source) == ('no_duration', str(path))
  assert warning.reason.startswith('1 of 2 lines')


def test_who_holds_a_recording_may_be_another_than_who_speaks(tmp_path):
  path = write(
    tmp_path, line(client='phone'), line(client=3), line(speaker=None, client=3)
  )
  found, (warning,) = manifest.utterances(path)
  assert [(item.speaker, item.client) for item in found] == [
    ('s', 'phone'),
    ('s', '3'),
    ('a-3', '3'),
  ]
  assert warning.reason.startswith('1 of 3 lines name no speaker')


@pytest.mark.parametrize(
  'name', ['duration', 'offset', 'speaker', 'client', 'id']
)
def test_null_is_as_good_as_absent(tmp_path, name):
  (found,), _ = manifest.utterances(write(tmp_path, line(**{name: None})))
  fields = line()
  fields.pop(name, None)
  (absent,), _ = manifest.utterances(write(tmp_path, fields))
  assert found == absent
