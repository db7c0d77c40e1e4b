"""The directory of one run: what was asked, with which versions, and where
its metrics, checkpoints and figures lie.
"""

import copy
import json
import operator
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from fedjax_asr import config as config_lib
from fedjax_asr import environment, file_lock, found_directory, home
from fedjax_asr.speech import text

_MAX_SHOWN = 5
# Came later; their defaults are what every run before them did, but for
# transcripts with digits or tags, of which it cut them out.
_ADDED = (
  'data.numbers',
  'data.drop_tags',
  'model.ds2.frozen_norm',
  'federated.privacy',
  'federated.compression',
  'attack.transcriber',
)

# Where things lie and how many processes read them: never a changed config.
_PLACES = ('data.cache_dir', 'data.num_workers')
# Nor these, in a run that knows its speech by CORPUS.
_SPEECH = ('data.path', 'data.heldout_path')

# Files of a run beside those that `RunDirectory` names.
CONFIG = 'config.json'
ALPHABET = 'alphabet.json'
STATISTICS = 'feature_statistics.json'
CORPUS = 'corpus.json'
ATTACK = 'attack.json'
_HISTORY = 'history.json'
_LOCK = '.lock'
_CHECKPOINTS = 'checkpoints'
# What there is before `RunDirectory.begin`.
_OF_A_START = (CONFIG, ALPHABET, _LOCK, _CHECKPOINTS)
# What a round was trained by.
_OF_ROUNDS = (CONFIG, STATISTICS, CORPUS)


class RunError(config_lib.UserError):
  """A run directory cannot be used as asked."""


class RunDirectory:
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
    self._found = found_directory.find(path, _OF_A_START)
    self._lock = _locked(path)
    self._has_begun = False
    self.path = path
    self.config = config
    self.config_json = path / CONFIG
    self.versions_json = path / 'versions.json'
    self.metrics = path / 'metrics.jsonl'
    self.clients = path / 'clients.jsonl'
    self.skipped = path / 'skipped_utterances.jsonl'
    self.tensorboard = path / 'tensorboard'
    self.checkpoints = path / _CHECKPOINTS
    self.figures = path / 'figures'
    self.allow_config_change = allow
    self.changes: list[str] = []

  def begin(
    self, num_rounds: int = 0, contents: Mapping[str, str] | None = None
  ) -> None:
    """Says that what follows is written by this `config`.

    Until then the directory is as it was found. `config.json` holds the config
    afterwards, and `versions.json` a record for each environment the run went
    on in. Where the run has `changes`, what they replace is kept, numbered, and
    `of_round` finds it.

    Args:
      num_rounds: those behind the run, trained by what was there before.
      contents: of other files that the rounds to come go by, by name.
    """
    history = [
      min(last_round, num_rounds) for last_round in _history(self.path)
    ]
    if self.changes:
      _keep_originals(self.path, len(history) + 1)
      history.append(num_rounds)
    if history:
      # After the copies: it is true of whatever a crash leaves.
      replace_text(self.path / _HISTORY, _json(history))
    for name, content in (contents or {}).items():
      replace_text(self.path / name, content)
    self._record_versions()
    values = config_lib.as_dict(self.config)
    if read_json(self.config_json) != values:
      replace_text(self.config_json, _json(values))
    self._has_begun = True

  def check_unchanged(self, why: str) -> None:
    """Raises `RunError` where a run that will not go on would be changed."""
    if self.changes:
      raise RunError(
        f'{self.path} {why}: it was left as it is, without the changed config '
        f'({listed(self.changes)}).'
      )

  def _record_versions(self) -> None:
    records, record = (
      environment.read(self.versions_json),
      environment.versions(),
    )
    if not records or records[-1] != record:
      replace_text(self.versions_json, _json([*records, record]))

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
      run.config = _continued(run, config)
      run.changes = _changed(run, run.config)
    else:
      replace_text(run.config_json, _json(config_lib.as_dict(config)))
    _settle_alphabet(run.path / ALPHABET)
  except BaseException as error:
    run.__exit__(type(error))
    if isinstance(error, OSError):
      raise RunError(f'{path}: {error.strerror}.') from error
    raise
  return run


def of_round(path: pathlib.Path, name: str, round_index: int) -> pathlib.Path:
  """The file that a round was trained by: config, statistics or corpus.

  That of the run, unless `--allow_config_change` came after the round.

  Raises:
    RunError: the run's history is damaged.
  """
  for number, last_round in enumerate(_history(path), start=1):
    if round_index <= last_round:
      return _numbered(path / name, number)
  return path / name


def replace_text(path: pathlib.Path, content: str) -> None:
  """Writes a file whole or not at all."""
  temporary = path.with_name(f'.{path.name}.tmp')
  with temporary.open('w', encoding='utf-8') as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  temporary.replace(path)


def _locked(path: pathlib.Path) -> int:
  try:
    path.mkdir(parents=True, exist_ok=True)
    lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
  except OSError as error:
    raise RunError(
      f'--workdir={path}: {error.strerror}; want a directory that can be '
      'written.'
    ) from error
  if not file_lock.take(lock, path / _LOCK):
    os.close(lock)
    raise RunError(
      f'--workdir={path} is in use by another process; wait for it, or give '
      'another --workdir.'
    )
  return lock


def _continued(
  run: RunDirectory, config: config_lib.Config
) -> config_lib.Config:
  """With what the corpus decided when the run began, where that is open."""
  names = config_lib.open_fields(config)
  if not names or not _has_results(run):
    return config
  config = copy.deepcopy(config)
  saved = dict(_leaves(completed(_saved_config(run.config_json))))
  for name in names:
    section, _, field = name.rpartition('.')
    if type(saved.get(name)) is int:
      setattr(operator.attrgetter(section)(config), field, saved[name])
  return config


def _changed(run: RunDirectory, config: config_lib.Config) -> list[str]:
  """What of a run with results `config` changes, where that is allowed."""
  saved, wanted = _saved_config(run.config_json), config_lib.as_dict(config)
  if not _has_results(run):
    return []
  if saved.get('job') != wanted['job']:
    raise RunError(
      f'{run.path} holds results of the job {saved.get("job")}; give the job '
      f'{wanted["job"]} another --workdir.'
    )
  ignored = _PLACES
  if (run.path / CORPUS).exists():
    ignored += _SPEECH
  changes = _changes(
    _of_job(saved, config.job), _of_job(wanted, config.job), ignored
  )
  if changes and not run.allow_config_change:
    raise RunError(
      f'{run.path} holds a run of another config ({listed(changes)}); give '
      'another --workdir, or --allow_config_change to go on with the changed '
      'one.'
    )
  return changes


def listed(changes: Sequence[str]) -> str:
  """The first few, and how many more there are."""
  more = len(changes) - _MAX_SHOWN
  shown = ', '.join(changes[:_MAX_SHOWN])
  return shown + (f' and {more} more' if more > 0 else '')


def _keep_originals(path: pathlib.Path, number: int) -> None:
  for name in _OF_ROUNDS:
    if (path / name).exists():
      content = (path / name).read_text(encoding='utf-8')
      replace_text(_numbered(path / name, number), content)


def _numbered(file: pathlib.Path, number: int) -> pathlib.Path:
  return file.with_name(f'{file.stem}.{number}{file.suffix}')


def _history(path: pathlib.Path) -> list[int]:
  """The last round trained by each numbered config."""
  file = path / _HISTORY
  if not file.exists():
    return []
  history = read_json(file)
  if not isinstance(history, list) or not all(
    isinstance(last_round, int) for last_round in history
  ):
    raise RunError(f'{file}: {history!r}; want a list of rounds.')
  return history


def _json(values: Any) -> str:
  return json.dumps(values, indent=2) + '\n'


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


def _changes(
  saved: dict[str, Any], wanted: dict[str, Any], ignored: Sequence[str]
) -> list[str]:
  old, new = dict(_leaves(saved)), dict(_leaves(wanted))
  absent = '(no such field)'
  return [
    f'{path}: {_shown(old.get(path, absent))} -> '
    f'{_shown(new.get(path, absent))}'
    for path in dict.fromkeys([*new, *old])
    if path not in ignored and old.get(path, absent) != new.get(path, absent)
  ]


def _leaves(node: dict[str, Any], prefix: str = ''):
  for name, value in node.items():
    if isinstance(value, dict):
      yield from _leaves(value, f'{prefix}{name}.')
    else:
      yield f'{prefix}{name}', value


def _shown(value: Any) -> str:
  return str(value) if value != '' else "''"
