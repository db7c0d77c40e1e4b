"""Text on standard output, which may have a reader that has had enough."""

import os
import sys

# What a shell makes of SIGPIPE.
_BROKEN_PIPE = 141


def show(text: str) -> None:
  """Prints it at once; ends the program where nobody reads any more."""
  try:
    print(text, end='', flush=True)
  except BrokenPipeError:
    # As `head` does; Python would flush once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(_BROKEN_PIPE)
