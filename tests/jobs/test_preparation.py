"""Where the preparation of data ends for a signal."""

import io
import os
import signal

import pytest
import rich.console

from fedjax_asr import interruption
from fedjax_asr.jobs import preparation


def test_signal_ends_the_work_at_its_next_report():
  console = rich.console.Console(file=io.StringIO())
  with interruption.caught(), preparation.reported(console) as report:
    report(1, 3)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(interruption.Interrupted):
      report(2, 3)
