"""The round of a training config on CPU cores, beside PyTorch's on the same.

  python benchmarks/cpu.py RESULT.json --config=configs/ds2_fedavg.py [flags]

Both run the same rounds of the config: the same clients, batches and local
steps, ours through the job's own feed and jitted round, PyTorch's one client
after another on batches that are ready and padded to their own longest
utterance. Rounds alternate, so that other work on the machine meets both.
"""

import json
import pathlib
import sys
import tempfile

import main_job
import timing

NUM_ROUNDS = 8


def main(argv: list[str]) -> int:
  if len(argv) < 3 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  with tempfile.TemporaryDirectory() as scratch:
    record = measured(argv[2:], scratch)
  record = {'command': ' '.join(['cpu.py', 'RESULT.json', *argv[2:]]), **record}
  pathlib.Path(argv[1]).write_text(json.dumps(record, indent=2) + '\n')
  print(json.dumps(record, indent=2))
  return 0


def measured(flags: list[str], scratch: str) -> dict:
  import jax
  import side_by_side
  import torch

  from fedjax_asr import command_line, environment
  from fedjax_asr.corpora import datasets
  from fedjax_asr.federated import devices, rounds, server
  from fedjax_asr.jobs import cohort_feed, settling
  from fedjax_asr.models import model

  flags = [flags[0], f'--config.data.cache_dir={scratch}', *flags[1:]]
  cfg = command_line.parse(['cpu.py', *flags]).config
  width = cfg.features.num_features
  acoustic = model.acoustic(cfg.model, width)
  data = datasets.prepare(
    cfg.data, cfg.features, acoustic.num_output_frames, cfg.seed, _silent
  )
  cfg = settling.settled(cfg, data)
  chosen = devices.select(cfg.federated)
  feed = cohort_feed.CohortFeed(data.train, cfg.federated, cfg.seed, chosen)
  key = jax.random.key(cfg.seed)
  state = server.initial_state(acoustic, cfg.federated, key)
  theirs = side_by_side.torch_rounds(cfg, state.params, width, 'cpu')
  round_fn = rounds.make_round(
    acoustic,
    cfg.federated,
    cfg.augment,
    feed.layout.frame_buckets,
    chosen,
  )
  place = {'state': devices.replicate(state, chosen)}

  def run(index):
    fed = feed(index)
    place['state'], metrics = round_fn(place['state'], fed.members, key)
    return jax.device_get(metrics)

  batches = [
    _batches(feed, data.train, cfg, index) for index in range(NUM_ROUNDS + 1)
  ]
  # Round 0 compiles, and warms PyTorch up.
  losses = {'fedjax_asr': float(run(0).loss), 'pytorch': theirs.run(batches[0])}
  taken = {'fedjax_asr': [], 'pytorch': []}
  for index in range(1, NUM_ROUNDS + 1):
    taken['fedjax_asr'] += timing.seconds(run, [index])
    taken['pytorch'] += timing.seconds(
      lambda index: theirs.run(batches[index]), [index]
    )
  spreads = {name: timing.spread(each) for name, each in taken.items()}
  ratio = spreads['pytorch']['median'] / spreads['fedjax_asr']['median']
  return {
    'machine': main_job.machine(),
    'versions': {**environment.versions(), 'torch': torch.__version__},
    'torch_threads': torch.get_num_threads(),
    'same_model': side_by_side.same_loss(cfg.model, width),
    'loss_of_first_round': losses,
    'rounds': NUM_ROUNDS,
    'clients': cfg.federated.cohort_size,
    'steps_per_client': feed.layout.num_steps,
    'round_seconds': spreads,
    'times_pytorch': round(ratio, 2),
  }


def _silent(done, total):
  del done, total


def _batches(feed, examples, cfg, index):
  """What each client of a round trains on, for PyTorch."""
  import torch

  from fedjax_asr.federated import cohort

  drawn = cohort.draw(
    feed.clients, examples.num_frames, cfg.federated, cfg.seed, index
  )
  clients = []
  for steps in drawn.utterances:
    clients.append([])
    for step in steps:
      chosen = step[step >= 0]
      if not len(chosen):
        continue
      frames = int(examples.num_frames[chosen].max())
      labels = max(len(examples.labels[each]) for each in chosen)
      arrays = examples.batch(chosen, frames, labels)
      tensors = [torch.tensor(array) for array in arrays]
      clients[-1].append((tensors[0], *(each.long() for each in tensors[1:])))
  return clients


if __name__ == '__main__':
  sys.exit(main(sys.argv))
