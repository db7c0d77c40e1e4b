"""Directories under names that libraries take as they are."""

import pathlib
import re
import tempfile

# Orbax lists what it wrote by a glob of the whole path; sweeps make names such
# as `lr=[0.1]`. Its C++ takes no name that is not UTF-8.
_SPECIAL = re.compile(r'[*?\[\]\\\ud800-\udfff]')


class PlainPath:
  """`path` is `directory`, or a link to it, in UTF-8 and no pattern of a glob.

  The link lies in a temporary directory until `close`.
  """

  def __init__(self, directory: pathlib.Path):
    self._directory = directory
    self._temporary: tempfile.TemporaryDirectory[str] | None = None
    self.path = directory
    if _SPECIAL.search(str(directory)):
      self._temporary = tempfile.TemporaryDirectory(prefix='fedjax_asr-')
      self.path = pathlib.Path(self._temporary.name) / directory.name
      if _SPECIAL.search(self.path.name):
        self.path = self.path.with_name('link')
      self.path.symlink_to(directory, target_is_directory=True)

  def told(self, message: str) -> str:
    """A message that names the directory itself."""
    if self._temporary is None:
      return message
    return message.replace(str(self.path), str(self._directory))

  def close(self) -> None:
    if self._temporary is not None:
      self._temporary.cleanup()
