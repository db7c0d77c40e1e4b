"""The job that draws a run, and makes pages of it."""

import contextlib
import io
import json
import pathlib
import subprocess
import sys

import h5py
import left_examples
import matplotlib.image
import matplotlib.text
import numpy as np
import pytest
import untrained_run
from described_population import POPULATION

from fedjax_asr import config
from fedjax_asr.figures import convergence_table, gallery

_CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'report.py'


@pytest.fixture(autouse=True)
def few_figures():
  """All of them here."""


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  path = tmp_path_factory.mktemp('runs') / 'run'
  untrained_run.write(path, untrained_run.small_config())
  lines = [{'round': 1, 'train/loss': 3.0}, {'round': 2, 'train/loss': None}]
  content = ''.join(json.dumps(line) + '\n' for line in lines)
  (path / 'metrics.jsonl').write_text(content)
  (path / 'population.json').write_text(json.dumps(POPULATION))
  left_examples.write(path, [left_examples.example('best', 'one', 'two')])
  return path


def report(run, *flags):
  from fedjax_asr import main

  return main.main(
    [
      'fedjax_asr',
      f'--config={_CONFIG}',
      f'--config.report.run={run}',
      *flags,
    ]
  )


@pytest.fixture(scope='module')
def reported(run):
  """What the job says, once it has left `run/report/`."""
  before = {path: path.stat().st_mtime_ns for path in run.rglob('*')}
  said = io.StringIO()
  with contextlib.redirect_stdout(said):
    assert report(run) == 0
  for path, time in before.items():
    if path != run:
      assert path.stat().st_mtime_ns == time
  return said.getvalue().splitlines()


def test_every_figure_is_there_twice_and_the_run_is_left_alone(run, reported):
  folder = run / 'report' / 'figures'
  for name in gallery.FIGURES:
    image = matplotlib.image.imread(folder / f'{name}.png')
    assert image[0, 0, 3] == 0
    assert (folder / f'{name}.pdf').read_bytes().startswith(b'%PDF')
  pages = [folder.parent / f'report.{form}' for form in ('html', 'md', 'tex')]
  drawn = [folder / f'{name}.png' for name in gallery.FIGURES]
  assert reported == list(map(str, [*drawn, *pages]))


def test_the_pages_show_the_figures_and_the_run(run, reported):
  html, markdown, latex = (
    pathlib.Path(each).read_text(encoding='utf-8') for each in reported[-3:]
  )
  for name in gallery.FIGURES:
    assert f'href="figures/{name}.pdf"' in html
    assert f'(figures/{name}.png)' in markdown
    assert f'{{figures/{name}.pdf}}' in latex
  assert html.count('src="data:image/png;base64,') == len(gallery.FIGURES)
  # The run was never evaluated.
  assert 'The run has no transcripts.json.' in html


def test_what_cannot_be_written_is_one_line(run, tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(gallery, 'FIGURES', {})
  # Of root, too, who may write in any folder.
  (tmp_path / 'file').touch()
  assert report(run, f'--workdir={tmp_path}/file/report') == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert '/file/report: Not a directory' in line
  folder = tmp_path / 'report'
  (folder / 'report.md' / 'kept').mkdir(parents=True)
  assert report(run, f'--workdir={folder}') == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert 'report.md' in line


def test_no_run_and_the_run_itself_are_one_line(run, tmp_path, capsys):
  assert report(tmp_path) == 2
  assert 'has no config.json' in capsys.readouterr().err
  assert report(run, f'--workdir={run}') == 2
  errors = capsys.readouterr().err.splitlines()
  assert len(errors) == 1
  assert 'is the run itself' in errors[0]


def compared(paths, workdir):
  from fedjax_asr import main

  names = ','.join(repr(str(path)) for path in paths)
  return main.main(
    [
      'fedjax_asr',
      f'--config={_CONFIG}:several',
      f'--config.report.runs=({names},)',
      f'--workdir={workdir}',
    ]
  )


def trained(path, seed):
  path.mkdir()
  cfg = config.Config(seed=seed)
  (path / 'config.json').write_text(json.dumps(config.as_dict(cfg)))
  line = {'round': 1, 'train/num_utterances': 4}
  line |= {'eval/wer': 0.5 + seed / 10, 'eval/cer': 0.3}
  (path / 'metrics.jsonl').write_text(json.dumps(line) + '\n')
  return path


def attacked(path):
  path.mkdir()
  cfg = config.Config(job=config.Job.ATTACK)
  (path / 'config.json').write_text(json.dumps(config.as_dict(cfg)))
  scores = (
    'mae',
    'correlation',
    'best_lag_correlation',
    'lag_frames',
    'snr_db',
  )
  record = {'utterance': 'u', 'round': 0, 'method': 'span', 'ledger': {}}
  record |= dict.fromkeys(scores, 0) | {'is_certified': True, 'refused': ''}
  record |= {'num_frames': 5, 'num_frames_found': 5, 'seconds': 1.0}
  (path / 'attack.json').write_text(json.dumps([record]))
  values = np.random.default_rng(0).normal(size=(5, 3))
  with h5py.File(path / 'reconstructions.h5', 'w') as file:
    file['u/original'] = values
    file['u/span'] = values
  return path


def test_an_attack_is_drawn_and_what_it_lacks_is_said(tmp_path, capsys):
  path = attacked(tmp_path / 'attack')
  assert report(path) == 0
  told = capsys.readouterr().out.splitlines()
  names = [
    'reconstruction_scores',
    'singular_values',
    'speaker_identification',
    'reconstruction_u_span',
  ]
  folder = path / 'report' / 'figures'
  pages = [f'report.{form}' for form in ('html', 'md', 'tex')]
  assert told[-3:] == [str(folder.parent / page) for page in pages]
  for line, name in zip(told[:-3], names, strict=True):
    assert line.startswith(str(folder / f'{name}.png'))
    assert (folder / f'{name}.pdf').is_file()
    is_missing = name in ('singular_values', 'speaker_identification')
    assert ('missing: there is no s' in line) == is_missing
  (path / 'attack.json').write_text('[')
  assert report(path) == 0
  assert 'missing: ' in capsys.readouterr().out.splitlines()[0]


def converged(path):
  path.mkdir()
  cfg = config.Config(job=config.Job.CONVERGE)
  (path / 'config.json').write_text(json.dumps(config.as_dict(cfg)))
  measured = {'loss': 2.0, 'gradient_norm': 1.0, 'output_change': 0.1}
  lines = [{'batch': 0, 'iteration': i} | measured for i in range(3)]
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  # The last line is cut off.
  (path / 'iterations.jsonl').write_text(text + '{"batch": 0, "iter')
  row = {'utterances': ['u', 'v'], 'seconds': 3.25, 'initial_loss': 87.5}
  row |= {'final_loss': 0.001, 'final_gradient_norm': 0.002, 'cer': 0.0}
  row |= {'loss_iteration': 41, 'has_converged': True}
  rows = [row | {'fitting_seconds': 12.34}, row | {'loss_iteration': None}]
  (path / 'convergence.json').write_text(json.dumps(rows))
  return path


def test_batches_that_were_fitted_are_drawn_and_tabled(tmp_path, capsys):
  run = converged(tmp_path / 'run')
  assert report(run) == 0
  folder = run / 'report' / 'figures'
  names = ['batch_convergence', 'convergence_table']
  told = capsys.readouterr().out.splitlines()
  assert told[:-3] == [str(folder / f'{name}.png') for name in names]
  figure = convergence_table.draw([run])
  said = [text.get_text() for text in figure.findobj(matplotlib.text.Text)]
  for cell in ('batch 1', '87.50', '41', 'never', '12.3 s', 'not told'):
    assert cell in said
  assert compared([run, converged(tmp_path / 'b')], tmp_path / 'both') == 0
  line, page, *_ = capsys.readouterr().out.splitlines()
  assert line == str(tmp_path / 'both' / 'figures' / 'convergence_table.png')
  assert '2 runs' in pathlib.Path(page).read_text(encoding='utf-8')
  (run / 'convergence.json').write_text('[{}]')
  assert report(run) == 0
  assert 'missing: ' in capsys.readouterr().out.splitlines()[1]


def test_several_runs_are_compared_and_several_attacks(tmp_path, capsys):
  runs = [trained(tmp_path / f'run{seed}', seed) for seed in range(3)]
  assert compared(runs, tmp_path / 'of_runs') == 0
  line, page, *_ = capsys.readouterr().out.splitlines()
  assert line == str(tmp_path / 'of_runs' / 'figures' / 'comparison.png')
  # They have no transcripts.
  for run in runs:
    assert f'{run.name}: ' in pathlib.Path(page).read_text(encoding='utf-8')
  attacks = [attacked(tmp_path / name) for name in 'ab']
  assert compared(attacks, tmp_path / 'of_attacks') == 0
  told = capsys.readouterr().out.splitlines()
  assert told[0].endswith('reconstruction_scores.png')
  text = (tmp_path / 'of_attacks' / 'report.md').read_text(encoding='utf-8')
  assert text.count('| span |') == 2


def test_what_cannot_be_compared_is_one_line(tmp_path, capsys):
  run, attack = trained(tmp_path / 'run', 0), attacked(tmp_path / 'attack')
  (tmp_path / 'empty').mkdir()
  export = trained(tmp_path / 'export', 0)
  cfg = config.as_dict(config.Config(job=config.Job.EXPORT))
  (export / 'config.json').write_text(json.dumps(cfg))
  for paths, said in (
    ([run, attack], 'want directories of one job'),
    ([run, run], 'each once'),
    ([run, tmp_path / 'attack' / '..' / 'run'], 'is given twice'),
    ([run], 'two directories or more'),
    ([run, tmp_path / 'empty'], 'has no config.json'),
    ([run, export], 'is of the job export'),
  ):
    assert compared(paths, tmp_path / 'out') == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
  assert not (tmp_path / 'out').exists()
  assert report(run, "--config.report.runs=('a','b')") == 2
  assert 'configs/report.py:several' in capsys.readouterr().err


def test_a_field_that_is_not_read_is_refused(run, capsys):
  assert report(run, '--config.federated.num_rounds=3') == 2
  assert 'the job report goes by that of the run' in capsys.readouterr().err


def test_matplotlib_is_of_figures_alone():
  script = (
    'import sys; from fedjax_asr import main, command_line\n'
    'from fedjax_asr.federated import rounds\n'
    'assert "matplotlib" not in sys.modules'
  )
  done = subprocess.run([sys.executable, '-c', script], check=False)
  assert done.returncode == 0
