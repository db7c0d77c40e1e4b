"""Descent at full strength: gradient matching and the Hessian-free search.

  python benchmarks/baselines.py RESULT.json tune [--victims=5]
      [--iterations=1000] [--restarts=4] [--searched=5000] [--jobs=1]
      [flags of main]
  python benchmarks/baselines.py RESULT.json report [--victims=10]
      [--iterations=4000] [--restarts=16] [--searched=50000] [--jobs=1]
      [flags of main]

Settings (`baseline_cells`) are tried by `tune` on utterances of the first half
of the corpus by id, and the best of each kind run by `report` on utterances of
the second half, with more iterations and restarts. Both are told transcript and
length, of a freshly initialised `tiny` DeepSpeech 1 on 26 MFCC normalised by
utterance, and the middle 1.5 s of each utterance; flags of main change that
(`--config.data.corpus=manifest --config.data.path=...`, and
`--config.attack.transcriber=RUN`, a run on such features, for a WER).

All utterances of a cell, and all restarts of each, are computed as one program.
RESULT.json gets a row a cell as soon as it is done: the cell, its utterances'
scores, and its budget, `device_seconds`: of the whole cell, from the first
iteration to the last, without tracing and compilation, which
`compile_seconds` has. Cells that it has are not run again. N processes run at
once and share the GPUs there are; where several share one, their seconds are
those of a shared device, and the row says so. --only=WORDS runs the cells whose
names have these words, such as hessian_free or distance=l2.

  python benchmarks/baselines.py RESULT.json --table

prints tables in Markdown.
"""

import concurrent.futures
import contextlib
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import attack
import baseline_cells
import sweep
import trained_rows
import trained_table

from fedjax_asr import command_line, compilation_cache, config, streams
from fedjax_asr.attacks import together
from fedjax_asr.attacks.measure import score_summary
from fedjax_asr.jobs import (
  attack_methods,
  attack_results,
  attack_transcriber,
  attack_victims,
  attacked_run,
)

_OWN = {
  'tune': {
    '--victims': 5,
    '--iterations': 1000,
    '--restarts': 4,
    '--searched': 5000,
    '--jobs': 1,
  },
  'report': {
    '--victims': 10,
    '--iterations': 4000,
    '--restarts': 16,
    '--searched': 50000,
    '--jobs': 1,
  },
}
_HALVES = {'tune': trained_rows.FIRST, 'report': trained_rows.SECOND}
_ATTACKED = (
  '--config=configs/ds1_attack.py:short',
  '--config.model.ds1.context_frames=6',
  '--config.model.ds1.time_stride=2',
  '--config.model.ds1.dense_sizes=(256,256,256)',
  '--config.model.ds1.recurrent_size=192',
  '--config.model.ds1.final_size=256',
  '--config.model.ds1.cell=rnn',
  '--config.model.ds1.bidirectional=true',
  '--config.attack.stretch_seconds=1.5',
  '--config.attack.subset=corpus',
  '--config.attack.illustrated=false',
)
_SCORES = (
  'utterance',
  'snr_db',
  'public_snr_db',
  'correlation',
  'mcd_db',
  'wer',
  'original_wer',
  'is_certified',
  'refused',
)


def main(argv: list[str]) -> int:
  if len(argv) < 3 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result, stage = pathlib.Path(argv[1]), argv[2]
  if stage == '--table':
    print(tables(json.loads(result.read_text())['points']))
    return 0
  if stage not in _OWN:
    print(f'{stage}: want tune, report or --table.', file=sys.stderr)
    return 2
  own, flags = sweep.split(argv[3:], _OWN[stage])
  only, flags = _only(flags)
  record = sweep.opened(result, ['baselines.py', 'RESULT.json', *argv[2:]])
  wanted = [
    cell
    for cell in _cells(stage, own, record['points'])
    if only in baseline_cells.named(cell)
  ]
  if not wanted:
    print(
      f'--only={only}: no such cell; want the stage tune first, and a part of '
      'the name of one.',
      file=sys.stderr,
    )
    return 1
  return _measure(result, record, stage, wanted, own, flags)


def _only(flags: list[str]) -> tuple[str, list[str]]:
  """A part of the names of the cells wanted, and what is for `main`."""
  start = '--only='
  given = [flag[len(start) :] for flag in flags if flag.startswith(start)]
  return (given or [''])[-1], [
    flag for flag in flags if not flag.startswith(start)
  ]


def _cells(
  stage: str, own: dict[str, int], rows: list[dict[str, Any]]
) -> list[baseline_cells.Cell]:
  budget = own['--iterations'], own['--restarts'], own['--searched']
  if stage == 'tune':
    return baseline_cells.tuned(*budget)
  of_tuning = [row for row in rows if row['stage'] == 'tune']
  return baseline_cells.reported(of_tuning, *budget)


def _measure(
  result: pathlib.Path,
  record: dict[str, Any],
  stage: str,
  wanted: list[baseline_cells.Cell],
  own: dict[str, int],
  flags: list[str],
) -> int:
  """Runs what the record lacks; 1 if a cell failed."""
  had = [row['cell'] for row in record['points'] if row['stage'] == stage]
  left = [cell for cell in wanted if cell not in had]
  devices = record['machine']['devices']
  failed = 0
  with sweep._processes(own['--jobs'], devices) as pool:
    running = {
      pool.submit(measured, stage, cell, own['--victims'], flags): cell
      for cell in left
    }
    for done in concurrent.futures.as_completed(running):
      if error := done.exception():
        failed = 1
        name = baseline_cells.named(running[done])
        print(f'{name}: {type(error).__name__}: {error}', file=sys.stderr)
        continue
      row = done.result() | {
        'processes_a_device': -(-own['--jobs'] // max(len(devices), 1))
      }
      record['points'].append(row)
      result.write_text(json.dumps(record, indent=1) + '\n')
      print(_line(row), flush=True)
  return failed


def _line(row: dict[str, Any]) -> str:
  name = baseline_cells.named(row['cell'])
  return f'{name}: {_snr(row)}, {row["device_seconds"]} s'


def measured(
  stage: str, cell: baseline_cells.Cell, num_victims: int, flags: list[str]
) -> dict[str, Any]:
  """A cell's row; all its utterances are attacked together."""
  import jax

  with tempfile.TemporaryDirectory() as scratch:
    cfg = _config(cell, num_victims, flags, scratch)
    compilation_cache.enable(cfg.data.cache_dir)
    # Whatever the device: what is matched is not the rounding of its products.
    jax.config.update('jax_default_matmul_precision', 'highest')
    attacked = attacked_run.load(cfg, scratch, lambda *_: None)
    attacked = trained_rows.one_each(
      attacked, cfg.attack, num_victims, _HALVES[stage]
    )
    rows, seconds, spent = _attacked(cfg, attacked, pathlib.Path(scratch))
  jax.clear_caches()
  return {
    'stage': stage,
    'cell': cell,
    'num_utterances': len(rows),
    'device': jax.devices()[0].device_kind,
    'device_seconds': round(seconds - spent, 2),
    'compile_seconds': round(spent, 2),
    'utterances': rows,
  }


def _config(cell, num_victims, flags, scratch) -> config.Config:
  method = cell['method']
  fields = {name: value for name, value in cell.items() if name != 'method'}
  parsed = command_line.parse(
    [
      'baselines.py',
      *_ATTACKED,
      *flags,
      f"--config.attack.methods=('{method}',)",
      *(f'--config.attack.{method}.{name}={fields[name]}' for name in fields),
      f'--config.attack.num_victims={num_victims}',
      f'--config.attack.num_parallel={num_victims}',
      f'--workdir={scratch}/attack',
    ]
  )
  return parsed.config


def _attacked(
  cfg: config.Config,
  attacked: attacked_run.AttackedRun,
  scratch: pathlib.Path,
) -> tuple[list[dict[str, Any]], float, float]:
  """(rows, seconds in all, those of compilation), of the attack alone."""
  victims = attack_victims.victims(attacked, cfg.attack)
  speech = attack_victims.public_speech(attacked, victims)
  public = attack_victims.public_units(attacked, victims)
  transcriber = attack_transcriber.chosen(cfg.attack, attacked)
  seen = list(
    attack_victims.observations(attacked, cfg.attack, victims, speech)
  )
  started = time.perf_counter()
  with compiling() as spent:
    found = list(
      together.in_order(
        lambda victim, observed: attack_methods.attempts(
          observed,
          cfg.attack,
          streams.key(cfg.seed, streams.Stream.ATTACKER, victim.clients[0]),
          lambda line: None,
          scratch / f'progress_{victim.clients[0]}',
        ),
        zip(victims, seen, strict=True),
        len(victims),
      )
    )
    seconds = time.perf_counter() - started
  rows = []
  for victim, observed, attempts in found:
    (record,) = attack_results.records(
      victim, observed, attempts, transcriber, public
    )
    row = {name: record[name] for name in _SCORES}
    rows.append(row | {'certificate': record['certificate']})
  return rows, seconds, covered(spent)


@contextlib.contextmanager
def compiling() -> Iterator[list[tuple[float, float]]]:
  """(start, end) of each trace, lowering and compilation inside."""
  from jax import monitoring

  spent: list[tuple[float, float]] = []
  is_open = True

  def listen(event: str, duration: float, **_: str | int) -> None:
    if is_open and event.startswith('/jax/core/compile/'):
      ended = time.perf_counter()
      spent.append((ended - duration, ended))

  # JAX has no public way to take a listener away again.
  monitoring.register_event_duration_secs_listener(listen)
  try:
    yield spent
  finally:
    is_open = False


def covered(stretches: list[tuple[float, float]]) -> float:
  """Length of their union: one trace goes on inside another."""
  total, reached = 0.0, float('-inf')
  for start, end in sorted(stretches):
    total += max(end - max(start, reached), 0.0)
    reached = max(reached, end)
  return total


def tables(rows: list[dict[str, Any]]) -> str:
  """What was reported, and what it was chosen from, the best first."""
  parts = []
  for stage, title in (('report', 'Reported'), ('tune', 'Tuned on')):
    of_stage = [row for row in rows if row['stage'] == stage]
    if of_stage:
      parts.append(f'{title}:\n\n{_table(of_stage)}')
  return '\n\n'.join(parts)


_HEAD = (
  'method and settings',
  'iterations, restarts',
  'N',
  'failures in N',
  'SNR, median of N',
  'public mean',
  'correlation',
  'WER (original)',
  'certified',
  'device seconds of all N',
)


def _table(rows: list[dict[str, Any]]) -> str:
  ranked = sorted(rows, key=_rank, reverse=True)
  return trained_table.markdown(_HEAD, [_cells_of(row) for row in ranked])


def _rank(row):
  middle = _middle(row, 'snr_db')
  return float('-inf') if middle is None else middle


def _cells_of(row: dict[str, Any]) -> list[str]:
  cell, each = row['cell'], row['utterances']
  iterations = cell.get('num_iterations') or cell.get('max_iterations')
  wer, original = _middle(row, 'wer'), _middle(row, 'original_wer')
  is_heard = any(one['original_wer'] is not None for one in each)
  return [
    baseline_cells.named(cell),
    f'{iterations}, {cell.get("num_restarts", 1)}',
    str(len(each)),
    str(sum(one['snr_db'] is None for one in each)),
    _snr(row),
    score_summary.shown(_middle(row, 'public_snr_db'), '{:.1f} dB'),
    score_summary.shown(_middle(row, 'correlation'), '{:.2f}'),
    f'{_percent(wer)} ({_percent(original)})' if is_heard else '-',
    f'{sum(one["is_certified"] for one in each)} of {len(each)}',
    f'{row["device_seconds"]:.0f} ({row["device"]})',
  ]


def _percent(value: float | None) -> str:
  return score_summary.shown(value, '{:.0%}')


def _middle(row: dict[str, Any], name: str) -> float | None:
  worst = float('inf') if name.endswith('wer') else float('-inf')
  return score_summary.median([each[name] for each in row['utterances']], worst)


def _snr(row: dict[str, Any]) -> str:
  values = [each['snr_db'] for each in row['utterances']]
  found = attack.quantiles(values)
  if found is None or found['median'] is None:
    return score_summary.REFUSED
  low, high = (
    score_summary.shown(each, '{:.1f}') for each in found['median_interval']
  )
  return f'{found["median"]:.1f} dB ({low} to {high})'


if __name__ == '__main__':
  sys.exit(main(sys.argv))
