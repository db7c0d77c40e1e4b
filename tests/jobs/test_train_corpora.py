import json

import numpy as np
import pytest
import soundfile
import tiny_run

_ONE_ROUND = ('--config.federated.num_rounds=1',)


def _tone(path, sample_rate, num_channels):
  seconds = np.arange(int(0.4 * sample_rate)) / sample_rate
  tone = 0.3 * np.sin(2 * np.pi * 440 * seconds)
  soundfile.write(path, np.stack([tone] * num_channels, -1), sample_rate)


@pytest.fixture
def corpus(tmp_path):
  """Good utterances, and one speaker's: two odd formats, two bad files."""
  lines = tiny_run.write_corpus(tmp_path)
  _tone(tmp_path / 'stereo.flac', 8_000, 2)
  _tone(tmp_path / 'tone.ogg', 16_000, 1)
  (tmp_path / 'broken.wav').write_bytes(b'RIFF and no more')
  for name in ('stereo.flac', 'tone.ogg', 'broken.wav', 'missing.wav'):
    lines.append({'audio_filepath': name, 'text': 'six', 'speaker': 's5'})
  tiny_run.write_manifest(tmp_path / 'mixed.jsonl', lines)
  return f'--config.data.path={tmp_path / "mixed.jsonl"}'


def test_bad_audio_is_skipped_counted_and_listed(main, corpus, tmp_path):
  status, output, errors = main(tmp_path / 'run', corpus, *_ONE_ROUND)
  assert (status, errors) == (0, [])
  assert 'left out: 2 bad utterances (skipped_utterances.jsonl)' in output
  text = (tmp_path / 'run' / 'skipped_utterances.jsonl').read_text()
  skipped = [json.loads(line) for line in text.splitlines()]
  assert {(item['utterance'], item['kind']) for item in skipped} == {
    ('broken', 'unreadable'),
    ('missing', 'missing_file'),
    ('', 'sample_rates'),
  }
  assert '1 at 8000 Hz, 1 at 16000 Hz; all are resampled to 16000' in output
  # The 8 kHz stereo FLAC and the OGG are among the other 22.
  evaluated = output.split(' training utterances')
  words = output.replace(',', '').split()
  counts = [int(evaluated[0].split()[-1])]
  counts += [int(words[words.index('out:') + 1])]
  counts += [int(words[words.index('speakers') + 1])]
  assert sum(counts) == 22


def test_what_is_wrong_is_counted_by_kind_and_said(main, tmp_path):
  """Segments of a long file, silence, transcripts and speakers amiss."""
  lines = tiny_run.write_corpus(tmp_path)
  rng = np.random.default_rng(0)
  noise = 0.1 * rng.normal(size=60 * 16_000)
  soundfile.write(tmp_path / 'long.flac', noise, 16_000)
  opposite = np.stack([noise[:9000], -noise[:9000]], axis=1)
  soundfile.write(tmp_path / 'opposite.wav', opposite, 16_000)
  soundfile.write(tmp_path / 'zeros.wav', np.zeros(9000), 16_000)
  long = {'audio_filepath': 'long.flac', 'text': 'six', 'duration': 0.4}
  lines += [
    {**long, 'speaker': 's1', 'offset': 0},
    {**long, 'offset': 50.5},
    {**long, 'speaker': 's1', 'offset': 7, 'text': 'six ж'},
    {**long, 'speaker': 's1', 'offset': 8, 'text': '(six)!'},
    {**long, 'speaker': 's1', 'offset': 9, 'duration': -1},
    {**long, 'speaker': 's1', 'offset': 60.5},
    {'audio_filepath': 'opposite.wav', 'text': 'six', 'speaker': 's1'},
    {'audio_filepath': 'zeros.wav', 'text': 'six', 'speaker': 's1'},
  ]
  tiny_run.write_manifest(tmp_path / 'mixed.jsonl', lines)
  path = tmp_path / 'mixed.jsonl'
  flags = f'--config.data.path={path}', '--config.data.max_seconds=20'
  status, output, errors = main(tmp_path / 'run', *flags, *_ONE_ROUND)
  assert (status, errors) == (0, [])
  assert 'left out: 5 bad utterances' in output
  bad, warned = (
    line.partition(' by kind: ')[2].removesuffix(' (skipped_utterances.jsonl)')
    for line in output.splitlines()
    if ' by kind: ' in line
  )
  assert set(bad.split(', ')) == {
    '2 silent',
    '1 too_long',
    '1 bad_segment',
    '1 unspelled',
  }
  assert '1 dropped_characters' in warned
  assert f'warning: {path}: 1 of 28 lines name no speaker; each' in output
  assert f'warning: {path}: 1 of 28 lines have a duration of 0' in output


def test_bad_audio_ends_the_run_where_asked(main, corpus, tmp_path):
  status, _, errors = main(
    tmp_path / 'run', corpus, '--config.data.on_bad_utterance=error'
  )
  assert status == 2
  assert len(errors) == 1
  assert errors[0].startswith('error: 2 bad utterances')


def test_mistyped_path_is_one_line_and_can_be_mended(main, tmp_path):
  missing = tmp_path / 'mistyped.jsonl'
  status, _, errors = main(tmp_path / 'run', f'--config.data.path={missing}')
  assert status == 2
  assert len(errors) == 1
  assert f'{missing}: cannot read the manifest' in errors[0]
  status, _, errors = main(tmp_path / 'run', *_ONE_ROUND)
  assert (status, errors) == (0, [])


def test_corpus_of_bad_audio_is_one_line(main, tmp_path):
  lines = []
  for name in ('a.wav', 'b.wav'):
    (tmp_path / name).write_bytes(b'not audio')
    lines.append({'audio_filepath': name, 'text': 'six', 'speaker': name})
  tiny_run.write_manifest(tmp_path / 'bad.jsonl', lines)
  path = f'--config.data.path={tmp_path / "bad.jsonl"}'
  status, _, errors = main(tmp_path / 'run', path)
  assert status == 2
  assert len(errors) == 1
  assert 'no usable utterance; 2 problems, the first: ' in errors[0]
  assert 'a.wav' in errors[0]


def test_cohort_larger_than_the_population_is_one_line(main, tmp_path):
  status, _, errors = main(tmp_path, '--config.federated.cohort_size=5')
  assert status == 2
  assert errors == [
    'error: config.federated.cohort_size=5; want at most the population of 4 '
    'clients.'
  ]


_OPEN = (
  '--config.data.num_heldout_speakers=-1',
  '--config.federated.cohort_size=0',
  '--config.federated.server.warmup_rounds=-1',
)


def _chosen(workdir):
  saved = json.loads((workdir / 'config.json').read_text())
  return (
    saved['data']['num_heldout_speakers'],
    saved['federated']['cohort_size'],
    saved['federated']['server']['warmup_rounds'],
  )


def test_what_is_left_open_follows_a_small_corpus(main, tmp_path):
  lines = tiny_run.write_corpus(tmp_path)
  few = [line for line in lines if line['speaker'] in ('s0', 's1', 's2')]
  tiny_run.write_manifest(tmp_path / 'few.jsonl', few)
  path = f'--config.data.path={tmp_path / "few.jsonl"}'
  workdir = tmp_path / 'run'
  status, _, errors = main(workdir, path, *_OPEN, *_ONE_ROUND)
  assert (status, errors) == (0, [])
  assert _chosen(workdir) == (1, 2, 0)


def test_run_goes_on_with_what_its_corpus_decided(main, folder, tmp_path):
  """As a run does whose config once named other numbers."""
  workdir = tmp_path / 'run'
  status, _, errors = main(workdir, *_ONE_ROUND)
  assert (status, errors) == (0, [])
  assert _chosen(workdir) == (1, 2, 0)
  two = ('--config.federated.num_rounds=2', '--allow_config_change')
  status, _, errors = main(workdir, *_OPEN, *two)
  assert (status, errors) == (0, [])
  assert _chosen(workdir) == (1, 2, 0)
  assert len(tiny_run.metrics(workdir)) == 2


def test_failed_start_leaves_nothing(main, tmp_path):
  workdir = tmp_path / 'runs' / 'mine'
  for flag in (
    '--config.data.num_heldout_speakers=5',
    '--config.federated.cohort_size=5',
    f'--config.data.path={tmp_path / "nowhere.jsonl"}',
  ):
    status, _, errors = main(workdir, flag)
    assert status == 2
    assert len(errors) == 1
    assert not any(tmp_path.iterdir())
