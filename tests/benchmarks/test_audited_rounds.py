"""Rounds of a run, each audited once, in rows that tell what was found."""

import concurrent.futures
import json

import audit_jobs
import audit_record
import audited_rounds
import audited_rounds_table
import jax
import numpy as np
import pytest
import tiny_run

from fedjax_asr import config, run_files, saved_run, streams


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


_MEMBERS = ('--rounds=2', '--parts=membership')
_OTHERS = ('--rounds=0,2', '--parts=attack,membership')


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
  """A record and the flags by which it was measured, part after part."""
  folder = tmp_path_factory.mktemp('rounds')
  tiny_run.write_corpus(folder)
  flags = (
    tiny_run.write_config(folder / 'tiny.py'),
    '--config.federated.num_rounds=4',
    '--config.evaluation.num_kept_examples=0',
    '--attack.num_victims=1',
  )
  result = folder / 'result.json'
  for asked_for in (_MEMBERS, _OTHERS):
    status, rows = measure(result, *flags, *asked_for)
    assert not status, rows
  return result, flags


@pytest.fixture
def copied(tiny, tmp_path):
  """`copied(change)`: the record, changed, and flags that leave it there."""
  result, flags = tiny

  def copy(change):
    record = json.loads(result.read_text())
    change(record['points'])
    to = tmp_path / 'result.json'
    to.write_text(json.dumps(record))
    return to, (*flags, f'--runs={result.with_suffix(".runs")}')

  return copy


@pytest.fixture
def jobs(monkeypatch):
  """Flags of what would have been run."""
  asked_for = []

  def run_main(words):
    asked_for.append(words)
    return 'it broke' if '--config=configs/audit.py' in words else ''

  monkeypatch.setattr(audit_jobs.sweep, 'run_main', run_main)
  return asked_for


def test_each_round_has_its_own_words_members_and_victims(tiny):
  result, _ = tiny
  trained, untrained = json.loads(result.read_text())['points']
  assert [trained['round'], untrained['round']] == [2, 0]
  assert not trained['errors']
  assert not untrained['errors']
  runs = result.with_suffix('.runs') / 'config_seed_0'
  lines = {line['round']: line for line in tiny_run.metrics(runs / 'run')}
  assert trained['wer'] == lines[2]['eval/wer']
  (line,) = tiny_run.metrics(runs / 'untrained')
  assert untrained['wer'] == line['eval/wer']
  audited = json.loads(
    run_files.RunFiles(runs / 'round_2' / 'membership').audit.read_text()
  )
  assert audited['round'] == 2
  kept = trained['audit']['membership']['utterances']['scores']['loss']
  whole = audited['membership']['utterances']['scores']['loss']
  assert kept['auc'] == whole['auc']
  assert 'roc' in whole
  assert 'roc' not in kept
  for row in (trained, untrained):
    (attacked,) = row['attack']
    assert attacked['victim']
    assert attacked['utterance']
  # Nobody was trained on before the first round.
  assert set(untrained['audit'].values()) == {None}


def test_round_0_has_the_parameters_that_training_begins_with(tiny):
  result, _ = tiny
  runs = result.with_suffix('.runs') / 'config_seed_0'
  saved = saved_run.load(runs / 'untrained', 'audit.run')
  params, _ = saved.acoustic.init(
    streams.key(0, streams.Stream.INITIAL_PARAMETERS)
  )
  for ours, theirs in zip(
    jax.tree.leaves(saved.params), jax.tree.leaves(params), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-29)


def test_what_the_record_has_is_not_measured_again(copied, jobs):
  def change(rows):
    rows[0]['audit']['membership'] = None

  result, flags = copied(lambda rows: None)
  before = json.loads(result.read_text())['points']
  status, rows = measure(result, *flags, *_OTHERS)
  assert not status
  assert rows == before
  # The training and the untrained run are asked whether they are finished.
  places = [words[-1].rpartition('/')[2] for words in jobs]
  assert places == ['run', 'untrained']
  jobs.clear()
  result, flags = copied(change)
  measure(result, *flags, *_OTHERS)
  (again,) = jobs[2:]
  assert '--config.audit.round=2' in again
  assert "--config.audit.parts=('membership',)" in again


def test_a_part_that_fails_is_in_the_row_and_is_tried_again(copied, jobs):
  result, flags = copied(lambda rows: None)
  for _ in range(2):
    status, rows = measure(result, *flags, '--rounds=2', '--parts=speakers')
    assert status == 1
    assert rows[0]['errors'] == {'speakers': 'it broke'}
    assert rows[0]['attack']
  assert sum('--config=configs/audit.py' in words for words in jobs) == 2


def test_a_record_names_every_command_that_added_to_it(tmp_path):
  result = tmp_path / 'r.json'
  first = audited_rounds.opened(result, ['x', '--rounds=1'])
  assert first['later_commands'] == []
  result.write_text(json.dumps(first))
  for _ in range(2):
    record = audited_rounds.opened(result, ['x', '--rounds=2'])
    result.write_text(json.dumps(record))
  assert record['command'] == 'x --rounds=1'
  assert record['later_commands'] == ['x --rounds=2']


def test_the_last_round_is_that_of_the_metrics(copied, jobs):
  result, flags = copied(lambda rows: rows.clear())
  _, (row,) = measure(result, *flags, '--rounds=last', '--parts=attack')
  assert row['round'] == 4
  assert '--config.attack.round=4' in jobs[-1]


def test_a_round_that_the_run_has_not_is_one_line(copied, jobs):
  result, flags = copied(lambda rows: None)
  with pytest.raises(config.UserError, match=r'--rounds=8: .* rounds 1 to 4'):
    measure(result, *flags, '--rounds=8')


def test_rounds_that_are_asked_for_are_kept_and_evaluated(tmp_path):
  (run,) = audited_rounds._runs(
    asked(tmp_path / 'r.json', '--rounds=0,20,30,last')
  )
  assert '--config.checkpoint.keep_every=10' in run.flags
  assert '--config.checkpoint.every_rounds=10' in run.flags
  assert '--config.evaluation.every_rounds=10' in run.flags
  assert '--config=configs/privacy.py' in run.flags


def test_round_0_is_of_the_run_that_was_not_moved(tmp_path):
  wanted = asked(tmp_path / 'r.json', '--parts=speakers,canaries,membership')
  row = {'round': 0, 'audit': {}, 'attack': []}
  found = audited_rounds._jobs(audited_rounds.Run(tmp_path, ()), row, wanted)
  assert list(found) == ['speakers']
  assert f'--config.audit.run={tmp_path / "untrained"}' in found['speakers']
  assert '--config.audit.round=1' in found['speakers']


def test_canaries_train_as_many_rounds_as_are_audited(tmp_path):
  result = tmp_path / 'r.json'
  wanted = asked(result, '--parts=canaries', '--audit.canaries.num_canaries=20')
  run = audited_rounds.Run(tmp_path, ())
  row = {'round': 30, 'audit': {}, 'attack': []}
  flags = audited_rounds._jobs(run, row, wanted)['canaries']
  assert '--config.audit.canaries.num_rounds=30' in flags
  assert '--config.audit.canaries.num_canaries=20' in flags


def test_before_the_first_round_nothing_is_spent():
  assert audited_rounds._nothing_spent(
    {
      'delta': 1e-6,
      'epsilon_pld': None,
      'extrapolated_epsilon_pld': 1.5,
      'extrapolated_mu': 0.5,
    }
  ) == {'delta': 1e-6, 'epsilon_pld': None, 'extrapolated_epsilon_pld': 0.0}
  assert audited_rounds._nothing_spent({}) == {}


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


def test_the_table_has_what_was_not_measured_as_a_dash():
  attack = {
    'victim': 'c',
    'utterance': 'u',
    'snr_db': None,
    'is_certified': False,
    'is_whole': False,
    'refused': 'no end',
  }
  row = {'noise_multiplier': 0.5, 'seed': 0, 'wer': 0.5, 'attack': [attack]}
  rows = [
    row | {'round': 10, 'epsilon': {'extrapolated_epsilon_pld': 1.25}},
    row | {'round': 2, 'audit': {'speakers': audit_record.speakers()}},
  ]
  head, _, *lines = audited_rounds_table.table(rows).splitlines()
  cells = [
    [cell.strip() for cell in line.split('|')[1:-1]] for line in (head, *lines)
  ]
  # Nobody looked for members or canaries.
  assert cells[0] == [
    'multiplier',
    'seed',
    'round',
    'WER',
    'epsilon, extrapolated',
    'speakers, equal error rate',
    'SNR of the median',
    'whole',
  ]
  assert cells[1][:5] == ['0.5', '0', '2', '50.0%', '-']
  assert cells[1][5:7] == ['25.0% [12.5%, 37.5%]', 'refused']
  assert cells[2][4:7] == ['1.25', '-', 'refused']
  assert cells[1][7].startswith('0% [0%, ')
