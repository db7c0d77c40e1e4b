"""Whether a round depends on how clients are laid out in programs.

  python benchmarks/block_sizes.py RESULT.json [--config=...] [flags of main]

The first round's loss and parameters of a training config (by default
ds2_fedavg:smoke), compiled as the job compiles it, for blocks of 1, 2, 3 and
the whole cohort on 1, 2 and 4 devices (virtual ones on a CPU), five times each
from the same inputs. RESULT.json and the table printed have, for each, the
losses and how far parameters are from those of the whole cohort on one device,
relative to the step. The server takes the plain mean of clients: Adam would
make whole steps of the rounding of gradients that are nearly zero.
"""

import itertools
import json
import pathlib
import sys
import tempfile

import jax

_DEFAULT = '--config=configs/ds2_fedavg.py:smoke'
_REPETITIONS = 5


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  import main_job

  from fedjax_asr import command_line, config, environment

  jax.config.update('jax_num_cpu_devices', 4)
  flags = argv[2:]
  if not any(flag.startswith('--config=') for flag in flags):
    flags = [_DEFAULT, *flags]
  cfg = command_line.parse(['block_sizes.py', *flags]).config
  cfg.federated.server = config.ServerConfig(
    optimizer=config.ServerOptimizer.SGD, learning_rate=1.0
  )
  rows = measured(cfg)
  record = {
    'command': ' '.join(['block_sizes.py', *argv[1:]]),
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'rows': rows,
  }
  pathlib.Path(argv[1]).write_text(json.dumps(record, indent=1) + '\n')
  print(table(rows))
  return 0


def measured(cfg) -> list[dict]:
  """A row for each arrangement, the whole cohort on one device first."""
  from fedjax_asr.corpora import datasets
  from fedjax_asr.jobs import settling
  from fedjax_asr.models import model

  acoustic = model.acoustic(cfg.model, cfg.features.num_features)
  with tempfile.TemporaryDirectory() as scratch:
    cfg.data.cache_dir = scratch
    data = datasets.prepare(
      cfg.data,
      cfg.features,
      acoustic.num_output_frames,
      cfg.seed,
      lambda done, total: None,
    )
  cfg = settling.settled(cfg, data)
  whole = cfg.federated.cohort_size
  blocks = dict.fromkeys((whole, 1, 2, 3))
  devices = [n for n in (1, 2, 4) if n <= len(jax.devices())]
  wanted, rows = None, []
  for block_size, num_devices in itertools.product(blocks, devices):
    cfg.federated.block_size, cfg.federated.num_devices = (
      block_size,
      num_devices,
    )
    start, runs = _runs(cfg, acoustic, data.train)
    wanted = wanted or runs[0][0]
    rows.append(
      {
        'block_size': block_size,
        'num_devices': num_devices,
        'loss': [loss for _, loss in runs],
        'distance': [_distance(params, wanted, start) for params, _ in runs],
      }
    )
  return rows


def _runs(cfg, acoustic, examples):
  """(parameters at the start, [(parameters, loss) after a round])."""
  from fedjax_asr.federated import devices, rounds
  from fedjax_asr.jobs import cohort_feed, starting_point

  chosen = devices.select(cfg.federated)
  feed = cohort_feed.CohortFeed(examples, cfg.federated, cfg.seed, chosen)
  round_fn = rounds.make_round(
    acoustic,
    cfg.federated,
    cfg.augment,
    feed.layout.frame_buckets,
    chosen,
  )
  key = jax.random.key(cfg.seed)
  start = jax.device_get(starting_point.fresh(cfg, acoustic))
  members = next(feed.ahead(range(1))).members
  runs = []
  for _ in range(_REPETITIONS):
    # The state is donated.
    state = devices.replicate(start, chosen)
    state, metrics = jax.device_get(round_fn(state, members, key))
    runs.append((state.params, float(metrics.loss)))
  return start.params, runs


def _distance(found, wanted, start) -> float:
  """Of parameters, in steps of the round."""
  import optax

  def apart(left, right):
    return float(optax.tree.norm(optax.tree.sub(left, right)))

  return apart(found, wanted) / apart(wanted, start)


def table(rows: list[dict]) -> str:
  lines = [
    '| block | devices | loss, five times | distance |',
    '|---|---|---|---|',
  ]
  for row in rows:
    losses = ', '.join(f'{loss:.4f}' for loss in dict.fromkeys(row['loss']))
    same = len(set(row['loss'])) == 1 and len(set(row['distance'])) == 1
    repeated = 'all ' if same else ''
    lines.append(
      f'| {row["block_size"]} | {row["num_devices"]} | {repeated}{losses} '
      f'| {max(row["distance"]):.1e} |'
    )
  return '\n'.join(lines)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
