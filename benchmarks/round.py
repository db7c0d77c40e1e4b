"""Clients per second of whole rounds, beside PyTorch one client after another.

  python benchmarks/round.py RESULT.json [--model=ds2_base|ds1_privacy]
      [--cohorts=64,128,256,512,1024] [--blocks=64] [--steps=1,4] [--dtype=...]
      [--algorithms=fedavg] [--rounds=4] [--num_torch_clients=16]
      [--frames=300] [--memory=auto|device|host]

Batches of 8 random utterances. Each row has a cohort, block and number of local
steps, and clients per second of
  round_fn  the jitted round on a cohort that is on the device already
  job       rounds as the training job runs them: cohorts assembled on the host
            and sent by a thread while the last one is used, metrics fetched,
            and what clients keep taken from where it is (`memory`: as the job
            chooses, or where the flag says) and put back
PyTorch has its batches on the device. With one local step all clients have the
server's weights (FedSGD); with more, their own. Ours and PyTorch's are checked
to be the same model first, and each row has its floor (floor.py).
"""

import itertools
import json
import pathlib
import sys
import time

import main_job
import timing

BATCH = 8
# Frames a second are 100 for log-mel, 50 for the MFCC of DeepSpeech 1.
MODELS = {'ds2_base': (80, 1), 'ds1_privacy': (26, 2)}


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  record = {
    'command': ' '.join(['round.py', 'RESULT.json', *argv[2:]]),
    'machine': main_job.machine(),
  }
  path = pathlib.Path(argv[1])
  for part in measured(options(argv[2:])):
    # Kept from the first row on: a later one may not fit.
    record |= part
    path.write_text(json.dumps(record, indent=1) + '\n')
  return 0


def options(flags: list[str]) -> dict:
  chosen = {
    'model': 'ds2_base',
    'cohorts': '64,128,256,512,1024',
    'blocks': '64',
    'steps': '1,4',
    'algorithms': 'fedavg',
    'dtype': 'bfloat16',
    'rounds': '4',
    'num_torch_clients': '16',
    'frames': '300',
    'devices': '1',
    'memory': 'auto',
  }
  for flag in flags:
    name, _, value = flag.lstrip('-').partition('=')
    if name not in chosen:
      raise SystemExit(f'error: {flag}; want one of {", ".join(chosen)}.')
    chosen[name] = value
  return chosen


def measured(chosen: dict):
  """Yields parts of the record, `rows` growing."""
  from fedjax_asr import environment

  yield {'versions': environment.versions(), **chosen}
  rounds = int(chosen['rounds'])
  numbers = {
    name: [int(value) for value in chosen[name].split(',')]
    for name in ('cohorts', 'blocks', 'steps')
  }
  theirs = {}
  if int(chosen['num_torch_clients']):
    for part in _pytorch(chosen, numbers['steps']):
      theirs = part['pytorch']
      yield part
  rows = []
  for steps, cohort_size, block, algorithm in itertools.product(
    *(numbers[name] for name in ('steps', 'cohorts', 'blocks')),
    chosen['algorithms'].split(','),
  ):
    if block > cohort_size and len(numbers['blocks']) > 1:
      continue
    row = {'cohort': cohort_size, 'block': block, 'steps': steps}
    if chosen['algorithms'] != 'fedavg':
      row['algorithm'] = algorithm
    try:
      simulation = Simulation(chosen, cohort_size, block, steps, algorithm)
      row |= simulation.measured(rounds)
    except Exception as error:
      row['failed'] = f'{type(error).__name__}: {error}'[:300]
    if str(steps) in theirs and 'job' in row:
      rate = theirs[str(steps)]['clients_per_second']
      row['times_pytorch'] = round(row['job']['clients_per_second'] / rate, 1)
    rows.append(row)
    print(json.dumps(row), flush=True)
    yield {'rows': rows, **main_job.memory()}


def configured(chosen: dict, cohort_size: int, block: int, steps: int):
  """(config, features, frames) of a row."""
  from fedjax_asr import config
  from fedjax_asr.presets import models

  width, per_frame = MODELS[chosen['model']]
  architecture, _, preset = chosen['model'].partition('_')
  model = getattr(models, architecture)(preset)
  getattr(model, architecture).dtype = config.Dtype(chosen['dtype'])
  cfg = config.Config(
    model=model,
    federated=config.FederatedConfig(
      num_rounds=1000,
      cohort_size=cohort_size,
      block_size=block,
      num_devices=int(chosen['devices']),
      num_frame_buckets=1,
      client=config.ClientConfig(
        learning_rate=1e-3, batch_size=BATCH, local_steps=steps
      ),
      server=config.ServerConfig(
        optimizer=config.ServerOptimizer.ADAM, learning_rate=1e-4
      ),
    ),
  )
  cfg.features.num_features = width
  return cfg, width, int(chosen['frames']) // per_frame


class Simulation:
  """Rounds of one row."""

  def __init__(self, chosen, cohort_size, block, steps, algorithm='fedavg'):
    import floor
    import jax
    import random_population

    from fedjax_asr import config
    from fedjax_asr.federated import devices, rounds, server
    from fedjax_asr.jobs import cohort_feed
    from fedjax_asr.models import model

    cfg, width, frames = configured(chosen, cohort_size, block, steps)
    cfg.federated.algorithm = config.AlgorithmName(algorithm)
    cfg.federated.memory.where = config.MemoryPlace(chosen['memory'])
    acoustic = model.acoustic(cfg.model, width)
    chosen_devices = devices.select(cfg.federated)
    examples = random_population.population(cohort_size, BATCH, frames, width)
    self.feed = cohort_feed.CohortFeed(
      examples, cfg.federated, cfg.seed, chosen_devices
    )
    self.key = jax.random.key(0)
    population = len(self.feed.clients)
    state = server.initial_state(acoustic, cfg.federated, self.key, population)
    self.state = devices.replicate(state, chosen_devices)
    self.fed = self.feed(0)
    self.members = self.fed.members
    self.memories = memories(cfg, acoustic, population, chosen_devices)
    on_device = self.gathered(self.fed)
    self.cohort_size = cohort_size
    round_fn = rounds.make_round(
      acoustic,
      cfg.federated,
      cfg.augment,
      self.feed.layout.frame_buckets,
      chosen_devices,
      population,
    )
    started = time.perf_counter()
    self.round_fn = round_fn.lower(
      self.state, self.members, on_device, self.key
    ).compile()
    self.compile_seconds = time.perf_counter() - started
    device = jax.devices()[0].device_kind
    self.floor = floor.of_client(cfg.model, frames, width, BATCH, device)

  def gathered(self, fed):
    return self.memories.gather(
      fed.client_ids, self.state.params, self.state.norm_state
    )

  def run(self, members, on_device):
    """One round; what its clients then keep, and what it says of itself."""
    self.state, on_device, outcome = self.round_fn(
      self.state, members, on_device, self.key
    )
    return on_device, outcome

  def job(self, index, fed):
    """One round as the job runs it; its loss."""
    import jax

    on_device, outcome = self.run(fed.members, self.gathered(fed))
    outcome = jax.device_get(outcome)
    self.memories.scatter(index, fed.client_ids, on_device)
    return float(outcome.metrics.loss)

  def measured(self, rounds: int) -> dict:
    alone = self._alone(rounds)
    started = time.perf_counter()
    cohorts = self.feed.ahead(range(rounds + 1))
    for index, fed in enumerate(cohorts):
      if index == 1:
        # The first has nothing to overlap with.
        started = time.perf_counter()
      loss = self.job(index, fed)
    whole = (time.perf_counter() - started) / rounds
    memory = self.round_fn.memory_analysis()
    kept = {}
    if not self.memories.keeps_nothing:
      kept['memory'] = self.memories.place.value
    return kept | {
      'compile_seconds': round(self.compile_seconds, 1),
      'round_fn': self._rate(timing.spread(alone)['median']),
      'job': self._rate(whole),
      'loss': round(loss, 3),
      'temporary_gb': round(memory.temp_size_in_bytes / 1e9, 2),
      'floor_of_step': self.floor,
    }

  def _alone(self, rounds):
    """Seconds of rounds of one cohort, whose memories stay where they are."""
    import jax

    on_device = self.gathered(self.fed)

    def run(_):
      nonlocal on_device
      on_device, outcome = self.run(self.members, on_device)
      jax.block_until_ready((outcome, self.state))

    run(0)
    return timing.seconds(run, range(rounds))

  def _rate(self, seconds):
    return {
      'round_seconds': round(seconds, 4),
      'ms_per_client': round(1e3 * seconds / self.cohort_size, 4),
      'clients_per_second': round(self.cohort_size / seconds, 1),
    }


def memories(cfg, acoustic, population, chosen_devices):
  """Of clients that keep something, where the job would have them."""
  from fedjax_asr.federated import (
    algorithms,
    channels,
    client_memory,
    client_rows,
    memory_place,
  )

  federated = cfg.federated
  initial = client_memory.initial_memory(
    algorithms.make(acoustic, federated, cfg.augment, population),
    channels.make(federated),
  )
  layout = client_memory.row_layout(initial, acoustic)
  place = memory_place.chosen(
    federated.memory.where, layout, population, chosen_devices
  )
  # Nothing is written there: rows are never synced.
  files = client_rows.ClientRows(pathlib.Path('rows'), layout.num_bytes, 0)
  return memory_place.opened(
    place, initial, layout, files, chosen_devices, population
  )


def _pytorch(chosen, all_steps):
  """Yields {'same_model', 'pytorch': {steps: its rate}}."""
  import jax
  import numpy as np
  import side_by_side
  import torch

  from fedjax_asr.models import model

  count = int(chosen['num_torch_clients'])
  cfg, width, frames = configured(chosen, count, count, 1)
  same = side_by_side.same_loss(cfg.model, width)
  params, _ = model.acoustic(cfg.model, width).init(jax.random.key(0))
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  torch.backends.cuda.matmul.allow_tf32 = True
  torch.backends.cudnn.allow_tf32 = True
  torch.backends.cudnn.benchmark = True
  rng = np.random.default_rng(0)
  features = rng.standard_normal((BATCH, frames, width)).astype(np.float32)
  batch = (
    torch.tensor(features, device=device),
    torch.full((BATCH,), frames),
    torch.tensor(rng.integers(1, 28, (BATCH, 40))),
    torch.full((BATCH,), 40),
  )
  found = {}
  for steps in all_steps:
    best = None
    for half in (True, False) if device == 'cuda' else (False,):
      rounds = side_by_side.torch_rounds(cfg, params, width, device, half=half)

      def run(_, rounds=rounds, steps=steps):
        rounds.run([[batch] * steps] * count)
        if device == 'cuda':
          torch.cuda.synchronize()

      run(0)
      taken = timing.spread(timing.seconds(run, range(3)))
      row = {
        'precision': 'bfloat16 autocast' if half else 'tf32',
        'clients': count,
        'round_seconds': taken,
        'ms_per_client': round(1e3 * taken['median'] / count, 3),
        'clients_per_second': round(count / taken['median'], 2),
        'torch': torch.__version__,
        'cudnn': torch.backends.cudnn.version(),
      }
      found.setdefault(f'{steps}_all', []).append(row)
      faster = best is None or row['ms_per_client'] < best['ms_per_client']
      best = row if faster else best
    found[str(steps)] = best
    print(json.dumps(found), flush=True)
    yield {'same_model': same, 'pytorch': found}
  torch.cuda.empty_cache()


if __name__ == '__main__':
  sys.exit(main(sys.argv))
