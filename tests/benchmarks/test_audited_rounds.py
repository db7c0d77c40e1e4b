"""Rounds of a run, each audited once, in rows that tell what was found."""

import concurrent.futures
import json

import audit_jobs
import audit_record
import audited_rounds
import audited_rounds_table
import numpy as np
import pytest
import tiny_run

from fedjax_asr import config, run_files


def asked(result, *words):
  return audited_rounds.parsed(words, result)


def measure(result, *words):
  """The status and the rows of the record, with this process as the pool."""
  record = {'points': []}
  if result.exists():
    record = json.loads(result.read_text())
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    status = audited_rounds.measure(
      pool, asked(result, *words), record, audit_jobs.Record(result, record)
    )
  return status, json.loads(result.read_text())['points']


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
  """The folder of a record, and the flags by which it was measured."""
  folder = tmp_path_factory.mktemp('rounds')
  tiny_run.write_corpus(folder)
  flags = (
    tiny_run.write_config(folder / 'tiny.py'),
    '--rounds=0,2,last',
    '--parts=membership,attack,speakers',
    '--audit.speakers.num_utterances=1',
    '--audit.speakers.num_folds=2',
    '--audit.speakers.num_resamples=20',
    '--attack.num_victims=1',
  )
  status, rows = measure(folder / 'result.json', *flags)
  assert not status, rows
  return folder, flags


def test_each_round_has_its_own_words_members_and_speakers(tiny):
  folder, _ = tiny
  rows = json.loads((folder / 'result.json').read_text())['points']
  assert [row['round'] for row in rows] == [0, 2, 6]
  runs = folder / 'result.runs' / 'config_seed_0'
  lines = {line['round']: line for line in tiny_run.metrics(runs / 'run')}
  assert [row['wer'] for row in rows[1:]] == [
    lines[2]['eval/wer'],
    lines[6]['eval/wer'],
  ]
  for row in rows:
    assert not row['errors']
    assert row['audit']['canaries'] is None
    assert row['audit']['membership']['utterances']['scores']['loss']['auc']
    assert 'roc' not in row['audit']['membership']['utterances']['scores']
    assert row['attack'][0]['victim']
    place = runs / f'round_{row["round"]}' / 'speakers'
    audited = json.loads(run_files.RunFiles(place).audit.read_text())
    assert audited['round'] == (row['round'] or 1)
    linked = row['audit']['speakers']['linkage']['update']['trained']
    assert (
      linked['eer']
      == audited['speakers']['linkage']['update']['trained']['eer']
    )


def test_round_0_has_the_parameters_that_training_begins_with(tiny):
  import jax

  from fedjax_asr import saved_run, streams

  folder, _ = tiny
  runs = folder / 'result.runs' / 'config_seed_0'
  saved = saved_run.load(runs / 'untrained', 'audit.run')
  params, _ = saved.acoustic.init(
    streams.key(0, streams.Stream.INITIAL_PARAMETERS)
  )
  for ours, theirs in zip(
    jax.tree.leaves(saved.params), jax.tree.leaves(params), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-29)


def test_what_the_record_has_is_not_measured_again(tiny, monkeypatch):
  folder, flags = tiny
  result = folder / 'result.json'
  before = result.read_text()
  jobs = []

  def run_main(words):
    jobs.append(words)
    return ''

  monkeypatch.setattr(audit_jobs.sweep, 'run_main', run_main)
  status, rows = measure(result, *flags)
  assert not status
  # The training and the untrained run are asked whether they are finished.
  assert [words[-1].rpartition('/')[2] for words in jobs] == [
    'run',
    'untrained',
  ]
  record = json.loads(before)
  assert rows == record['points']
  record['points'][1]['audit']['membership'] = None
  result.write_text(json.dumps(record))
  jobs.clear()
  measure(result, *flags)
  (again,) = jobs[2:]
  assert '--config.audit.round=2' in again
  assert "--config.audit.parts=('membership',)" in again
  result.write_text(before)


def test_a_part_that_fails_is_in_the_row_and_is_tried_again(tiny, monkeypatch):
  folder, flags = tiny
  result, before = folder / 'result.json', (folder / 'result.json').read_text()
  record = json.loads(before)
  record['points'][2]['audit']['speakers'] = None
  result.write_text(json.dumps(record))
  real = audit_jobs.sweep.run_main
  monkeypatch.setattr(
    audit_jobs.sweep,
    'run_main',
    lambda words: 'it broke' if any('audit' in each for each in words) else '',
  )
  status, rows = measure(result, *flags)
  assert status == 1
  assert rows[2]['errors'] == {'speakers': 'it broke'}
  monkeypatch.setattr(audit_jobs.sweep, 'run_main', real)
  status, rows = measure(result, *flags)
  assert not status
  assert rows == json.loads(before)['points']


def test_rounds_that_are_asked_for_are_kept_and_evaluated(tmp_path):
  (run,) = audited_rounds._runs(
    asked(tmp_path / 'r.json', '--rounds=0,20,30,last')
  )
  assert '--config.checkpoint.keep_every=10' in run.flags
  assert '--config.checkpoint.every_rounds=10' in run.flags
  assert '--config.evaluation.every_rounds=10' in run.flags
  assert '--config=configs/privacy.py' in run.flags


def test_canaries_train_as_many_rounds_and_not_of_round_0(tmp_path):
  result = tmp_path / 'r.json'
  wanted = asked(result, '--parts=canaries', '--audit.canaries.num_canaries=20')
  run = audited_rounds.Run(tmp_path, ())
  row = {'round': 30, 'audit': {}, 'attack': []}
  flags = audited_rounds._jobs(run, row, wanted)['canaries']
  assert '--config.audit.canaries.num_rounds=30' in flags
  assert '--config.audit.canaries.num_canaries=20' in flags
  assert not audited_rounds._jobs(run, row | {'round': 0}, wanted)


def test_before_the_first_round_nothing_is_spent():
  assert audited_rounds._nothing_spent(
    {'delta': 1e-6, 'epsilon_pld': None, 'extrapolated_mu': 0.5}
  ) == {'delta': 1e-6, 'epsilon_pld': 0.0}


@pytest.mark.parametrize(
  'word',
  ['--rounds=5,-1', '--rounds=x', '--parts=words', '--multipliers=a'],
)
def test_a_wrong_flag_is_one_line(word, tmp_path, capsys):
  with pytest.raises(config.ConfigError, match=word.partition('=')[0]):
    asked(tmp_path / 'r.json', word)
  assert audited_rounds.main(['x', str(tmp_path / 'r.json'), word]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f'error: {word.partition("=")[0]}')


def test_a_round_that_the_run_has_not_is_one_line(tiny, tmp_path):
  _, flags = tiny
  with pytest.raises(config.UserError, match=r'--rounds=8: .* rounds 1 to 6'):
    measure(
      tmp_path / 'r.json',
      flags[0],
      '--rounds=8',
      f'--runs={tmp_path / "runs"}',
    )


def test_the_table_has_what_was_not_measured_as_a_dash():
  rows = [
    {
      'noise_multiplier': 0.5,
      'seed': 0,
      'round': 10,
      'wer': 0.5,
      'epsilon': {'extrapolated_epsilon_pld': 1.25},
      'audit': {'speakers': audit_record.speakers()},
      'attack': [
        {
          'victim': 'c',
          'utterance': 'u',
          'snr_db': None,
          'is_certified': False,
          'is_whole': False,
          'refused': 'no end',
        }
      ],
    }
  ]
  *_, line = audited_rounds_table.table(rows).splitlines()
  cells = [cell.strip() for cell in line.split('|')[1:-1]]
  assert cells[:6] == ['0.5', '0', '10', '50.0%', '1.25', '-']
  assert cells[6:9] == ['-', '-', '25.0% [12.5%, 37.5%]']
  assert cells[9] == 'refused'
  assert cells[10].startswith('0%')
