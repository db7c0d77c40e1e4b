"""Audits one honest run by canaries, and the same with each bug planted.

  python benchmarks/canary_audit.py RESULT.json [--canaries=N] [flags of main]
  python benchmarks/canary_audit.py RESULT.json --table

Trains configs/ds2_fedavg.py:smoke for 20 rounds, Poisson sampled, with noise
that makes a promise (multiplier 5), and audits it four times. Minutes on two
cores.
"""

import json
import pathlib
import sys
import tempfile

import sweep

from fedjax_asr import config, run_files

_TRAINING = (
  '--config=configs/ds2_fedavg.py:smoke',
  '--config.federated.num_rounds=20',
  '--config.federated.weighting=uniform',
  '--config.federated.sampling=poisson',
  '--config.federated.privacy.clip_norm=0.1',
  '--config.federated.privacy.central_noise_multiplier=5',
  '--config.evaluation.every_rounds=20',
  '--config.checkpoint.every_rounds=20',
)


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  if '--table' in argv:
    print(table(json.loads(result.read_text())['points']))
    return 0
  own, flags = sweep.split_words(argv[2:], {'--canaries': '200'})
  record = sweep.opened(result, ['canary_audit.py', 'RESULT.json', *argv[2:]])
  with tempfile.TemporaryDirectory() as scratch:
    run = pathlib.Path(scratch) / 'run'
    _run([*_TRAINING, *flags, f'--workdir={run}'])
    for bug in config.PlantedBug:
      workdir = pathlib.Path(scratch) / bug.value
      _run(
        [
          '--config=configs/audit.py',
          f'--config.audit.run={run}',
          "--config.audit.parts=('canaries',)",
          f'--config.audit.canaries.num_canaries={own["--canaries"]}',
          f'--config.audit.canaries.planted_bug={bug.value}',
          f'--workdir={workdir}',
        ]
      )
      audit = json.loads(run_files.RunFiles(workdir).audit.read_text())
      record['points'].append(audit['canaries'])
      result.write_text(json.dumps(record, indent=1) + '\n')
      print(table(record['points'][-1:]).splitlines()[-1], flush=True)
  return 0


def _run(flags: list[str]) -> None:
  error = sweep.run_main(flags)
  if error:
    sys.exit(error)


def table(rows: list[dict]) -> str:
  """Markdown: what was promised and what is proven, by each score."""
  names = list(rows[0]['scores'])
  lines = [
    f'| bug | promised | proven | {" | ".join(names)} |',
    '|---|---|---|' + '---|' * len(names),
  ]
  for row in rows:
    bounds = [
      max(
        row['scores'][name]['clopper_pearson'], row['scores'][name]['one_run']
      )
      for name in names
    ]
    cells = [row['accounted']['epsilon_pld'], row['proven'], *bounds]
    shown = ' | '.join(f'{cell:.2f}' for cell in cells)
    lines.append(f'| {row["planted_bug"].replace("_", " ")} | {shown} |')
  return '\n'.join(lines)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
