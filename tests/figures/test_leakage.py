"""What defences save and cost, of records and of directories."""

import json
import pathlib

import matplotlib.text
import pytest

from fedjax_asr import config, run_error
from fedjax_asr.figures import (
  defence_points,
  leakage,
  privacy_utility,
  recovered_axis,
)

_RECORD = (
  pathlib.Path(__file__).parents[2] / 'benchmarks' / 'results' / 'defences.json'
)


def row(defence, point, snr=50.0, wer=0.3, count=8):
  return {
    'defence': defence,
    'point': point,
    'certified': {'count': count, 'of': 8, 'interval': [0, 1]},
    'snr_db': {'median': snr, 'median_interval': [snr, snr]},
    'wer': wer,
  }


def record(path, *rows):
  path.write_text(json.dumps({'points': rows}))
  return path


def texts(figure):
  return [each.get_text() for each in figure.findobj(matplotlib.text.Text)]


def test_only_strengths_that_one_number_orders_are_joined(tmp_path):
  path = record(
    tmp_path / 'a.json',
    *(row('noise', {'clip': 1.0, 'noise': each}) for each in (0.0, 1e-3)),
    *(row('batch', {'a.size': n, 'b.size': n}) for n in (1, 2)),
    *(row('code', {'method': each}) for each in ('none', 'int8')),
    *(
      row('both', {'clip': clip, 'noise': noise})
      for clip, noise in ((1.0, 0.1), (1.0, 0.2), (2.0, 0.1))
    ),
  )
  families = {each.name: each for each in defence_points.read([path])}
  assert {name: each.is_curve for name, each in families.items()} == {
    'noise': True,
    'batch': True,
    'code': False,
    'both': False,
  }
  noise, batch = families['noise'], families['batch']
  assert [noise.label(each) for each in noise.points] == ['0', '0.001']
  assert noise.axis == 'noise'
  # Two fields that go together are told once.
  assert [batch.label(each) for each in batch.points] == ['1', '2']
  figure = privacy_utility.draw(list(families.values()))
  for axes, family in zip(figure.axes[:4], families.values(), strict=True):
    lines = [each for each in axes.lines if each.get_linestyle() == '-']
    joined = [each for each in lines if len(each.get_xdata()) > 1]
    assert len(joined) == family.is_curve


def test_what_is_refused_or_worse_than_silence_is_nothing(tmp_path):
  path = record(
    tmp_path / 'a.json',
    row('noise', {'noise': 0.0}),
    row('noise', {'noise': 0.1}, snr=None, count=0),
    row('noise', {'noise': 0.2}, snr=-51.0, count=0),
  )
  (family,) = defence_points.read([path])
  heights = [recovered_axis.height(each.snr_db) for each in family.points]
  assert heights == [50.0, recovered_axis.NOTHING_DB, recovered_axis.NOTHING_DB]
  (axes,) = leakage.draw([family]).axes
  assert 'nothing' in [each.get_text() for each in axes.get_yticklabels()]
  assert [each.get_text() for each in axes.texts] == ['8/8', '0/8', '0/8']


def test_the_record_of_the_benchmark_is_drawn_with_all_its_defences():
  families = defence_points.read([_RECORD])
  assert len(families) == 9
  for draw in (leakage.draw, privacy_utility.draw):
    said = ' '.join(texts(draw(families)))
    for family in families:
      assert family.name in said


def test_points_without_a_number_are_counted_and_a_record_without_is_refused(
  tmp_path, capsys
):
  bare = row('noise', {'noise': 0.1})
  del bare['wer']
  path = record(tmp_path / 'a.json', bare)
  out = str(tmp_path / 'x.png')
  assert leakage.main(['x', out, str(path)]) == 0
  assert privacy_utility.main(['x', out, str(path)]) == 2
  said = capsys.readouterr().err
  assert '--wer' in said
  assert said.count('\n') == 1
  record(path, bare, row('noise', {'noise': 0.2}))
  figure = privacy_utility.draw(defence_points.read([path]))
  said = ' '.join(texts(figure)).replace('\n', ' ')
  assert '1 points lack one of the two numbers' in said


def directory(path, job, noise, wer=None, snr=(40.0, 60.0)):
  cfg = config.Config(job=config.Job(job))
  cfg.federated.privacy.clip_norm = 1.0
  cfg.federated.privacy.local_noise_multiplier = noise
  path.mkdir()
  (path / 'config.json').write_text(json.dumps(config.as_dict(cfg)))
  if wer is not None:
    line = {'round': 1, 'train/num_utterances': 5, 'eval/wer': wer}
    (path / 'metrics.jsonl').write_text(json.dumps(line) + '\n')
    return path
  common = dict.fromkeys(
    ('mae', 'correlation', 'best_lag_correlation', 'lag_frames'), 0
  )
  records = [
    common
    | {
      'utterance': f'u{index}',
      'victim': f'v{index}',
      'round': 0,
      'method': method,
      'ledger': {},
      'refused': '',
      'is_certified': method == 'span',
      'num_frames': 3,
      'num_frames_found': 3,
      'snr_db': value if method == 'span' else -5.0,
    }
    for index, value in enumerate(snr)
    for method in ('gradient_matching', 'span')
  ]
  (path / 'attack.json').write_text(json.dumps(records))
  return path


def test_attacks_and_runs_of_one_training_are_one_point(tmp_path):
  paths = [
    directory(tmp_path / 'a0', 'attack', 0.0),
    directory(tmp_path / 'a1', 'attack', 0.1, snr=(10.0, 12.0)),
    directory(tmp_path / 't0', 'train', 0.0, wer=0.2),
    directory(tmp_path / 't1', 'train', 0.1, wer=0.4),
    directory(tmp_path / 't2', 'train', 0.1, wer=0.5),
  ]
  (family,) = defence_points.read(paths)
  assert family.fields == ('federated.privacy.local_noise_multiplier',)
  assert family.is_curve
  # The strongest attacker: what is certified. Of two seeds, the mean.
  found = [(point.snr_db, point.certified) for point in family.points]
  assert found == [(50.0, 2), (11.0, 2)]
  assert [point.wer for point in family.points] == [
    pytest.approx(0.2),
    pytest.approx(0.45),
  ]


def test_wrong_input_is_named(tmp_path):
  run = directory(tmp_path / 't0', 'train', 0.0, wer=0.2)
  for paths, said in (
    ([run], 'no directory of the job attack'),
    ([run, run], 'given twice'),
    ([tmp_path / 'no.json'], 'No such file'),
    ([record(tmp_path / 'e.json')], 'no points'),
    ([directory(tmp_path / 'x', 'export', 0.0)], 'of the job export'),
  ):
    with pytest.raises(run_error.RunError, match=said):
      defence_points.read(paths)
  (tmp_path / 'b.json').write_text('{"points": [3]}')
  with pytest.raises(run_error.RunError, match='want a record'):
    defence_points.read([tmp_path / 'b.json'])
