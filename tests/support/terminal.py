"""A process on a terminal of its own."""

import os
import pty
import re
import signal
import subprocess
from collections.abc import Sequence

_HIDE, _SHOW = '\x1b[?25l', '\x1b[?25h'


def run(
  arguments: Sequence[str], *, interrupt_at: str = '', **environment: str
) -> tuple[int, str]:
  """Status and output; `interrupt_at`: what is answered by Ctrl-C."""
  parent, child = pty.openpty()
  process = subprocess.Popen(
    arguments,
    stdin=child,
    stdout=child,
    stderr=child,
    env=os.environ | {'TERM': 'xterm', 'COLUMNS': '100'} | environment,
    start_new_session=True,
  )
  os.close(child)
  text = ''
  while True:
    try:
      read = os.read(parent, 65536)
    except OSError:  # Of Linux, once the other end is closed.
      read = b''
    if not read:
      break
    text += read.decode(errors='replace')
    if interrupt_at and interrupt_at in text:
      process.send_signal(signal.SIGINT)
      interrupt_at = ''
  os.close(parent)
  return process.wait(), text


def is_whole(text: str) -> bool:
  """Whether a bar was there, and the cursor is shown again."""
  return _HIDE in text and text.rfind(_SHOW) > text.rfind(_HIDE)


def shown(text: str) -> str:
  """Without what moves the cursor and colours."""
  return re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', text)
