"""The tables of recipes, and that the configs have what they say."""

import collections
import json
import pathlib

import pytest
import recipes
import reserved_speakers
import student

from configs import recipes as config_file
from fedjax_asr import command_line, config

ROOT = pathlib.Path(recipes.__file__).parents[1]


def rows_of(name):
  path = ROOT / 'benchmarks/results' / f'recipes_{name}.json'
  return json.loads(path.read_text())['points']


def row(wer, **point):
  final = {'eval/wer': wer, 'eval/utterance_wer': wer / 2}
  return {'point': point, 'final': final}


def test_draws_of_one_setting_are_one_row_and_the_best_is_first():
  rows = [
    row(0.3, seed=1, **{'a.rate': 1, 'same': 5}),
    row(0.1, seed=2, **{'a.rate': 2, 'same': 5}),
    row(0.2, seed=2, **{'a.rate': 1, 'same': 5}),
  ]
  assert recipes.table(rows).splitlines()[2:] == [
    '| rate=2 | 1 | 10.0% | 10.0 | 5.0% |',
    # t = 12.706, and a deviation of 7.07% by the root of 2.
    '| rate=1 | 2 | 25.0% ± 63.5% | 30.0 20.0 | 12.5% |',
  ]


@pytest.mark.parametrize('name', sorted(config_file._SWEEPS))
def test_points_are_those_of_a_config_that_can_be_run(name):
  for point in config_file.sweep(name):
    flags = [f'--config.{field}={value}' for field, value in point.items()]
    if not name.startswith('synthetic'):
      flags.append('--config.data.path=x')
    source = f'--config={ROOT}/configs/recipes.py:{name}'
    cfg = command_line.parse(['', source, *flags]).config
    assert cfg.name == 'recipe'
    assert cfg.seed == point.get('seed', 0)


@pytest.mark.parametrize('name', sorted(config_file._SWEEPS))
def test_the_docs_have_the_tables_of_what_was_measured(name):
  rows = rows_of(name)
  points = [json.loads(json.dumps(each)) for each in config_file.sweep(name)]
  assert sorted(points, key=str) == sorted(
    (each['point'] for each in rows), key=str
  )
  assert recipes.table(rows) in (ROOT / 'docs/recipes.md').read_text()


@pytest.mark.parametrize(
  ('name', 'source'),
  [
    ('ds2', 'ds2_fedavg:features'),
    ('gpu_dropout', 'ds2_fedavg:features_gpu'),
    ('central_dropout', 'ds2_central:features'),
    ('ds1', 'ds1_fedavg:features'),
    ('fsdd_range', 'ds2_fedavg:fsdd'),
  ],
)
def test_a_config_has_the_settings_with_the_lowest_mean(name, source):
  cfg = command_line.parse(
    ['', f'--config={source}', '--config.data.path=x']
  ).config
  start = config_file.get_config(name)
  best = min(_by_setting(rows_of(name)).values(), key=recipes.mean_wer)[0]
  for section in ('augment', 'model', 'features'):
    chosen = config.as_dict(cfg)[section]
    wanted = config.as_dict(start)[section]
    for field, value in best['point'].items():
      if field.startswith(f'{section}.'):
        parent = wanted
        *path, last = field.split('.')[1:]
        for part in path:
          parent = parent[part]
        parent[last] = value
    assert _lists(chosen) == _lists(wanted)
  rate = best['point']['federated.server.learning_rate']
  assert cfg.federated.server.learning_rate == rate
  assert cfg.federated.client == start.federated.client


@pytest.mark.parametrize(
  ('name', 'words'),
  [
    ('ds1', '`ds1_fedavg:features` |'),
    ('ds2', '`ds2_fedavg:features` |'),
    ('gpu', '`ds2_fedavg:features_gpu` |'),
    ('central_before', '`ds2_central:features` before its last change |'),
  ],
)
def test_the_docs_report_the_reserved_speakers(name, words):
  rows = sorted(rows_of(f'reserved_{name}'), key=lambda row: str(row['point']))
  assert [row['point'] for row in rows] == [{'seed': n} for n in range(3)]
  wers = [row['final']['eval/wer'] for row in rows]
  by_seed = ' '.join(f'{100 * wer:.1f}' for wer in wers)
  row = f'| {words} {student.interval(wers)} | {by_seed} |'
  assert row in (ROOT / 'docs/recipes.md').read_text()


def test_fsdd_is_chosen_alike_by_any_five_of_its_speakers():
  rows = rows_of('fsdd_range')
  chosen = collections.Counter()
  for name in config_file._FSDD_SPEAKERS:
    others = [
      each for each in rows if each['point']['data.heldout_speakers'] != [name]
    ]
    groups = _by_setting(others)
    chosen[min(groups, key=lambda key: recipes.mean_wer(groups[key]))] += 1
  assert len(chosen) == 1


def _by_setting(rows):
  groups = {}
  for each in rows:
    point = dict(each['point'])
    point.pop('seed', None)
    point.pop('data.heldout_speakers', None)
    groups.setdefault(json.dumps(point, sort_keys=True), []).append(each)
  return groups


def _lists(values):
  return json.loads(json.dumps(values))


def test_speakers_are_reserved_by_their_names_alone(tmp_path, capsys):
  names = [f'speaker{number}' for number in range(8)]
  lines = [
    json.dumps({'speaker': name, 'n': n}) for name in names for n in (1, 2)
  ]
  source = tmp_path / 'all.jsonl'
  divided = []
  for order in (lines, lines[::-1]):
    source.write_text('\n'.join(order) + '\n\n')
    parts = [tmp_path / 'tuning.jsonl', tmp_path / 'reserved.jsonl']
    argv = ['', str(source), *map(str, parts), '--num=3']
    assert reserved_speakers.main(argv) == 0
    divided.append([set(part.read_text().splitlines()) for part in parts])
  assert divided[0] == divided[1]
  tuning, reserved = divided[0]
  assert tuning | reserved == set(lines)
  assert len(reserved) == 6
  of_reserved = {json.loads(line)['speaker'] for line in reserved}
  assert of_reserved == reserved_speakers.reserved_names(set(names), 3)
  assert 'tuning.jsonl: 10 utterances' in capsys.readouterr().out
