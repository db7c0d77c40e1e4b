"""What a job says where its results cannot be written."""

import contextlib
import os
from collections.abc import Iterator

from fedjax_asr import run_error


@contextlib.contextmanager
def explained(path: str | os.PathLike[str], then: str = '') -> Iterator[None]:
  """Makes an `OSError`, as of a full disk, a `RunError` that names the file.

  `path` is named where the error names none; `then` ends the message.
  """
  try:
    yield
  except OSError as error:
    raise run_error.RunError(
      f'{error.filename or path}: {error.strerror or error}{then}.'
    ) from error
