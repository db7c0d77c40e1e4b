"""The directory of one run: what was asked, with which versions, and where
its metrics, checkpoints and figures lie.
"""

import copy
import fcntl
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from typing import Any

from fedjax_asr import config as config_lib
from fedjax_asr import home
from fedjax_asr.speech import text

_PACKAGES = (
  'fedjax_asr',
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'orbax-checkpoint',
  'numpy',
  'librosa',
)
_MAX_SHOWN = 5
# Came later; their defaults are what every run before them did, but for
# transcripts with digits or tags, of which it cut them out.
_ADDED = (
  'data.numbers',
  'data.drop_tags',
  'model.ds2.frozen_norm',
  'federated.privacy',
  'federated.compression',
)

# Files of a run beside those that `RunDirectory` names.
ALPHABET = 'alphabet.json'
STATISTICS = 'feature_statistics.json'
ATTACK = 'attack.json'


class RunError(config_lib.UserError):
  """A run directory cannot be used as asked."""


class RunDirectory:
  """Paths of a run; holds the directory's lock until it is closed."""

  def __init__(self, path: pathlib.Path, lock: int):
    self.path = path
    self.config_json = path / 'config.json'
    self.versions_json = path / 'versions.json'
    self.metrics = path / 'metrics.jsonl'
    self.skipped = path / 'skipped_utterances.jsonl'
    self.tensorboard = path / 'tensorboard'
    self.checkpoints = path / 'checkpoints'
    self.figures = path / 'figures'
    self._lock = lock

  def close(self) -> None:
    """Lets another process use the directory; may be called twice."""
    if self._lock >= 0:
      os.close(self._lock)
      self._lock = -1

  def __enter__(self) -> 'RunDirectory':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()


def open_run(
  workdir: str | os.PathLike[str],
  config: config_lib.Config,
  *,
  allow_config_change: bool = False,
) -> RunDirectory:
  """Creates or reopens a run directory, for this process alone.

  `config.json` afterwards holds `config`, and `versions.json` a list with one
  record for each environment the run was started in.

  Raises:
    RunError: the directory cannot be written, another process uses it, or it
      holds results of another config and `allow_config_change` is not set.
  """
  path = home.expanded(workdir).absolute()
  run = RunDirectory(path, _locked(path))
  try:
    _settle_config(run, config, allow_config_change)
    _record_versions(run)
    _settle_alphabet(run.path / ALPHABET)
    run.figures.mkdir(exist_ok=True)
  except OSError as error:
    run.close()
    raise RunError(f'{path}: {error.strerror}.') from error
  except BaseException:
    run.close()
    raise
  return run


def replace_text(path: pathlib.Path, content: str) -> None:
  """Writes a file whole or not at all."""
  temporary = path.with_name(f'.{path.name}.tmp')
  with temporary.open('w', encoding='utf-8') as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  temporary.replace(path)


def _locked(path: pathlib.Path) -> int:
  """The kernel drops an flock with its process, so none is ever stale."""
  try:
    path.mkdir(parents=True, exist_ok=True)
    lock = os.open(path / '.lock', os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
  except OSError as error:
    raise RunError(
      f'--workdir={path}: {error.strerror}; want a directory that can be '
      'written.'
    ) from error
  try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as error:
    os.close(lock)
    raise RunError(
      f'--workdir={path} is in use by another process; wait for it, or give '
      'another --workdir.'
    ) from error
  return lock


def _settle_config(
  run: RunDirectory, config: config_lib.Config, allow_change: bool
) -> None:
  wanted = config_lib.as_dict(config)
  if run.config_json.exists():
    saved = _saved_config(run.config_json)
    changes = _changes(_of_job(saved, config.job), _of_job(wanted, config.job))
    if saved == wanted:
      return
    if changes and not allow_change and _has_results(run):
      more = len(changes) - _MAX_SHOWN
      shown = ', '.join(changes[:_MAX_SHOWN])
      shown += f' and {more} more' if more > 0 else ''
      raise RunError(
        f'{run.path} holds a run of another config ({shown}); give another '
        '--workdir, or --allow_config_change to go on with the changed one.'
      )
  replace_text(run.config_json, json.dumps(wanted, indent=2) + '\n')


def completed(saved: dict[str, Any]) -> dict[str, Any]:
  """An earlier version's config, with the fields that came later."""
  defaults = config_lib.as_dict(config_lib.Config())
  saved = copy.deepcopy(saved)
  for path in _ADDED:
    *sections, name = path.split('.')
    given, default = saved, defaults
    for section in sections:
      default = default[section]
      given = given.get(section) if isinstance(given, dict) else None
    if isinstance(given, dict):
      given.setdefault(name, default[name])
  return saved


def _of_job(values: dict[str, Any], job: config_lib.Job) -> dict[str, Any]:
  """All but the sections of other jobs, which change nothing."""
  others = set(config_lib.Job) - {job}
  return {
    name: value
    for name, value in completed(values).items()
    if name not in others
  }


def _settle_alphabet(file: pathlib.Path) -> None:
  """What the labels of the run's checkpoints mean."""
  if not file.exists():
    replace_text(file, json.dumps(text.ALPHABET) + '\n')
  check_alphabet(file)


def check_alphabet(file: pathlib.Path) -> None:
  """Raises `RunError` if a run was trained with other labels than ours."""
  saved = read_json(file)
  if saved != text.ALPHABET:
    raise RunError(
      f'{file}: the run has the alphabet {saved!r}; want {text.ALPHABET!r}.'
    )


def _has_results(run: RunDirectory) -> bool:
  """Otherwise a changed config spoils nothing: say, a mistyped path mended."""
  if run.metrics.exists() and run.metrics.stat().st_size:
    return True
  if (run.path / ATTACK).exists():
    return True
  return run.checkpoints.exists() and any(run.checkpoints.iterdir())


def read_json(path: pathlib.Path) -> Any:
  """The content of a JSON file.

  Raises:
    RunError: it cannot be read, or is not JSON.
  """
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise RunError(f'{path} is not JSON: {error}.') from error
  except OSError as error:
    raise RunError(f'{path}: {error.strerror}.') from error


def _saved_config(path: pathlib.Path) -> dict[str, Any]:
  saved = read_json(path)
  if not isinstance(saved, dict):
    raise RunError(f'{path} is not a JSON object.')
  return saved


def _changes(saved: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
  old, new = dict(_leaves(saved)), dict(_leaves(wanted))
  absent = '(no such field)'
  return [
    f'{path}: {_shown(old.get(path, absent))} -> '
    f'{_shown(new.get(path, absent))}'
    for path in dict.fromkeys([*new, *old])
    if old.get(path, absent) != new.get(path, absent)
  ]


def _leaves(node: dict[str, Any], prefix: str = ''):
  for name, value in node.items():
    if isinstance(value, dict):
      yield from _leaves(value, f'{prefix}{name}.')
    else:
      yield f'{prefix}{name}', value


def _shown(value: Any) -> str:
  return str(value) if value != '' else "''"


def _record_versions(run: RunDirectory) -> None:
  record = versions()
  try:
    records = json.loads(run.versions_json.read_text(encoding='utf-8'))
  except (FileNotFoundError, ValueError):
    records = []
  if not records or records[-1] != record:
    content = json.dumps([*records, record], indent=2) + '\n'
    replace_text(run.versions_json, content)


def versions() -> dict[str, Any]:
  """Versions, devices, and the commit where the package is a checkout."""
  # JAX takes a second to import, and flag errors must not wait for it.
  import jax

  return {
    'python': platform.python_version(),
    **{name: _version(name) for name in _PACKAGES},
    **_commit(),
    'devices': [device.device_kind for device in jax.devices()],
  }


def _version(package: str) -> str | None:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return None


def _commit() -> dict[str, Any]:
  root = pathlib.Path(__file__).resolve().parent.parent
  # Installed in a virtual environment inside some other repository, the
  # package must not report that repository's commit.
  if not (root / '.git').exists():
    return {'commit': None, 'has_uncommitted_changes': None}
  return {
    'commit': _git(root, 'rev-parse', 'HEAD'),
    'has_uncommitted_changes': bool(
      _git(root, 'status', '--porcelain', '--untracked-files=no')
    ),
  }


def _git(root: pathlib.Path, *arguments: str) -> str | None:
  try:
    done = subprocess.run(
      ['git', '-C', str(root), *arguments],
      capture_output=True,
      text=True,
      timeout=10,
      check=True,
    )
  except (OSError, subprocess.SubprocessError):
    return None
  return done.stdout.strip() or None
