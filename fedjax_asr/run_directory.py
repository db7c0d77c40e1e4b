"""The directory of one run, held by the one process that writes there."""

import os
import pathlib
from collections.abc import Mapping

from fedjax_asr import config as config_lib
from fedjax_asr import (
  environment,
  file_lock,
  found_directory,
  home,
  json_file,
  run_config,
  run_error,
  run_files,
  run_history,
  whole_file,
)

# Where things lie and how many processes read them: never a changed config.
PLACES = ('data.cache_dir', 'data.num_workers', 'federated.memory.where')
# Nor these, in a run that knows its speech by its record of the corpus.
_SPEECH = ('data.path', 'data.heldout_path')


class RunDirectory(run_files.RunFiles):
  """Paths of a run; holds the directory's lock until it is closed.

  As a context manager, it removes what `open_run` and the start made of the
  directory where that fails before `begin`.

  config: of the run; `begin` writes it, so a start may settle it before. What
    it left to the corpus (`config.BY_CORPUS`) is what the run's rounds had.
  changes: of a run with results, by `--allow_config_change`: what `begin` will
    change of it, to be shown.
  """

  def __init__(
    self,
    path: pathlib.Path,
    config: config_lib.Config,
    allow: bool,
  ):
    super().__init__(path)
    # What there is before `begin`.
    of_a_start = (self.config_json, self.alphabet, self.lock, self.checkpoints)
    self._found = found_directory.find(
      self.path, [file.name for file in of_a_start]
    )
    self._lock = _locked(self)
    self._has_begun = False
    self.config = config
    self.allow_config_change = allow
    self.changes: list[str] = []

  def begin(
    self,
    num_rounds: int = 0,
    contents: Mapping[pathlib.Path, str] | None = None,
  ) -> None:
    """Says that what follows is written by this `config`.

    Until then the directory is as it was found. `config.json` holds the config
    afterwards, and `versions.json` a record for each environment the run went
    on in. Where the run has `changes`, what they replace is kept, numbered, and
    `run_history.of_round` finds it.

    Args:
      num_rounds: those behind the run, trained by what was there before.
      contents: of other files that the rounds to come go by.
    """
    run_history.extend(self, num_rounds, bool(self.changes))
    for file, content in (contents or {}).items():
      whole_file.replace_text(file, content)
    environment.record(self.versions_json)
    values = config_lib.as_dict(self.config)
    if json_file.read(self.config_json) != values:
      json_file.write(self.config_json, values)
    self._has_begun = True

  def check_unchanged(self, why: str) -> None:
    """Raises `RunError` where a run that will not go on would be changed."""
    if self.changes:
      raise run_error.RunError(
        f'{self.path} {why}: it was left as it is, without the changed config '
        f'({run_config.listed(self.changes)}).'
      )

  def has_results(self) -> bool:
    """Without, a changed config spoils nothing: a mistyped path, mended."""
    if self.metrics.exists() and self.metrics.stat().st_size:
      return True
    if self.attack.exists() or self.rollbacks.exists():
      return True
    return self.checkpoints.exists() and any(self.checkpoints.iterdir())

  def close(self) -> None:
    """Lets another process use the directory; may be called twice."""
    if self._lock >= 0:
      os.close(self._lock)
      self._lock = -1

  def __enter__(self) -> 'RunDirectory':
    return self

  def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
    if kind is not None and not self._has_begun:
      self._found.restore()
    self.close()


def open_run(
  workdir: str | os.PathLike[str],
  config: config_lib.Config,
  *,
  allow_config_change: bool = False,
) -> RunDirectory:
  """Creates or reopens a run directory, for this process alone.

  A config that is there stays there until `RunDirectory.begin`.

  Raises:
    RunError: the directory cannot be written, another process uses it, it
      holds results of another job, or of another config and
      `allow_config_change` is not set.
  """
  path = home.expanded(workdir).absolute()
  run = RunDirectory(path, config, allow_config_change)
  try:
    if run.config_json.exists():
      _reopen(run)
    else:
      json_file.write(run.config_json, config_lib.as_dict(config))
  except BaseException as error:
    run.__exit__(type(error))
    if isinstance(error, OSError):
      raise run_error.RunError(f'{path}: {error.strerror}.') from error
    raise
  return run


def _locked(files: run_files.RunFiles) -> int:
  try:
    files.path.mkdir(parents=True, exist_ok=True)
    lock = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
  except OSError as error:
    raise run_error.RunError(
      f'--workdir={files.path}: {error.strerror}; want a directory that can be '
      'written.'
    ) from error
  if not file_lock.take(lock, files.lock):
    os.close(lock)
    raise run_error.RunError(
      f'--workdir={files.path} is in use by another process; wait for it, or '
      'give another --workdir.'
    )
  return lock


def _reopen(run: RunDirectory) -> None:
  """Settles `config` and `changes` by what the run was left with."""
  saved = run_config.read(run.config_json)
  if not run.has_results():
    return
  run.config = run_config.continued(saved, run.config)
  if saved['job'] != run.config.job:
    raise run_error.RunError(
      f'{run.path} holds results of the job {saved["job"]}; give the job '
      f'{run.config.job} another --workdir.'
    )
  ignored = PLACES + (_SPEECH if run.corpus.exists() else ())
  run.changes = run_config.changes(saved, run.config, ignored)
  if run.changes and not run.allow_config_change:
    raise run_error.RunError(
      f'{run.path} holds a run of another config '
      f'({run_config.listed(run.changes)}); give another --workdir, or '
      '--allow_config_change to go on with the changed one.'
    )
