"""What a run guarantees, and what no page may say."""

import matplotlib.text
import private_run
import pytest

from fedjax_asr import config, run_files
from fedjax_asr.figures import drawn_run, gallery
from fedjax_asr.report_pages import blocks, pages, sections


def section(path):
  report = sections.report([drawn_run.DrawnRun(path)], [])
  (found,) = [each for each in report.sections if each.name == 'privacy']
  return [*blocks.inside(found.blocks)]


def texts(path):
  found = section(path)
  return ' '.join(each.text for each in found if isinstance(each, blocks.Text))


def test_guarantee_mechanism_and_what_is_open_are_said(tmp_path):
  path = private_run.write(tmp_path / 'run')
  text = texts(path)
  for words in (
    'whether any one client took part',
    'epsilon 12.8 and delta 1e-05',
    'clipped to a norm of 0.5',
    '0.75 times that norm',
    'Poisson sampling',
    'noise_seed.secret',
    'clients.jsonl has exact losses',
    'no guarantee of this run',
  ):
    assert words in text
  (table,) = [each for each in section(path) if isinstance(each, blocks.Table)]
  rows = [[cell.value for cell in row] for row in table.rows]
  assert rows[0][1:] == [12.75, 15.0, 1.5, 0.125]
  assert rows[1][1:3] == [None, 1.5]
  assert table.rows[1][0].text == 'extrapolated to 10,000 clients'


def test_a_run_without_noise_is_told_in_a_sentence(tmp_path):
  path = private_run.write(tmp_path / 'run', central_noise_multiplier=0.0)
  (only,) = section(path)
  assert isinstance(only, blocks.Text)
  assert only.text.startswith('No noise was added')


def test_a_seed_in_the_config_is_called_an_experiment(tmp_path):
  path = private_run.write(tmp_path / 'run', noise_seed=3)
  assert 'whoever has it takes the noise away. The run is' in texts(path)


@pytest.mark.parametrize(
  ('mechanism', 'words'),
  [
    (config.Mechanism.BANDED, 'banded matrix factorisation'),
    (config.Mechanism.DISTRIBUTED, 'so that the server sees no sum without'),
  ],
)
def test_whose_noise_it_is_is_said(mechanism, words, tmp_path):
  path = private_run.write(tmp_path / 'run', mechanism=mechanism)
  assert words in texts(path)


def test_the_secret_is_on_no_page_and_in_no_figure(tmp_path):
  path = private_run.write(tmp_path / 'run')
  files = run_files.RunFiles(tmp_path / 'report')
  run = drawn_run.DrawnRun(path)
  figures = {each.name: each.figure for each in gallery.drawn(run)}
  assert 'privacy_spent' in figures
  files.path.mkdir()
  written = pages.write(sections.report([run], []), files)
  said = [page.read_text(encoding='utf-8') for page in written]
  assert len(said) == 3
  for figure in figures.values():
    found = figure.findobj(matplotlib.text.Text)
    said.append(' '.join(each.get_text() for each in found))
  for content in said:
    assert not any(word in content for word in private_run.SECRET.split())
