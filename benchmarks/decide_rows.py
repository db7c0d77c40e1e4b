"""What is measured of one point of a defence by one seed: rows of `decide.py`.

Each function runs jobs in processes of their own and reads what they leave; a
job that fails is a row that says so.
"""

import json
import pathlib
import queue
import tempfile
import time
from typing import Any, NamedTuple

import own_process

from fedjax_asr import run_files, run_log
from fedjax_asr.attacks.measure import score_summary

CONFIG = 'configs/defences.py'
# Those that want speech, by the fields of `config.attack` that make them.
RECONSTRUCTING = {
  'span': {'methods': "('span','seed_and_grow','adam_inverse')"},
  'adaptive': {'methods': "('adaptive',)", 'num_parallel': '3'},
  # Where matching works at all: short speech, transcript and length given. One
  # length is one program for all victims.
  'matching': {
    'methods': "('gradient_matching',)",
    'knows_transcript': 'true',
    'knows_length': 'true',
    'stretch_seconds': '0.4',
    'num_parallel': '8',
  },
}
SPEAKERS = 'speakers'
ATTACKERS = (*RECONSTRUCTING, SPEAKERS)
# A sum takes so many clients for each victim; of the default corpus there are
# 108.
_MOST_CLIENTS = 100
# Clients, and those of a round, for which epsilon is told beside the run's.
_EXTRAPOLATED = {'population': 100_000, 'population_cohort': 1_000}
_CENTRAL = 'federated.privacy.central_noise_multiplier'
_AGGREGATED = 'attack.num_aggregated'
_KEPT = (
  'victim',
  'utterance',
  'speaker',
  'method',
  'refused',
  'is_certified',
  'is_whole',
  'snr_db',
  'correlation',
  'mcd_db',
  'public_snr_db',
  'public_mcd_db',
  'num_frames',
  'num_frames_found',
  'seconds',
)


class Case(NamedTuple):
  """One point of a variant's sweep, by one seed."""

  defence: str
  point: dict[str, Any]
  seed: int

  @property
  def names(self) -> dict[str, Any]:
    """By which its rows are found."""
    return self._asdict()


class Settings(NamedTuple):
  """What all cases share.

  own: flags of one attacker, by its name, as `FIELD=VALUE`.
  flags: of `main`, for every job.
  seconds: of each process; 0: without a limit.
  """

  num_victims: int
  own: dict[str, list[str]]
  flags: list[str]
  devices: 'queue.Queue[str]'
  seconds: float


def attacked(case: Case, attacker: str, settings: Settings) -> dict[str, Any]:
  """What an attacker makes of so many updates.

  Of each utterance, what it believes after all of its methods. Utterances that
  time did not suffice for are not in it; `error` says so.
  """
  started = time.perf_counter()
  with tempfile.TemporaryDirectory() as scratch:
    files = run_files.RunFiles(pathlib.Path(scratch) / 'attack')
    flags = [*_attack(case, attacker, settings), f'--workdir={files.path}']
    error = own_process.run(flags, settings.devices, settings.seconds)
    records = _json(files.attack, [])
    top1 = {
      name: ranks['top1']
      for name, ranks in _json(files.speakers, {}).items()
      if isinstance(ranks, dict)
    }
  return of_attack(case, attacker, settings, error) | {
    'utterances': [
      {name: record.get(name) for name in _KEPT}
      for record in map(score_summary.read, score_summary.believed(records))
    ],
    'speaker_top1': top1,
    'seconds': round(time.perf_counter() - started, 1),
  }


def of_attack(
  case: Case, attacker: str, settings: Settings, error: str
) -> dict[str, Any]:
  """A row without a result."""
  return {
    **case.names,
    'attacker': attacker,
    'error': error,
    'refused': '',
    'victims_asked': _num_victims(case, settings.num_victims),
    'utterances': [],
    'speaker_top1': {},
  }


def _attack(case: Case, attacker: str, settings: Settings) -> list[str]:
  fields = {
    'num_victims': _num_victims(case, settings.num_victims),
    'illustrated': 'false',
    'speaker_id.enabled': 'false',
    **RECONSTRUCTING[attacker],
  }
  return [
    *_of_case(case, settings, case.point),
    *(f'--config.attack.{name}={value}' for name, value in fields.items()),
    *(f'--config.attack.{each}' for each in settings.own[attacker]),
  ]


def _num_victims(case: Case, asked: int) -> int:
  return min(asked, _MOST_CLIENTS // case.point.get(_AGGREGATED, 1))


def _of_case(
  case: Case, settings: Settings, point: dict[str, Any]
) -> list[str]:
  return [
    f'--config={CONFIG}:{case.defence}',
    *settings.flags,
    f'--config.seed={case.seed}',
    *(f'--config.{name}={value}' for name, value in point.items()),
  ]


def trained(
  case: Case, settings: Settings, *, linked: bool
) -> tuple[dict[str, Any], dict[str, Any] | None]:
  """(WER and epsilon of training under the defence, how well updates of the
  trained model link speakers); the latter None unless `linked`."""
  started = time.perf_counter()
  with tempfile.TemporaryDirectory() as scratch:
    run = pathlib.Path(scratch) / 'run'
    flags = [*_training(case, settings), f'--workdir={run}']
    error = own_process.run(flags, settings.devices, settings.seconds)
    row = {**case.names, 'error': error} | ({} if error else _outcome(run))
    row['seconds'] = round(time.perf_counter() - started, 1)
    if not linked:
      return row, None
    return row, _linked(case, settings, run, error)


def _training(case: Case, settings: Settings) -> list[str]:
  """Without what is the attack's alone."""
  shared = {
    name: value
    for name, value in case.point.items()
    if not name.startswith('attack.')
  }
  if shared.get(_CENTRAL):
    privacy = _CENTRAL.rpartition('.')[0]
    shared |= {
      f'{privacy}.{name}': count for name, count in _EXTRAPOLATED.items()
    }
  return [*_of_case(case, settings, shared), '--config.job=train']


def _outcome(run: pathlib.Path) -> dict[str, Any]:
  *_, last = run_log.read_metrics(run_files.RunFiles(run).metrics)
  return {
    'wer': last['eval/wer'],
    'privacy': {
      name.removeprefix('privacy/'): value
      for name, value in last.items()
      if name.startswith('privacy/')
    },
  }


def _linked(
  case: Case, settings: Settings, run: pathlib.Path, error: str
) -> dict[str, Any]:
  """By the audit's attacker; `refused` says why it does not apply."""
  started = time.perf_counter()
  hidden = _hidden(case)
  row: dict[str, Any] = case.names | {
    'attacker': SPEAKERS,
    'error': '' if hidden else error,
    'refused': hidden,
  }
  if hidden or error:
    return row
  files = run_files.RunFiles(run.parent / 'audit')
  cache = [
    flag for flag in settings.flags if flag.startswith('--config.data.cache')
  ]
  flags = [
    '--config=configs/audit.py',
    *cache,
    f'--config.seed={case.seed}',
    f'--config.audit.run={run}',
    f"--config.audit.parts=('{SPEAKERS}',)",
    *(f'--config.audit.speakers.{each}' for each in settings.own[SPEAKERS]),
    f'--workdir={files.path}',
  ]
  row['error'] = own_process.run(flags, settings.devices, settings.seconds)
  found = _json(files.audit, {}).get(SPEAKERS, {})
  row['refused'] = found.get('missing', '')
  row['linkage'] = {
    method: {
      name: each[name]
      for name in (
        'eer',
        'eer_interval',
        'top1',
        'top1_interval',
        'top1_chance',
      )
    }
    for method, each in found.get('linkage', {}).get('update', {}).items()
  }
  row['num_speakers'] = found.get('num_speakers', 0)
  row['seconds'] = round(time.perf_counter() - started, 1)
  return row


def _hidden(case: Case) -> str:
  """Why single updates are not seen as the defence leaves them."""
  if case.point.get(_AGGREGATED, 1) > 1:
    return 'no single update is seen'
  if case.point.get(_CENTRAL):
    return "the server's noise is on the sum, the audit's updates are without"
  return ''


def _json(file: pathlib.Path, otherwise: Any) -> Any:
  return json.loads(file.read_text()) if file.is_file() else otherwise
