"""Locks on files, as far as a file system has them."""

import errno
import fcntl
import logging
import os

# What flock answers where another process holds the lock.
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)

_logger = logging.getLogger(__name__)


def take(file: int, path: str | os.PathLike[str]) -> bool:
  """Takes the exclusive lock of an open file; whether it is not another's.

  The kernel drops a lock with its process, so none is ever stale. Where a file
  system has no locks (some of Lustre and NFS) a warning says so, and the file
  counts as taken.

  Args:
    file: a descriptor.
    path: of the file, for the warning.
  """
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as error:
    if error.errno in _HELD:
      return False
    _logger.warning(
      '%s cannot be locked (%s): see to it that one process at a time uses it.',
      path,
      error.strerror,
    )
  return True
