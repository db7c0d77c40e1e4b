"""What jobs show on a terminal, and leave out where there is none."""

import json
import pathlib
import subprocess
import sys

import pytest
import terminal

from fedjax_asr import config

_ROOT = pathlib.Path(__file__).parents[2]
_SYNTHESIS = """
import rich.console
from fedjax_asr import config
from fedjax_asr.jobs import preparation
cfg = config.Config()
cfg.data.cache_dir = {cache!r}
cfg.data.num_workers = 1
cfg.data.synthetic.num_speakers = 4
cfg.data.synthetic.utterances_per_speaker = 10
cfg.data.num_heldout_speakers = 1
data = preparation.prepare(cfg, rich.console.Console())
print(len(data.train), 'trained')
"""
_WORK = """
import time
import rich.console
from fedjax_asr import interruption
from fedjax_asr.jobs import preparation
with (
  interruption.caught(),
  preparation.reported(rich.console.Console(), 'work') as report,
):
  for done in range(200):
    report(done, 200)
    time.sleep(0.05)
"""


def _python(script):
  return [sys.executable, '-c', script]


def _main(*flags):
  return [sys.executable, '-m', 'fedjax_asr.main', *flags]


def test_synthesis_has_a_bar(tmp_path):
  pytest.importorskip('espeakng_loader')
  script = _SYNTHESIS.format(cache=str(tmp_path))
  status, text = terminal.run(_python(script))
  assert status == 0, text
  assert terminal.is_whole(text)
  assert 'speech and features' in text
  assert '16/40' in terminal.shown(text)
  # Of features that are there already, and without a terminal.
  done = subprocess.run(_python(script), capture_output=True, check=True)
  assert done.stdout.decode().split()[1:] == ['trained']


def test_evaluation_has_a_bar(finished, environment, tmp_path):
  run, _ = finished
  command = _main(
    f'--config={_ROOT / "configs" / "evaluate.py"}',
    f'--config.evaluate.run={run}',
    f'--workdir={tmp_path}',
  )
  status, text = terminal.run(command, **environment)
  assert status == 0, text
  assert terminal.is_whole(text)
  assert 'recognising' in terminal.shown(text)


def test_report_has_a_bar_and_plain_lines_elsewhere(tmp_path):
  run = tmp_path / 'run'
  run.mkdir()
  cfg = config.as_dict(config.Config(job=config.Job.CONVERGE))
  (run / 'config.json').write_text(json.dumps(cfg))
  command = _main(
    f'--config={_ROOT / "configs" / "report.py"}',
    f'--config.report.run={run}',
    f'--workdir={tmp_path / "report"}',
  )
  status, text = terminal.run(command)
  assert status == 0, text
  assert terminal.is_whole(text)
  assert '1/2' in terminal.shown(text)
  done = subprocess.run(command, capture_output=True, check=True, text=True)
  lines = done.stdout.splitlines()
  assert len(lines) == 5
  for line, name in zip(
    lines[:2], ('batch_convergence', 'convergence_table'), strict=True
  ):
    file = tmp_path / 'report' / 'figures' / f'{name}.png'
    assert line.startswith(f'{file} (missing: ')


def test_ctrl_c_leaves_the_cursor_shown():
  status, text = terminal.run(_python(_WORK), interrupt_at='3/200')
  assert status != 0
  assert terminal.is_whole(text)
  assert '190/200' not in text
