"""The job that draws a run."""

import json
import pathlib
import subprocess
import sys

import left_examples
import matplotlib.image
import pytest
import untrained_run
from described_population import POPULATION

from fedjax_asr.figures import gallery

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


def test_every_figure_is_there_twice_and_the_run_is_left_alone(run, capsys):
  before = {path: path.stat().st_mtime_ns for path in run.rglob('*')}
  assert report(run) == 0
  folder = run / 'report' / 'figures'
  for name in gallery.FIGURES:
    image = matplotlib.image.imread(folder / f'{name}.png')
    assert image[0, 0, 3] == 0
    assert (folder / f'{name}.pdf').read_bytes().startswith(b'%PDF')
  told = capsys.readouterr().out.splitlines()
  assert told == [str(folder / f'{name}.png') for name in gallery.FIGURES]
  for path, time in before.items():
    if path != run:
      assert path.stat().st_mtime_ns == time


def test_no_run_and_the_run_itself_are_one_line(run, tmp_path, capsys):
  assert report(tmp_path) == 2
  assert 'has no config.json' in capsys.readouterr().err
  assert report(run, f'--workdir={run}') == 2
  errors = capsys.readouterr().err.splitlines()
  assert len(errors) == 1
  assert 'is the run itself' in errors[0]


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
