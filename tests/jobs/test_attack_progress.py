"""What an attack says while it lasts."""

import io
import os
import pathlib
import signal
import time

import pytest
import rich.console
import tiny_attack

from fedjax_asr import config, interruption
from fedjax_asr.attacks import observation
from fedjax_asr.jobs import attack, attack_methods, attack_progress


def _console(is_terminal=False):
  return rich.console.Console(
    file=io.StringIO(), force_terminal=is_terminal, width=200
  )


def test_log_is_not_silent_while_a_stage_lasts():
  console = _console()
  with attack_progress.AttackProgress(console, 0.02) as progress:
    progress.report('victim 1/2, a', 'demixing: search 1')
    time.sleep(0.2)
  lines = console.file.getvalue().splitlines()
  assert len(lines) >= 2
  assert set(lines) == {'victim 1/2, a: demixing: search 1 (0:00:00)'}


def test_lines_name_what_is_under_way_and_no_more():
  console = _console()
  with attack_progress.AttackProgress(console, 0.05) as progress:
    for name in 'abcde':
      progress.report(name, 'begins')
    progress.report('b', 'ends')
    progress.done('a')
    time.sleep(0.12)
    for name in 'bcde':
      progress.done(name)
    time.sleep(0.12)
    quiet = console.file.getvalue()
    time.sleep(0.12)
  assert console.file.getvalue() == quiet
  first = quiet.splitlines()[0]
  assert first.startswith('b: ends (0:00:00); c: begins')
  assert first.endswith('; and 1 more')


def test_quick_attack_has_no_lines_and_a_terminal_has_the_stage():
  console = _console()
  with attack_progress.AttackProgress(console) as progress:
    progress.report('a', 'begins')
  assert console.file.getvalue() == ''
  console = _console(is_terminal=True)
  with attack_progress.AttackProgress(console, 0.01) as progress:
    progress.report('a', 'begins')
    time.sleep(0.3)
  assert 'a: begins' in console.file.getvalue()


def test_terminal_has_how_many_victims_are_done():
  console = _console(is_terminal=True)
  with attack_progress.AttackProgress(
    console, num_done=1, num_victims=3
  ) as progress:
    progress.report('b', 'begins')
    progress.done('b')
    time.sleep(0.15)
  assert '2/3' in console.file.getvalue()


def test_attack_says_whom_it_attacks_and_how(tmp_path, monkeypatch, capsys):
  def slow(observed, cfg, key, report):
    del observed, cfg, key
    report('looks around')
    time.sleep(1.0)
    raise observation.Refused('nothing there')

  monkeypatch.setattr(attack_progress, 'EVERY_SECONDS', 0.05)
  monkeypatch.setitem(
    attack_methods._RECONSTRUCT, config.AttackMethod.SPAN, slow
  )
  cfg = tiny_attack.fresh(tmp_path)
  cfg.attack.num_victims = 1
  monkeypatch.setattr(
    attack.attack_gallery, 'plot', lambda *_: [pathlib.Path('x.png')]
  )
  attack.run(cfg, tmp_path / 'run')
  said = capsys.readouterr().out
  assert 'span: looks around (0:00:0' in said
  assert 'victim 1/1, ' in said
  # Nothing was reconstructed, so there is no sound either.
  assert said.rstrip().endswith('reconstructions.h5, and a figure, x.png')


def test_signal_ends_an_attack_at_its_next_stage():
  progress = attack_progress.AttackProgress(rich.console.Console())
  with interruption.caught():
    progress.report('a', 'begins')
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(interruption.Interrupted):
      progress.report('a', 'goes on')
