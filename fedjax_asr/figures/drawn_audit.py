"""What the figures of an audit are drawn from: its directory alone."""

import functools
import pathlib
from typing import Any

from fedjax_asr import config, json_file, run_files
from fedjax_asr.figures import drawn_run


class DrawnAudit:
  """Facts of an audit, read once.

  Raises, from each of its properties:
    Missing: there is none of it.
  """

  def __init__(self, path: pathlib.Path):
    self.path = path
    self.files = run_files.RunFiles(path)

  @property
  def name(self) -> str:
    return self.path.name or str(self.path)

  @functools.cached_property
  def found(self) -> dict[str, Any]:
    """`audit.json`."""
    file = self.files.audit
    if not file.is_file():
      raise drawn_run.Missing(f'there is no {file.name}: no part is done yet.')
    try:
      found = json_file.read(file)
    except config.UserError as error:
      raise drawn_run.Missing(str(error)) from error
    if not isinstance(found, dict):
      raise drawn_run.Missing(f'{file.name} is of another version.')
    return found

  def part(self, name: config.AuditPart) -> dict[str, Any]:
    """What was measured of a part."""
    part = self.found.get(name.value)
    if part is None:
      raise drawn_run.Missing(
        f'{self.files.audit.name} has no {name.value}: the part is not done, '
        'or config.audit.parts leaves it out.'
      )
    if not isinstance(part, dict):
      raise drawn_run.Missing(
        f'{self.files.audit.name}: {name.value} is of another version.'
      )
    if 'missing' in part:
      raise drawn_run.Missing(f'{name.value}: {part["missing"]}')
    return part
