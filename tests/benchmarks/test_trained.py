"""Which points of a training are attacked, and what is said of victims."""

import json
import types

import numpy as np
import pytest
import trained
import trained_rows
import trained_table

from fedjax_asr import config
from fedjax_asr.federated import partition
from fedjax_asr.jobs import attacked_run


def _row(utterance='u0', **changes):
  return {
    'training': 'ds1_fedavg',
    'seed': 0,
    'round': 10,
    'part': 'train',
    'precision': 'float32',
    'utterance': utterance,
    'outcome': 'whole',
    'is_certified': True,
    'is_whole': True,
    'missing': 0,
    'snr_db': 80.0,
    'determined_snr_db': 80.0,
    'wer': 0.0,
    'loss': 2.0,
    'gradient_norm': 0.5,
    'seconds': 1.0,
  } | changes


def _refused(utterance):
  return _row(
    utterance,
    outcome='refused: no drop',
    is_certified=False,
    is_whole=False,
    snr_db=None,
    determined_snr_db=None,
    wer=1.0,
  )


@pytest.mark.parametrize(
  ('known', 'count', 'chosen'),
  [
    (range(10, 170, 10), 5, [10, 20, 40, 80, 160]),
    ([10, 20, 110], 5, [10, 20, 110]),
    (range(10, 120, 10), 2, [50, 110]),
    ([], 3, []),
  ],
)
def test_each_point_is_half_as_far_as_the_next(known, count, chosen):
  assert trained_rows.halved(list(known), count) == chosen


def test_the_second_half_by_id_is_what_the_first_is_not():
  ids = ['d', 'a', 'c', 'b', 'e']
  first = trained_rows.in_half(ids, trained_rows.FIRST)
  second = trained_rows.in_half(ids, trained_rows.SECOND)
  assert [each for each, inside in zip(ids, first, strict=True) if inside] == [
    'a',
    'b',
  ]
  assert [not inside for inside in first] == second


def _attacked(speakers, num_frames, round_index):
  saved = types.SimpleNamespace(config=config.Config(seed=3), round=round_index)
  saved.config.features.hop_ms = 10.0
  examples = types.SimpleNamespace(
    ids=[f'u{index:02}' for index in range(len(speakers))],
    speakers=speakers,
    num_frames=np.array(num_frames),
  )
  return attacked_run.AttackedRun(
    saved, config.FederatedConfig(), examples, [partition.Client('all', [])]
  )


def test_victims_are_the_same_at_every_round_and_of_all_speakers():
  speakers = ['a', 'a', 'a', 'a', 'b', 'c', 'c']
  attack = config.AttackConfig(max_seconds=1.0)
  frames = [90, 90, 90, 101, 90, 90, 90]
  first, second = (
    trained_rows.one_each(_attacked(speakers, frames, index), attack, 4)
    for index in (1, 2)
  )
  names = [client.name for client in first.clients]
  assert names == [client.name for client in second.clients]
  assert all(len(client.utterances) == 1 for client in first.clients)
  chosen = [int(client.utterances[0]) for client in first.clients]
  assert {speakers[index] for index in chosen} == {'a', 'b', 'c'}
  assert 3 not in chosen  # Longer than a second.
  with pytest.raises(config.ConfigError, match='--victims=7: 6 utterances'):
    trained_rows.one_each(_attacked(speakers, frames, 1), attack, 7)


def test_an_attack_out_of_time_is_refused_with_where_it_was():
  report = trained_rows._deadline(0.0)
  with pytest.raises(trained_rows.OutOfTime, match='while: step 7 of 9'):
    report('step 7 of 9')
  # Outside of what a refusal ends.
  report('seed_and_grow: begins')
  reason = trained_rows.reason('out of time after 300 s, while: step 7 of 9')
  assert reason == 'out of time after N s'
  trained_rows._deadline(1e3)('on')


@pytest.mark.parametrize(
  ('changes', 'outcome'),
  [
    ({}, 'whole'),
    ({'refused': 'rank 610 of 640, from noise.'}, 'refused: rank N of N, from'),
    ({'is_certified': False}, 'not certified'),
    ({'is_whole': False, 'num_frames_found': 90}, 'in part: frames missing'),
    ({'is_whole': False, 'undetermined': [[[3, 9]]]}, 'in part: silence'),
    ({'is_whole': False, 'undetermined': [[]]}, 'in part: more is sent'),
  ],
)
def test_outcomes_are_told_apart(changes, outcome):
  record = {
    'refused': '',
    'is_certified': True,
    'is_whole': True,
    'num_frames': 100,
    'num_frames_found': 100,
    'undetermined': [],
  }
  assert trained_rows.outcome(record | changes).startswith(outcome)


def test_runs_of_equal_frames_are_measured():
  frames = np.array([[1.0], [2.0], [2.0], [2.0], [3.0], [3.0]])
  assert trained_rows.longest_repeat(frames) == 3


def test_failures_are_in_the_table_and_in_its_median():
  rows = [_row('u0'), _refused('u1'), _refused('u2')]
  line = trained_table.by_round(rows).splitlines()[-1]
  assert '| 10 | trained on | 3 (1) | 2 | 1 (' in line
  # Two of three are failures, and so is their median.
  assert line.count('| - |') == 1
  outcomes = trained_table.by_outcome(rows).splitlines()[2:]
  assert outcomes[0].endswith('| refused: no drop | 2 of 3 |')
  assert outcomes[1].endswith('| whole | 1 of 3 |')
  known = trained_table.by_knowledge(rows).splitlines()[2:]
  assert [line.split(' | ')[2] for line in known] == [
    'makes none',
    'makes an error',
  ]


def test_what_is_there_is_not_attacked_again():
  point = trained_rows.Point('/runs/x', 'ds1_fedavg', 0, 10, 'train', 'float32')
  rows = [_row('u0'), _row('u1', round=20), _row('u2', precision='tf32')]
  assert trained.had(rows, point) == ['u0']


def test_a_run_is_trained_once_all_its_rounds_are_there(tmp_path):
  assert not trained.is_trained(str(tmp_path))
  (tmp_path / 'config.json').write_text(
    json.dumps({'federated': {'num_rounds': 2}})
  )
  metrics = tmp_path / 'metrics.jsonl'
  metrics.write_text(json.dumps({'round': 1}) + '\n')
  assert not trained.is_trained(str(tmp_path))
  metrics.write_text(json.dumps({'round': 2}) + '\n')
  assert trained.is_trained(str(tmp_path))


def test_flags_of_training_do_not_reach_attacks():
  flags = [
    '--config.federated.num_rounds=3',
    '--config.data.path=m.jsonl',
    '--config.attack.max_seconds=4',
  ]
  point = trained_rows.Point('/r', 'x', 0, 1, 'train', 'float32')
  own = {'--out_of_domain': 'other.jsonl'}
  assert trained._flags_of_attack(own, flags, point) == flags[1:]
  point = point._replace(part=trained_rows.OUT_OF_DOMAIN)
  assert trained._flags_of_attack(own, flags, point) == [
    '--config.attack.max_seconds=4',
    '--config.data.corpus=manifest',
    '--config.data.path=other.jsonl',
    '--config.data.num_heldout_speakers=0',
  ]
