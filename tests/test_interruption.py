"""What a signal does, before and while work wants to save what it has."""

import os
import signal

import pytest

from fedjax_asr import interruption


def _send(number):
  os.kill(os.getpid(), number)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_raises_until_it_is_held(number):
  with interruption.caught() as signals:
    with pytest.raises(interruption.Interrupted) as caught:
      _send(number)
    assert caught.value.signal == number
    signals.hold()
    _send(number)
    assert signals.came == number
    with pytest.raises(interruption.Interrupted):
      signals.end()


def test_work_that_no_signal_interrupts_goes_on():
  with interruption.caught() as signals:
    signals.hold()
    signals.end()
  assert signals.came is None


def test_second_ctrl_c_raises_and_no_other_signal_does():
  with interruption.caught() as signals:
    signals.hold()
    _send(signal.SIGTERM)
    _send(signal.SIGTERM)
    assert signals.came == signal.SIGTERM
    with pytest.raises(interruption.Interrupted):
      _send(signal.SIGINT)


def test_handlers_are_put_back():
  before = signal.getsignal(signal.SIGTERM)
  with interruption.caught():
    assert signal.getsignal(signal.SIGTERM) != before
  assert signal.getsignal(signal.SIGTERM) == before
