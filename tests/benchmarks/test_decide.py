"""The table to decide by: what is measured, what it comes to, what it says."""

import json
import queue
import time

import decide
import decide_rows
import decide_table
import own_process
import pytest

from configs import defences
from fedjax_asr import command_line, config, validation
from fedjax_asr.figures import defence_points

_CASE = decide_rows.Case('dropout', {'model.ds1.dropout': 0.0}, 0)
_SETTINGS = decide_rows.Settings(
  num_victims=2,
  own={name: [] for name in decide_rows.ATTACKERS},
  flags=[],
  devices=queue.Queue(),
  seconds=0.0,
)


def utterance(snr, *, whole=False, correlation=0.0, refused='', victim='a'):
  return {
    'victim': victim,
    'utterance': f'{victim}-0',
    'refused': refused,
    'is_certified': whole,
    'is_whole': whole,
    'snr_db': snr,
    'public_snr_db': 0.0,
    'correlation': None if snr is None else correlation,
    'mcd_db': None if snr is None else 5.0,
    'num_frames': 9,
    'num_frames_found': 9 if snr is not None else 0,
  }


def row(attacker, *utterances, seed=0, error='', asked=0, **point):
  return {
    'defence': 'dropout',
    'point': point or _CASE.point,
    'seed': seed,
    'attacker': attacker,
    'error': error,
    'victims_asked': asked or len(utterances),
    'utterances': list(utterances),
    'speaker_top1': {},
  }


def linkage(eer, low, high, **more):
  each = {
    'eer': eer,
    'eer_interval': [low, high],
    'top1': 0.2,
    'top1_interval': [0.1, 0.3],
    'top1_chance': 0.05,
  }
  worse = each | {'eer': eer + 0.05}
  return row('speakers', **more) | {
    'refused': '',
    'linkage': {'cosine': worse, 'trained': each},
  }


REFUSED = [
  utterance(None, refused='why', victim=name) for name in ('a', 'b', 'c')
]
WORSE = [utterance(-2.0, victim=name) for name in ('a', 'b', 'c')]


def found(*rows):
  return decide_table.summary(rows, [])


@pytest.mark.parametrize(
  ('rows', 'verdict', 'strongest'),
  [
    # Half of the utterances are whole, by certificate or by the truth.
    ([row('span', utterance(90.0, whole=True), REFUSED[1])], 'open', 'span'),
    ([row('adaptive', utterance(20.0), REFUSED[1])], 'open', 'adaptive'),
    # One of three is, or comes out in part, or the median is above the mean.
    ([row('span', utterance(21.0), *REFUSED[1:])], 'leaks', 'span'),
    (
      [row('adaptive', utterance(-3.0, correlation=0.5), *WORSE[1:])],
      'leaks',
      'adaptive',
    ),
    (
      [row('matching', *(utterance(2.0, victim=name) for name in 'abc'))],
      'leaks',
      'matching',
    ),
    # An interval that reaches below the public mean says nothing.
    (
      [
        row('span', *REFUSED),
        row('matching', utterance(2.0), utterance(-9.0, victim='b')),
      ],
      'not broken by 2 attackers',
      '',
    ),
    ([row('span', *REFUSED), linkage(0.3, 0.2, 0.4)], 'links', 'speakers'),
    (
      [
        row('span', *REFUSED),
        row('adaptive', *WORSE),
        linkage(0.45, 0.4, 0.51),
      ],
      'not broken by 3 attackers',
      '',
    ),
    ([row('span', *REFUSED)], 'hardly attacked (1)', ''),
    ([row('span', error='killed')], 'not attacked', ''),
  ],
)
def test_verdict_is_by_what_came_out(rows, verdict, strongest):
  summary = found(*rows)
  assert (summary['verdict'], summary['strongest']) == (verdict, strongest)


def test_no_point_is_held_to_be_good_that_one_attacker_of_speech_failed_on():
  """Whoever does not apply, or wants no speech, does not stand in for it."""
  failed, none = row('span', *REFUSED), linkage(0.5, 0.4, 0.6)
  # Of the likelihood, a refusal says that it does not apply.
  other = row('adaptive', *REFUSED)
  assert found(failed, other, none)['verdict'] == 'hardly attacked (2)'
  assert found(failed, row('matching', error='killed'))['verdict'] == (
    'hardly attacked (1)'
  )
  both = found(failed, row('matching', *WORSE), other)
  assert both['verdict'] == 'not broken by 2 attackers'


def test_failing_is_told_from_not_applying_and_from_not_measured():
  summary = found(
    row('span', *REFUSED), row('adaptive', *REFUSED), row('matching', error='x')
  )
  line = decide_table.table([summary]).splitlines()[-1]
  cells = [cell.strip() for cell in line.split('|')[1:-1]]
  assert cells[2:6] == [
    'refused; 0 whole, 0 heard, 3 refused of 3',
    'does not apply',
    'no result',
    '-',
  ]
  assert cells[6:10] == ['0.0 dB', 'none', '**hardly attacked (1)**', '-']


def test_refusals_and_all_seeds_are_inside_median_and_interval():
  rows = [
    row('span', *(utterance(snr, victim=str(snr)) for snr in (30.0, 40.0))),
    row('span', REFUSED[0], utterance(20.0, victim='x'), seed=1),
    row('span', utterance(50.0), seed=2, asked=3),
  ]
  span = found(*rows)['attackers']['span']
  assert span['snr_db']['median'] == 30.0
  assert span['snr_db']['median_interval'][0] is None
  assert (span['num_refused'], span['num_utterances']) == (1, 5)
  # Of what time did not suffice for, the table says how much.
  assert '(2 updates not attacked)' in decide_table.table([found(*rows)])


def test_utterances_of_one_update_are_drawn_together():
  """Two updates, of which one failed: the median may fall on either."""
  batch = [utterance(60.0, whole=True, victim='a') for _ in range(9)]
  failed = [utterance(None, refused='why', victim='b') for _ in range(9)]
  span = found(row('span', *batch, *failed))['attackers']['span']
  assert span['snr_db']['median_interval'] == [None, 60.0]
  assert span['num_updates'] == 2


def test_linkage_counts_where_every_seed_is_below_chance():
  seeds = [linkage(0.3, 0.2, 0.4), linkage(0.4, 0.3, 0.55, seed=1)]
  speakers = found(*seeds)['attackers']['speakers']
  assert speakers['method'] == 'trained'
  assert speakers['eer'] == pytest.approx(0.35)
  assert speakers['eer_interval'] == [0.2, 0.55]
  assert found(*seeds)['strongest'] == ''
  assert found(seeds[0])['verdict'] == 'links'


def test_wer_has_an_interval_over_seeds_and_epsilon_its_kind():
  trainings = [
    _CASE.names | {'seed': seed, 'error': '', 'wer': wer, 'privacy': {}}
    for seed, wer in enumerate((0.2, 0.3, 0.4))
  ]
  trainings[0]['privacy'] = {
    'extrapolated_epsilon_pld': 1.25,
    'epsilon_pld': 80.0,
  }
  summary = decide_table.summary([], trainings)
  line = decide_table.table([summary]).splitlines()[-1]
  # 4.303 deviations of 0.1 over the root of 3.
  assert '| 30.0% ± 24.8% | 1.25, extrapolated |' in line
  local = summary | {'privacy': {'local_epsilon': None}, 'trainings_failed': 1}
  line = decide_table.table([local]).splitlines()[-1]
  assert '(1 failed) | none, local |' in line


def test_epsilon_is_by_rdp_where_pld_has_none():
  own = {'epsilon_pld': None, 'epsilon_rdp': 12.0, 'delta': 1e-5}
  assert decide_table._epsilon(own) == '12'
  assert decide_table._epsilon({}) == 'none'


def test_an_interrupt_begins_no_other_process(tmp_path):
  asked = []

  def measured(task, settings):
    del settings
    asked.append(task.case.seed)
    if task.case.seed == 0:
      raise KeyboardInterrupt
    time.sleep(0.2)
    return [], []

  record = decide._Record(tmp_path / 'r.json', ['decide.py'])
  cases = [_CASE._replace(seed=seed) for seed in range(9)]
  wanted = decide.tasks(record, cases, ['span'], with_wer=False)
  with pytest.raises(KeyboardInterrupt):
    decide.measure(record, wanted, _SETTINGS, 1, measured)
  assert len(asked) < 9


def test_what_is_there_is_not_made_again_and_what_failed_is(tmp_path):
  result = tmp_path / 'r.json'
  cases = [_CASE._replace(seed=seed) for seed in range(3)]
  asked = []

  def measured(task, settings):
    del settings
    asked.append((task.case.seed, task.attackers, task.is_training))
    if task.case.seed == 1:
      raise OSError('no space')
    names = {'seed': task.case.seed}
    if task.is_training:
      training = task.case.names | {'error': '', 'wer': 0.5, 'privacy': {}}
      return [linkage(0.3, 0.2, 0.4, **names)], [training]
    error = 'stopped after 9 s' if task.case.seed == 2 else ''
    return [row('span', utterance(50.0), error=error, asked=2, **names)], []

  def go():
    asked.clear()
    record = decide._Record(result, ['decide.py'])
    wanted = decide.tasks(record, cases, ['span', 'speakers'], with_wer=True)
    return decide.measure(record, wanted, _SETTINGS, 1, measured)

  assert go() == 1
  # Trainings first; both of its rows are of one process.
  assert [each[2] for each in asked] == [True] * 3 + [False] * 3
  content = json.loads(result.read_text())
  assert [len(content[kind]) for kind in ('rows', 'trainings')] == [6, 3]
  errors = {
    (each['seed'], each['attacker']): each['error'] for each in content['rows']
  }
  assert errors[1, 'span'] == errors[1, 'speakers'] == 'OSError: no space'
  # What was stopped has what it did.
  assert errors[2, 'span'] == 'stopped after 9 s'
  assert go() == 1
  assert asked == [(1, ('speakers',), True), (1, ('span',), False)]
  content = json.loads(result.read_text())
  assert len(content['rows']) == 6
  assert {each['seed']: each['start'] for each in content['rows']} == {
    0: 0,
    1: 1,
    2: 0,
  }
  assert len(content['starts']) == 2


def test_figures_draw_the_points_of_the_record(tmp_path):
  result = tmp_path / 'r.json'
  record = decide._Record(result, ['decide.py'])
  points = decide.points('dropout')
  for place in (1, 0):
    record.add('rows', row('adaptive', *WORSE, **points[place]))
    record.add(
      'rows', row('span', utterance(50.0, whole=True), **points[place])
    )
  (family,) = defence_points.read([result])
  # In the order of the sweep, by the stronger attacker.
  assert [point.settings for point in family.points] == points[:2]
  assert [point.snr_db for point in family.points] == [50.0, 50.0]
  assert [point.certified for point in family.points] == [1, 1]


def test_flags_go_to_whom_they_are_for():
  own, fields, flags = decide.split(
    [
      '--seeds=4',
      '--wer',
      '--matching.num_victims=3',
      '--speakers.num_speakers=30',
      '--config.data.cache_dir=x',
    ]
  )
  assert own['--seeds'] == '4'
  assert fields['matching'] == ['num_victims=3']
  assert fields['speakers'] == ['num_speakers=30']
  assert fields['span'] == []
  assert flags == ['--config.data.cache_dir=x']


@pytest.mark.parametrize(
  'flag', ['--victim=3', '--attackers=spam', '--only=noise', '--seconds.x=1']
)
def test_a_wrong_flag_is_one_line(flag, tmp_path, capsys):
  assert decide.main(['decide.py', str(tmp_path / 'r.json'), flag]) == 2
  said = capsys.readouterr().err
  assert said.count('\n') == 1
  assert 'want' in said


def test_every_defence_of_the_config_and_every_code_has_points():
  assert set(decide.VARIANTS) == set(defences._POINTS)
  codes = {
    point['federated.compression.method']
    for point in decide.points('compression')
  }
  assert codes == {
    *('none', 'float16', 'bfloat16', 'int8', 'quantized'),
    *('sign', 'top_k', 'random_k'),
  }


@pytest.mark.parametrize('variant', decide.VARIANTS)
def test_the_ends_of_a_sweep_are_valid_trainings_and_attacks(variant):
  first, *_, last = decide.points(variant)
  for point in (first, last):
    case = decide_rows.Case(variant, point, 0)
    jobs = [
      decide_rows._attack(case, name, _SETTINGS)
      for name in decide_rows.RECONSTRUCTING
    ]
    for flags in (*jobs, decide_rows._training(case, _SETTINGS)):
      command = command_line.parse(['main', *flags, '--workdir=x'])
      validation.validate(command.config)
    assert command.config.job is config.Job.TRAIN


def test_noise_of_the_server_and_sums_hide_single_updates():
  central = {'federated.privacy.central_noise_multiplier': 1e-3}
  summed = {'attack.num_aggregated': 8}
  for point in (central, summed):
    case = _CASE._replace(point=point)
    linked = decide_rows._linked(case, _SETTINGS, None, '')
    assert linked['refused']
    assert found(linked)['attackers']['speakers']['state'] == 'does not apply'
  assert decide_rows._num_victims(_CASE._replace(point=summed), 20) == 12
  # Epsilon of a population is told where there is noise, and only there.
  flags = decide_rows._training(_CASE._replace(point=central), _SETTINGS)
  assert '--config.federated.privacy.population=100000' in flags
  flags = decide_rows._training(_CASE._replace(point=summed), _SETTINGS)
  assert not any('population' in flag or 'attack.' in flag for flag in flags)


def test_a_process_that_fails_says_why_and_one_out_of_time_is_ended():
  devices = own_process.turns(3, 2)
  assert [devices.get() for _ in range(3)] == ['0', '1', '0']
  devices.put('')
  said = own_process.run(['--config=nowhere.py'], devices, 0)
  assert 'nowhere.py' in said
  said = own_process.run(['--config=configs/defences.py'], devices, 0.2)
  assert said == 'stopped after 0.2 s'
  # The place is given back.
  assert devices.get(timeout=1) == ''
