"""Directories under names that libraries do not take for patterns."""

import pathlib
import tempfile

# Orbax lists what it wrote by a glob of the whole path; sweeps make names such
# as `lr=[0.1]`.
_SPECIAL = frozenset('*?[]\\')


class PlainPath:
  """`path` is `directory`, or a link to it without characters of a glob.

  The link lies in a temporary directory until `close`.
  """

  def __init__(self, directory: pathlib.Path):
    self._directory = directory
    self._temporary: tempfile.TemporaryDirectory[str] | None = None
    self.path = directory
    if _SPECIAL & set(str(directory)):
      self._temporary = tempfile.TemporaryDirectory(prefix='fedjax_asr-')
      self.path = pathlib.Path(self._temporary.name) / directory.name
      if _SPECIAL & set(str(self.path)):
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
