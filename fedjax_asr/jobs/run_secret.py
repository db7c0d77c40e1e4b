"""The secret of a private run: what its noise and its sampling come from.

A file of its own, for its owner's eyes: a run's directory may be published
without it, and nothing else there has it.
"""

import os
import pathlib

from fedjax_asr import config, json_file, run_directory, run_error, run_files
from fedjax_asr.federated import secret as secret_lib


def of_run(
  directory: run_directory.RunDirectory, federated: config.FederatedConfig
) -> secret_lib.Secret | None:
  """What the run has, or will have from `begin` on; None without noise.

  Raises:
    RunError: the file is gone of a run that has results, or its config is to be
      changed: rounds that are trained anew would have the same noise on another
      sum, which two of them take away.
  """
  if not federated.privacy.has_noise:
    return None
  if directory.changes:
    raise run_error.RunError(
      f'{directory.path} holds a run with noise, whose config stays as it is '
      f'({directory.changes[0]}): what it guarantees is of one mechanism. Give '
      'another --workdir.'
    )
  if federated.privacy.noise_seed >= 0:
    return secret_lib.of_seed(federated.privacy.noise_seed)
  found = read(directory)
  if found is None and directory.metrics.exists():
    raise run_error.RunError(
      f'{directory.noise_seed} is gone, without which a run with noise does '
      'not go on; want the file back, or another --workdir.'
    )
  return secret_lib.drawn() if found is None else found


def of_saved(
  path: pathlib.Path, federated: config.FederatedConfig
) -> secret_lib.Secret | None:
  """Of a run that another job reads; None without noise.

  Raises:
    RunError: it was removed, so that nobody knows who took part in a round.
  """
  if not federated.privacy.has_noise:
    return None
  if federated.privacy.noise_seed >= 0:
    return secret_lib.of_seed(federated.privacy.noise_seed)
  files = run_files.RunFiles(path)
  found = read(files)
  if found is None:
    raise run_error.RunError(
      f'{files.noise_seed} is gone, by which clients of a round were drawn; '
      'want the file back.'
    )
  return found


def read(files: run_files.RunFiles) -> secret_lib.Secret | None:
  """As a run has it; None where there is no such file.

  Raises:
    RunError: it is damaged.
  """
  if not files.noise_seed.is_file():
    return None
  words = json_file.read(files.noise_seed)
  is_whole = isinstance(words, list) and len(words) == 2
  if not is_whole or not all(
    type(word) is int and 0 <= word < 2**32 for word in words
  ):
    raise run_error.RunError(
      f'{files.noise_seed} is damaged; want two numbers of 32 bits.'
    )
  return secret_lib.Secret(*words)


def begin(
  directory: run_directory.RunDirectory,
  federated: config.FederatedConfig,
  secret: secret_lib.Secret | None,
) -> None:
  """Kept before the first round, so that none is ever trained by another."""
  if secret is None or federated.privacy.noise_seed >= 0:
    return
  if not directory.noise_seed.exists():
    _write_for_owner(directory.noise_seed, secret)


def _write_for_owner(file: pathlib.Path, secret: secret_lib.Secret) -> None:
  json_file.write(file, [*secret])
  os.chmod(file, 0o600)
