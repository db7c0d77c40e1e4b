"""What the labels of a run's checkpoints mean."""

import json
import pathlib

from fedjax_asr import json_file, run_error, whole_file
from fedjax_asr.speech import text


def settle(file: pathlib.Path) -> None:
  """Writes ours, or checks what is there."""
  if not file.exists():
    whole_file.replace_text(file, json.dumps(text.ALPHABET) + '\n')
  check(file)


def check(file: pathlib.Path) -> None:
  """Raises `RunError` if a run was trained with other labels than ours."""
  saved = json_file.read(file)
  if saved != text.ALPHABET:
    raise run_error.RunError(
      f'{file}: the run has the alphabet {saved!r}; want {text.ALPHABET!r}.'
    )
