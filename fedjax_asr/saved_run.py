"""What other jobs take from the directory of a run: config, weights, and how
its features were normalised.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from fedjax_asr import (
  checkpoint,
  config,
  home,
  json_file,
  run_alphabet,
  run_config,
  run_error,
  run_files,
  run_history,
  run_rollbacks,
  validation,
)
from fedjax_asr.federated import channel, channels
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets, features

LAST = -1
# What other jobs go by says nothing about a run: what another version had there
# does not make it unreadable.
_OF_OTHER_JOBS = {*config.Job, 'decode'} - {config.Job.TRAIN}


class SavedRun(NamedTuple):
  """A run as it was trained, at one of its rounds.

  statistics: of the training set, where `config.features.normalization` is
    global; None otherwise.
  scale: of the step in the round that follows, after rollbacks.
  channel_state: the server's state of its clients' channel; () for most.
  """

  path: pathlib.Path
  config: config.Config
  acoustic: model.Model
  params: model.Params
  norm_state: model.NormState
  round: int
  statistics: features.Statistics | None
  scale: float = 1.0
  channel_state: channel.State = ()

  @property
  def alphabet(self) -> alphabets.Alphabet:
    """By which the labels of its checkpoints mean something."""
    return self.acoustic.alphabet


def load(
  run: str | os.PathLike[str],
  field: str,
  round_index: int = LAST,
  *,
  as_sent: bool = False,
) -> SavedRun:
  """Restores a round; the run may be finished or still under way.

  Args:
    run: a directory that the job `train` wrote.
    field: the config field that named it, for messages.
    round_index: a round that was saved, or LAST.
    as_sent: the values that clients are sent, also of a run that keeps an
      average of them (`config.federated.server.ema_decay`).

  Raises:
    UserError: there is no such run or round, it is damaged, or it was trained
      with another version's alphabet or config.
  """
  path = home.expanded(run).absolute()
  files = run_files.RunFiles(path)
  _check_config(files.config_json, path, field)
  alphabet = run_alphabet.read(files.alphabet)
  try:
    return _loaded(path, field, round_index, alphabet, as_sent)
  except checkpoint.CheckpointError:
    if round_index != LAST:
      raise
    # A run that is under way may have dropped the round that was its last.
    return _loaded(path, field, round_index, alphabet, as_sent)


def check_apart(run: SavedRun, workdir: str | os.PathLike[str]) -> None:
  """Raises `RunError` where a job would write into the run that it reads."""
  check_apart_from(run.path, workdir)


def check_apart_from(
  path: pathlib.Path, workdir: str | os.PathLike[str]
) -> None:
  """The same, of a run of which no round need be there."""
  if home.expanded(workdir).resolve() == path.resolve():
    raise run_error.RunError(
      f'--workdir={workdir} is the run itself; want another directory, such '
      'as one in it.'
    )


def _check_config(file: pathlib.Path, path: pathlib.Path, field: str) -> None:
  """Before the checkpoints, which only a run of the right kind has."""
  if not file.is_file():
    raise run_error.RunError(
      f'config.{field}={str(path)!r} has no config.json; want the directory of '
      'a run.'
    )
  job = run_config.read(file)['job']
  if job != config.Job.TRAIN:
    raise run_error.RunError(
      f'config.{field}={str(path)!r} is of the job {job}; want a run of the '
      f'job {config.Job.TRAIN}.'
    )


def _config(file: pathlib.Path) -> config.Config:
  values, defaults = run_config.read(file), config.as_dict(config.Config())
  values |= {name: defaults[name] for name in _OF_OTHER_JOBS}
  try:
    cfg = config.from_dict(config.Config, values)
    validation.validate(cfg)
  except config.ConfigError as error:
    raise run_error.RunError(
      f'{file}: {error} Another version wrote it?'
    ) from error
  return cfg


def _loaded(
  path: pathlib.Path,
  field: str,
  round_index: int,
  alphabet: alphabets.Alphabet,
  as_sent: bool,
) -> SavedRun:
  """A round with the config and the statistics that it was trained by."""
  with _checkpoints(path, field) as checkpoints:
    latest = checkpoints.latest_round
    if latest is None:
      raise _nothing(path, field)
    wanted = latest if round_index == LAST else round_index
    files = run_files.RunFiles(path)
    cfg = _config(run_history.of_round(files.config_json, wanted))
    acoustic = model.acoustic(cfg.model, cfg.features.num_features, alphabet)
    has_average = bool(cfg.federated.server.ema_decay) and not as_sent
    state = checkpoints.restore(
      wanted, _weights(acoustic, cfg.federated, has_average), partial=True
    )
  values = state.average if has_average else state
  return SavedRun(
    path=path,
    config=cfg,
    acoustic=acoustic,
    params=values.params,
    norm_state=values.norm_state,
    round=int(state.round),
    channel_state=state.channel_state,
    statistics=_statistics(files, cfg.features, wanted),
    scale=run_rollbacks.scale(
      run_rollbacks.as_of(run_rollbacks.read(files), wanted)
    ),
  )


class _Values(NamedTuple):
  params: model.Params
  norm_state: model.NormState


class _Weights(NamedTuple):
  """The part of `server.ServerState` that other jobs use."""

  params: model.Params
  norm_state: model.NormState
  round: Int[Array, '']
  average: _Values | tuple[()]
  channel_state: channel.State


def _weights(
  acoustic: model.Model, federated: config.FederatedConfig, has_average: bool
) -> _Weights:
  """Their shapes."""
  begin = channels.make(federated).init_server or (lambda params: ())

  def weights(key):
    params, norm_state = acoustic.init(key)
    average = _Values(params, norm_state) if has_average else ()
    return _Weights(
      params, norm_state, jnp.zeros((), jnp.int32), average, begin(params)
    )

  return jax.eval_shape(weights, jax.random.key(0))


@contextlib.contextmanager
def _checkpoints(
  path: pathlib.Path, field: str
) -> Iterator[checkpoint.Checkpoints]:
  directory = run_files.RunFiles(path).checkpoints
  if not directory.is_dir():
    raise _nothing(path, field)
  # What is kept is for the run itself to say.
  kept = config.CheckpointConfig()
  checkpoints = checkpoint.Checkpoints(directory, kept, read_only=True)
  with contextlib.closing(checkpoints):
    yield checkpoints


def _nothing(path: pathlib.Path, field: str) -> run_error.RunError:
  return run_error.RunError(
    f'config.{field}={str(path)!r} has no checkpoints; want a run that has '
    'saved a round.'
  )


def _statistics(
  files: run_files.RunFiles, cfg: config.FeaturesConfig, round_index: int
) -> features.Statistics | None:
  if not cfg.normalization.has_statistics:
    return None
  file = run_history.of_round(files.statistics, round_index)
  try:
    values = json_file.read(file)
    mean, std = (
      np.asarray(values[name], np.float32) for name in ('mean', 'std')
    )
    if not mean.shape == std.shape == (cfg.num_features,):
      raise ValueError(f'shapes {mean.shape} and {std.shape}')
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise run_error.RunError(
      f'{file}: {error}; want mean and std of {cfg.num_features} features.'
    ) from error
  return features.Statistics(mean=mean, std=std)
