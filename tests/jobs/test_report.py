"""The job that draws a run, and makes pages of it."""

import contextlib
import io
import json
import pathlib
import subprocess
import sys

import matplotlib.image
import pytest
import untrained_run
from described_population import POPULATION

from fedjax_asr.figures import gallery

_CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'report.py'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  path = tmp_path_factory.mktemp('runs') / 'run'
  untrained_run.write(path, untrained_run.small_config())
  lines = [{'round': 1, 'train/loss': 3.0}, {'round': 2, 'train/loss': None}]
  content = ''.join(json.dumps(line) + '\n' for line in lines)
  (path / 'metrics.jsonl').write_text(content)
  (path / 'population.json').write_text(json.dumps(POPULATION))
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
