"""Files that are there whole or not at all."""

import os
import pathlib


def replace_text(path: pathlib.Path, content: str) -> None:
  """Writes a file whole or not at all."""
  temporary = path.with_name(f'.{path.name}.tmp')
  with temporary.open('w', encoding='utf-8') as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  temporary.replace(path)
