"""The secret of a private run: what its noise and its sampling come from.

A file of its own, for its owner's eyes; nothing else in a run's directory has
it. What an epsilon is of are the models: metrics and what is told of clients
are exact, and a checkpoint of banded noise holds noise (SHARP_EDGES).
"""

import json
import pathlib

from fedjax_asr import (
  config,
  json_file,
  run_config,
  run_directory,
  run_error,
  run_files,
  whole_file,
)
from fedjax_asr.federated import secret as secret_lib


def of_run(
  directory: run_directory.RunDirectory, federated: config.FederatedConfig
) -> secret_lib.Secret | None:
  """What the run has, or will have from `begin` on; None without noise.

  Raises:
    RunError: the file is gone of a run that has results, or what it trains by
      is to be changed, noise or corpus or all else: rounds that are trained
      anew would have the same noise on another sum, which two of them take
      away.
  """
  has_noise = federated.privacy.has_noise
  if directory.changes and (has_noise or _had_noise(directory)):
    raise run_error.RunError(
      f'{directory.path} holds a run that began otherwise '
      f'({run_config.listed(directory.changes)}); with noise a run goes on as '
      'it is: what it guarantees is of one mechanism. Give another --workdir.'
    )
  if not has_noise:
    return None
  if federated.privacy.noise_seed >= 0:
    return secret_lib.of_seed(federated.privacy.noise_seed)
  found = read(directory)
  if found is None and directory.has_results():
    raise run_error.RunError(
      f'{directory.noise_seed} is gone, without which a run with noise does '
      'not go on; want the file back, or another --workdir.'
    )
  return secret_lib.drawn() if found is None else found


def _had_noise(directory: run_directory.RunDirectory) -> bool:
  """By the config that is there until `begin` replaces it."""
  saved = run_config.read(directory.config_json)['federated']['privacy']
  return any(
    saved[name]
    for name in (
      'local_noise_multiplier',
      'central_noise_multiplier',
      'target_epsilon',
    )
  )


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
    content = json.dumps([*secret]) + '\n'
    whole_file.replace_text(directory.noise_seed, content, mode=0o600)
