"""What is done with a trained run, and what of it a record keeps.

A part of `decision.py` and `audited_rounds.py`, whose rows have under `audit`
what audit.json has of each part, without its curves, and under `attack` the
scores of attack.json; what did not finish says why under `errors`.
"""

import concurrent.futures
import json
import pathlib
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sweep

from fedjax_asr import run_files

PARTS = ('canaries', 'membership', 'speakers')
ATTACK = 'attack'
_LAST = -1
# Long lists, of which figures of one run are made.
_CURVES = (
  'roc',
  'scores_in',
  'scores_out',
  'genuine',
  'impostor',
  'curve',
  'false_accepts',
  'false_rejects',
  'guesses',
  'values',
)
_OF_ATTACK = (
  'victim',
  'utterance',
  'method',
  'snr_db',
  'is_certified',
  'is_whole',
  'refused',
)


_Key = TypeVar('_Key', bound=Hashable)


class Record:
  """RESULT.json, written whenever a row has more; of several threads."""

  def __init__(self, path: pathlib.Path, content: dict[str, Any]):
    self._path, self._content = path, content
    self._lock = threading.Lock()

  def keep(self, row: dict[str, Any]) -> None:
    """A row that is there already stays where it is."""
    with self._lock:
      rows = self._content['points']
      if not any(each is row for each in rows):
        rows.append(row)
      beside = self._path.with_suffix('.part')
      beside.write_text(json.dumps(self._content, indent=1) + '\n')
      beside.replace(self._path)


def of_noise(multiplier: float) -> list[str]:
  """Flags of a training with this noise of the server; of 0, without what only
  noise reads."""
  found = [f'--config.federated.privacy.central_noise_multiplier={multiplier}']
  if not multiplier:
    found += [
      '--config.federated.privacy.population=0',
      '--config.federated.privacy.population_cohort=0',
      '--config.federated.privacy.delta=1e-5',
    ]
  return found


def audits(
  run: pathlib.Path,
  parts: Sequence[str],
  flags: Sequence[str],
  round_index: int = _LAST,
) -> dict[str, list[str]]:
  """Flags of each part of an audit of a run, in a process of its own."""
  on_run = ['--config=configs/audit.py', f'--config.audit.run={run}']
  on_run += [f'--config.audit.round={round_index}', *flags]
  return {
    part: [*on_run, f"--config.audit.parts=('{part}',)"] for part in parts
  }


def attack(
  run: pathlib.Path, flags: Sequence[str] = (), round_index: int = _LAST
) -> list[str]:
  """Flags of an attack on clients of a run."""
  return [
    '--config=configs/attack.py',
    f'--config.attack.run={run}',
    f'--config.attack.round={round_index}',
    '--config.attack.illustrated=false',
    *flags,
  ]


def run_all(
  pool: concurrent.futures.Executor, jobs: Mapping[_Key, Sequence[str]]
) -> Iterator[tuple[_Key, str]]:
  """Yields each key with what went wrong, or '', when its job has ended."""
  running = {
    pool.submit(sweep.run_main, list(flags)): key for key, flags in jobs.items()
  }
  for done in concurrent.futures.as_completed(running):
    yield running[done], done.result()


def audited(folder: pathlib.Path, part: str) -> dict[str, Any] | None:
  """What an audit left of a part; None where there is nothing."""
  file = run_files.RunFiles(folder).audit
  if not file.is_file():
    return None
  return without_curves(json.loads(file.read_text()).get(part))


def attacked(folder: pathlib.Path) -> list[dict[str, Any]]:
  """What an attack left, utterance by utterance."""
  file = run_files.RunFiles(folder).attack
  if not file.is_file():
    return []
  return [
    {name: each.get(name) for name in _OF_ATTACK}
    for each in json.loads(file.read_text())
  ]


def without_curves(value: Any) -> Any:
  if isinstance(value, dict):
    return {
      name: without_curves(each)
      for name, each in value.items()
      if not any(curve in name for curve in _CURVES)
      or not isinstance(each, (list, dict))
    }
  return value


def epsilons(line: Mapping[str, Any]) -> dict[str, float | None]:
  """Of a line of metrics.jsonl what is about privacy, without its prefix."""
  return {
    name.removeprefix('privacy/'): value
    for name, value in line.items()
    if name.startswith('privacy/')
  }
