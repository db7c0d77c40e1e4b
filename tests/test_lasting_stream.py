"""Output whose reader has gone."""

import os
import subprocess
import sys

import pytest

from fedjax_asr import lasting_stream

_PROGRAM = """
import sys, rich.console
from fedjax_asr import lasting_stream
with lasting_stream.standard_streams():
  sys.stdin.read()
  for index in range(20_000):
    print(index)
  rich.console.Console().print('more')
sys.exit(7)
"""


def test_program_goes_on_when_its_reader_has_gone():
  with subprocess.Popen(
    [sys.executable, '-c', _PROGRAM],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  ) as process:
    assert process.stdout
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(b'')
  assert (process.returncode, errors) == (7, b'')


def test_output_that_is_read_is_whole():
  done = subprocess.run(
    [sys.executable, '-c', _PROGRAM],
    input=b'',
    capture_output=True,
    check=False,
  )
  lines = done.stdout.decode().splitlines()
  assert lines == [*map(str, range(20_000)), 'more']


class _Full:
  def write(self, text):
    raise OSError(28, 'No space left on device')


def test_full_disk_is_an_error_as_ever():
  with pytest.raises(OSError, match='No space left'):
    lasting_stream.LastingStream(_Full()).write('x')


def test_terminal_that_is_gone_counts_as_read_no_more():
  ours, theirs = os.openpty()
  with os.fdopen(theirs, 'w') as terminal:
    stream = lasting_stream.LastingStream(terminal)
    stream.write('seen\n')
    stream.flush()
    os.close(ours)
    stream.write('unseen\n')
    stream.flush()
