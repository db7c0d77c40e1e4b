"""JSON files of a run."""

import json
import pathlib
from typing import Any

from fedjax_asr import run_error, whole_file


def read(path: pathlib.Path) -> Any:
  """The content of a JSON file.

  Raises:
    RunError: it cannot be read, or is not JSON.
  """
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise run_error.RunError(f'{path} is not JSON: {error}.') from error
  except OSError as error:
    raise run_error.RunError(f'{path}: {error.strerror}.') from error


def write(path: pathlib.Path, values: Any) -> None:
  """Writes values as people read them, whole or not at all."""
  content = json.dumps(values, indent=2, ensure_ascii=False) + '\n'
  # Bytes of names that are not UTF-8 as '\\udcff', which JSON reads as them.
  readable = content.encode(errors='backslashreplace').decode()
  whole_file.replace_text(path, readable)
