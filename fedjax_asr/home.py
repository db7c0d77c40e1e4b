"""What is kept under a user's home directory, and where, if that cannot be.

An account of a container may have no home, or one that cannot be written. A
place that somebody named is never replaced by another.
"""

import functools
import logging
import os
import pathlib
import stat
import tempfile

from fedjax_asr import config

# Libraries that keep files at home, which fail or complain where there is none.
_LIBRARIES = {'NUMBA_CACHE_DIR': 'numba', 'MPLCONFIGDIR': 'matplotlib'}

_logger = logging.getLogger(__name__)


def expanded(path: str | os.PathLike[str]) -> pathlib.Path:
  """A path whose `~` is the home directory.

  Raises:
    ConfigError: the home directory is not known.
  """
  try:
    return pathlib.Path(path).expanduser()
  except RuntimeError as error:
    raise config.ConfigError(
      f'{str(path)!r}: the home directory is not known (is HOME set?); want a '
      'path without ~.'
    ) from error


def readable_cache(cache_dir: str | os.PathLike[str]) -> pathlib.Path:
  """Where a cache is looked for: `cache_dir` if it can be read.

  Raises:
    UserError: as `writable_cache`, which it is otherwise.
  """
  directory = os.path.expanduser(cache_dir)
  if os.access(directory, os.R_OK | os.X_OK):
    return pathlib.Path(directory)
  return writable_cache(cache_dir)


def writable_cache(cache_dir: str | os.PathLike[str]) -> pathlib.Path:
  """`cache_dir`, or a temporary directory where it is under no home.

  That is the same for all processes of a user; a warning tells, once. What is
  not under `~` is given back as it is. Nothing is created at home.

  Raises:
    UserError: nothing can be written at home, nor to a temporary directory.
  """
  if not str(cache_dir).startswith('~') or _can_write(cache_dir):
    return expanded(cache_dir)
  directory = _temporary(str(cache_dir))
  _warn(str(cache_dir), directory)
  return directory


def lend_to_libraries(cache_dir: str | os.PathLike[str] = '~/.cache') -> None:
  """Gives libraries without a home a place in `cache_dir`, or a temporary one.

  Those that were given one, by environment variables, keep it. Before they are
  imported; processes that are started later have it too.

  Raises:
    UserError: nothing can be written there, nor to a temporary directory.
  """
  missing = {*_LIBRARIES} - {*os.environ}
  if not missing or (_can_write('~/.cache') and _can_write('~/.config')):
    return
  if _can_write(cache_dir):
    directory = expanded(cache_dir).absolute()
  else:
    directory = _temporary(str(cache_dir))
  for variable in missing:
    os.environ[variable] = str(directory / _LIBRARIES[variable])


def _can_write(path: str | os.PathLike[str]) -> bool:
  """Whether a directory is, or can be made, and written to."""
  try:
    directory = pathlib.Path(path).expanduser().absolute()
    while not directory.exists():
      directory = directory.parent
    return directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)
  except (RuntimeError, OSError):
    return False


@functools.cache
def _temporary(wanted: str) -> pathlib.Path:
  """A directory of this user, that nobody else can write to."""
  try:
    name = f'fedjax_asr-{os.getuid()}'
    directory = pathlib.Path(tempfile.gettempdir()) / name
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if is_ours and not found.st_mode & 0o022 and _can_write(directory):
      return directory
    return pathlib.Path(tempfile.mkdtemp(prefix='fedjax_asr-'))
  except OSError as error:
    raise config.UserError(
      f'{wanted} cannot be written, nor a temporary directory ({error}); want '
      'a config.data.cache_dir, and a TMPDIR, that can be.'
    ) from error


@functools.cache
def _warn(cache_dir: str, directory: pathlib.Path) -> None:
  _logger.warning(
    'config.data.cache_dir=%r cannot be written; features and '
    'compiled programs are kept in %s.',
    cache_dir,
    directory,
  )
