"""What a signal does, wherever it arrives."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from fedjax_asr import interruption


def _send(number):
  os.kill(os.getpid(), number)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_is_noted_and_raised_at_the_next_check(number):
  with interruption.caught() as signals:
    interruption.check()
    _send(number)
    assert signals.came == number
    with pytest.raises(interruption.Interrupted) as caught:
      interruption.check()
    assert caught.value.signal == number


def test_check_raises_in_any_thread():
  raised = []

  def work():
    try:
      interruption.check()
    except interruption.Interrupted as error:
      raised.append(error.signal)

  with interruption.caught():
    _send(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
  assert raised == [signal.SIGTERM]


def test_signal_of_an_outer_context_is_that_of_the_inner_one():
  with interruption.caught():
    _send(signal.SIGTERM)
    with (
      pytest.raises(interruption.Interrupted),
      interruption.caught() as signals,
    ):
      signals.check()
  interruption.check()


def test_other_signals_than_ctrl_c_may_come_twice():
  with interruption.caught() as signals:
    _send(signal.SIGUSR1)
    _send(signal.SIGTERM)
    assert signals.came == signal.SIGUSR1


@pytest.mark.parametrize('first', [signal.SIGINT, signal.SIGTERM])
def test_second_ctrl_c_ends_at_once(first):
  program = (
    'import os; from fedjax_asr import interruption\n'
    'with interruption.caught():\n'
    f'  os.kill(os.getpid(), {int(first)})\n'
    '  print("on", flush=True)\n'
    '  os.kill(os.getpid(), 2)\n'
    '  print("further", flush=True)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', program],
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert done.returncode == 130
  assert (done.stdout, done.stderr) == ('on\n', 'interrupted, at once.\n')


def test_handlers_are_put_back():
  before = signal.getsignal(signal.SIGTERM)
  with interruption.caught():
    assert signal.getsignal(signal.SIGTERM) != before
  assert signal.getsignal(signal.SIGTERM) == before
