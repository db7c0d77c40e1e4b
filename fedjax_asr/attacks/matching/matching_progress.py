"""Where gradient matching stands between two temporal grids, on disk."""

import os
import pathlib
import zipfile
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedjax_asr import config


class ProgressError(config.UserError):
  """A file that is no progress, or that of another attack."""


class Progress(NamedTuple):
  """What is left to do depends on nothing else that has happened.

  fingerprint: of the update, the settings, the start and the key.
  """

  num_grids: int
  canvas: Float[np.ndarray, 'restarts frames features']
  fingerprint: str


def save(path: pathlib.Path, progress: Progress) -> None:
  """Replaces the file at once: whoever is interrupted leaves a whole one."""
  partial = path.with_name(path.name + '.partial')
  with partial.open('wb') as file:
    np.savez(file, **progress._asdict())
  os.replace(partial, path)


def load(path: pathlib.Path, fingerprint: str) -> Progress | None:
  """What was saved; None where there is no file.

  Raises:
    ProgressError: it cannot be read, or is of another attack.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      progress = Progress(
        int(file['num_grids']), file['canvas'], str(file['fingerprint'])
      )
  except FileNotFoundError:
    return None
  except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
    raise ProgressError(
      f'{path}: no progress of gradient matching ({error}); want it removed.'
    ) from None
  if progress.fingerprint != fingerprint:
    raise ProgressError(
      f'{path}: progress of another update, start or settings; want the same, '
      'or the file removed.'
    )
  return progress
