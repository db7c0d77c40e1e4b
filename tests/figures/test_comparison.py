import json

import matplotlib.image
import numpy as np
import pytest

from fedjax_asr import run_error
from fedjax_asr.figures import comparison, style


def _run(path, name, wers, utterances, held_out=None, max_utterances=0):
  path.mkdir(parents=True)
  cfg = {'name': name, 'evaluation': {'max_utterances': max_utterances}}
  (path / 'config.json').write_text(json.dumps(cfg))
  if held_out is not None:
    sets = {'heldout_speakers': held_out}
    (path / 'corpus.json').write_text(json.dumps({'sets': sets}))
  records = [
    {'round': i, 'train/num_utterances': utterances, 'eval/wer': wer}
    | ({} if wer is None else {'eval/cer': wer / 2})
    for i, wer in enumerate(wers, 1)
  ]
  text = ''.join(json.dumps(record) + '\n' for record in records)
  (path / 'metrics.jsonl').write_text(text)
  return path


def test_each_run_is_drawn_in_a_colour(tmp_path):
  runs = [
    _run(tmp_path / 'a', 'federated', [1.0, None, 0.5], 10),
    _run(tmp_path / 'b', 'central', [0.9, 0.0], 15),
  ]
  path = comparison.plot(runs, tmp_path / 'out' / 'both.png')
  image = matplotlib.image.imread(path)
  assert image.shape[1] == style.WIDTH * style.DPI
  assert image[0, 0, 3] == 0
  for color in (style.BLUE, style.ORANGE):
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    assert (np.abs(image[..., :3] * 255 - wanted).max(-1) < 1).sum() > 100


def test_the_axis_is_utterances_not_rounds(tmp_path):
  run = _run(tmp_path / 'a', 'federated', [1.0, None, 0.5], 10)
  assert comparison.series(run, 'eval/wer') == ([10.0, 30.0], [1.0, 0.5])


def test_the_axis_is_virtual_seconds_where_that_is_asked_for(tmp_path, capsys):
  run = _run(tmp_path / 'a', 'federated', [1.0, None, 0.5], 10)
  arguments = ['x', '--virtual_time', str(tmp_path / 'x.png'), str(run)]
  assert comparison.main(arguments) == 2
  assert 'has no virtual_time; want' in capsys.readouterr().err
  lines = (run / 'metrics.jsonl').read_text().splitlines()
  (run / 'metrics.jsonl').write_text(
    ''.join(
      json.dumps(json.loads(line) | {'virtual_time': 2.5 * index}) + '\n'
      for index, line in enumerate(lines, 1)
    )
  )
  axis = comparison.Axis.VIRTUAL_TIME
  assert comparison.series(run, 'eval/wer', axis) == ([2.5, 7.5], [1.0, 0.5])
  assert comparison.main(arguments) == 0


def _seeded(path, seed, wers, **changed):
  run = _run(path, f'x{seed}', wers, 10)
  cfg = json.loads((run / 'config.json').read_text())
  (run / 'config.json').write_text(json.dumps(cfg | {'seed': seed} | changed))
  return run


def test_runs_of_other_seeds_are_one_line_with_an_interval(tmp_path):
  runs = [
    _seeded(tmp_path / 'a', 0, [1.0, 0.3]),
    _seeded(tmp_path / 'b', 1, [0.9, 0.5]),
    _seeded(tmp_path / 'other', 1, [0.9, 0.5], data={'corpus': 'fsdd'}),
    _seeded(tmp_path / 'c', 2, [0.8, 0.4, 0.1]),
  ]
  groups = comparison.grouped(runs)
  assert [[run.name for run in group.runs] for group in groups] == [
    ['a', 'b', 'c'],
    ['other'],
  ]
  drawn = comparison.curve(groups[0].runs, 'eval/wer')
  # As far as the shortest.
  np.testing.assert_allclose(drawn.places, [10, 20])
  np.testing.assert_allclose(drawn.means, [0.9, 0.4])
  # Deviation 0.1, t(0.975, 2) = 4.3027.
  np.testing.assert_allclose(
    drawn.spread, 4.30265 * 0.1 / np.sqrt(3), rtol=1e-5
  )
  assert comparison.curve(groups[1].runs, 'eval/wer').spread is None
  figure = comparison.draw(runs)
  for axes in figure.axes[:2]:
    assert len(axes.lines) == 2
    assert len(axes.collections) == 1
  told = [text.get_text() for text in figure.legends[0].get_texts()]
  assert told[0] == (
    'a (federated, 3 seeds):\nWER 40.0% ± 24.8%, CER 20.0% ± 12.4%'
  )
  assert told[1].startswith('other (federated):')


def test_a_run_of_one_client_that_holds_all_is_central(tmp_path):
  central = {'num_clients': 1, 'partition': 'iid'}
  run = _seeded(tmp_path / 'a', 0, [1.0], federated=central)
  assert comparison.is_central(run)
  speakers = central | {'partition': 'speaker'}
  run = _seeded(tmp_path / 'b', 0, [1.0], federated=speakers)
  assert not comparison.is_central(run)


def test_a_run_without_an_evaluation_is_one_line(tmp_path, capsys):
  run = _run(tmp_path / 'a', 'federated', [None], 10)
  with pytest.raises(run_error.RunError, match='no evaluation'):
    comparison.plot([run], tmp_path / 'x.png')
  status = comparison.main(['x', str(tmp_path / 'x.png'), str(tmp_path / 'no')])
  assert status == 2
  error = capsys.readouterr().err
  assert error.startswith('error: ')
  assert error.count('\n') == 1


def test_points_of_a_sweep_are_named_by_what_differs(tmp_path):
  runs = [
    _run(tmp_path / name, 'ds2_fedavg', [0.5], 10)
    for name in ('fedavg-cohort_size=8', 'fedavg-cohort_size=16', 'a/x', 'b/x')
  ]
  assert comparison.labels(runs[:2]) == [
    'fedavg-cohort_size=8',
    'fedavg-cohort_size=16',
  ]
  assert comparison.labels(runs[2:]) == ['a/x', 'b/x']
  with pytest.raises(run_error.RunError, match='want each once'):
    comparison.labels([runs[0], runs[0]])


@pytest.mark.parametrize(
  ('other', 'max_utterances', 'warning'),
  [
    ({'u1': 'aa', 'u2': 'bb'}, 0, ''),
    ({'u1': 'aa', 'u2': 'cc'}, 0, 'different speech, or cut'),
    ({'u1': 'aa'}, 0, 'different speech'),
    ({'u1': 'aa', 'u2': 'bb'}, 1, 'different speech'),
    (None, 0, 'is not known: b has no corpus.json'),
  ],
)
def test_other_held_out_speech_is_told(
  tmp_path, capsys, other, max_utterances, warning
):
  runs = [
    _run(tmp_path / 'a', 'x', [0.5], 10, {'u2': 'bb', 'u1': 'aa'}),
    _run(tmp_path / 'b', 'x', [0.5], 10, other, max_utterances),
  ]
  output = tmp_path / 'out.png'
  assert comparison.main(['x', str(output), *map(str, runs)]) == 0
  said = capsys.readouterr().err
  assert warning in said
  assert bool(said) == bool(warning)
  # In the figure, too.
  wanted = [int(style.DISTINCT[4][i : i + 2], 16) for i in (1, 3, 5)]
  image = matplotlib.image.imread(output)[..., :3] * 255
  assert (np.abs(image - wanted).max(-1) < 1).any() == bool(warning)


def test_run_whose_corpus_changed_compares_with_none(tmp_path):
  run = _run(tmp_path / 'a', 'x', [0.5], 10, {'u1': 'aa'})
  before = {'sets': {'heldout_speakers': {'u0': 'zz'}}}
  (run / 'corpus.1.json').write_text(json.dumps(before))
  assert 'different speech' in comparison.held_out_warning([run])
