"""What modules share that draw when they are run."""

import pathlib
import sys
from collections.abc import Callable, Iterable, Sequence

from fedjax_asr import config


def run(
  argv: Sequence[str],
  num_paths: int,
  usage: str | None,
  draw: Callable[[list[pathlib.Path]], Iterable[pathlib.Path]],
) -> int:
  """The exit status, once what is drawn of the given paths is listed.

  `num_paths`: fewer of them get the usage.
  """
  if len(argv) <= num_paths or argv[1].startswith('-'):
    print(usage, file=sys.stderr)
    return 2
  try:
    for path in draw([pathlib.Path(each) for each in argv[1:]]):
      print(path)
  except config.UserError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  return 0
