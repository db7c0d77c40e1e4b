"""What a large alphabet costs: the same speech, with few symbols and with many.

  python benchmarks/alphabet_sizes.py RESULT.json [--sizes=29,6000]
      [--rounds=3]

Each size has a process of its own, in which it measures, with the model of
configs/ds2_fedavg.py:tiny:
  round    8 clients of 8 random utterances of 3 s and 40 labels, one local
           step: seconds to compile and of a round (median), XLA's temporary
           memory
  decode   greedy decoding of 64 utterances, from logits to text
  spell    1,000 transcripts of 40 symbols, from text to labels
  export   both programs, written, read back and compared
and the peak memory of the process. `cpu_seconds` are of all threads: less than
the other seconds on a machine that has other work.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import main_job
import timing

_CLIENTS, _UTTERANCES, _FRAMES = 8, 8, 300


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  chosen = {'sizes': '29,6000', 'rounds': '3'}
  for flag in argv[2:]:
    name, _, value = flag.lstrip('-').partition('=')
    if name not in chosen:
      raise SystemExit(f'error: {flag}; want one of {", ".join(chosen)}.')
    chosen[name] = value
  if argv[1] == 'one':
    print(json.dumps(measured(int(chosen['sizes']), int(chosen['rounds']))))
    return 0
  write(pathlib.Path(argv[1]), argv, chosen)
  return 0


def write(path: pathlib.Path, argv: list[str], chosen: dict) -> None:
  """The record, a row a size."""
  from fedjax_asr import environment

  rows = []
  for size in chosen['sizes'].split(','):
    flags = [f'--sizes={size}', f'--rounds={chosen["rounds"]}']
    done = subprocess.run(
      [sys.executable, __file__, 'one', *flags],
      check=True,
      stdout=subprocess.PIPE,
      text=True,
    )
    rows.append(json.loads(done.stdout.splitlines()[-1]))
    print(rows[-1], flush=True)
  record = {
    'command': ' '.join(['alphabet_sizes.py', 'RESULT.json', *argv[2:]]),
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'rows': rows,
  }
  path.write_text(json.dumps(record, indent=1) + '\n')


def measured(size: int, rounds: int) -> dict:
  """One row."""
  from fedjax_asr import command_line
  from fedjax_asr.models import model
  from fedjax_asr.speech import alphabets

  command = command_line.parse(['', '--config=ds2_fedavg:tiny'])
  cfg = command.config
  symbols = [chr(0x4E00 + index) for index in range(size - 1)]
  alphabet = alphabets.Alphabet(alphabets.Kind.FILE, symbols)
  acoustic = model.acoustic(cfg.model, cfg.features.num_features, alphabet)
  return {
    'symbols': alphabet.size,
    **of_rounds(cfg, acoustic, rounds),
    'decode': of_decoding(acoustic),
    'spell': of_spelling(alphabet),
    'export': of_export(cfg, alphabet),
    **main_job.memory(),
  }


def of_rounds(cfg, acoustic, rounds: int) -> dict:
  import jax
  import random_population
  import round as round_benchmark

  from fedjax_asr.federated import devices, server
  from fedjax_asr.federated import rounds as federated_rounds
  from fedjax_asr.jobs import cohort_feed

  cfg.federated.cohort_size = _CLIENTS
  cfg.federated.num_frame_buckets = 1
  cfg.federated.server.warmup_rounds = 0
  places = devices.select(cfg.federated)
  examples = random_population.population(
    _CLIENTS,
    _UTTERANCES,
    _FRAMES,
    cfg.features.num_features,
    acoustic.alphabet,
  )
  feed = cohort_feed.CohortFeed(examples, cfg.federated, cfg.seed, places)
  key = jax.random.key(0)
  state = server.initial_state(acoustic, cfg.federated, key, _CLIENTS)
  num_parameters = sum(each.size for each in jax.tree.leaves(state.params))
  round_fn = federated_rounds.make_round(
    acoustic,
    cfg.federated,
    cfg.augment,
    feed.layout.frame_buckets,
    places,
    _CLIENTS,
  )
  fed = feed(0)
  members = fed.members
  memories = round_benchmark.memories(
    cfg, acoustic, len(feed.clients), places
  ).gather(fed.client_ids, state.params, state.norm_state)
  started = time.perf_counter()
  compiled = round_fn.lower(state, members, memories, key).compile()
  compile_seconds = time.perf_counter() - started
  losses = []

  def run(_):
    nonlocal state, memories
    state, memories, outcome = compiled(state, members, memories, key)
    losses.append(float(outcome.metrics.loss))

  run(0)
  found = timed(run, rounds)
  return {
    'parameters': num_parameters,
    'round': found
    | {
      'compile_seconds': round(compile_seconds, 1),
      'temporary_gb': round(
        compiled.memory_analysis().temp_size_in_bytes / 1e9, 3
      ),
      'losses': [round(each, 1) for each in losses],
    },
  }


def of_decoding(acoustic) -> dict:
  import numpy as np

  from fedjax_asr.decoding import greedy

  outputs = int(acoustic.num_output_frames(_FRAMES))
  size = acoustic.alphabet.size
  rng = np.random.default_rng(0)
  logits = rng.standard_normal((64, outputs, size), np.float32)
  num_frames = np.full(64, outputs)

  def run(_):
    assert any(greedy.texts(logits, num_frames, acoustic.alphabet))

  run(0)
  return timed(run, 5)


def of_spelling(alphabet) -> dict:
  import numpy as np

  rng = np.random.default_rng(0)
  texts = [''.join(rng.choice(alphabet.symbols[1:], 40)) for _ in range(1000)]

  def run(_):
    for said in texts:
      assert len(alphabet.encode(alphabet.normalize(said).text)) == len(said)

  return timed(run, 3)


def of_export(cfg, alphabet) -> dict:
  """The job, on a run of random weights."""
  import jax
  import numpy as np

  from fedjax_asr import (
    checkpoint,
    config,
    run_alphabet,
    run_directory,
  )
  from fedjax_asr.federated import server
  from fedjax_asr.jobs import export
  from fedjax_asr.models import model

  acoustic = model.acoustic(cfg.model, cfg.features.num_features, alphabet)
  state = server.initial_state(acoustic, cfg.federated, jax.random.key(0), 8)
  cfg.checkpoint.every_rounds = 1
  with tempfile.TemporaryDirectory() as scratch:
    path = pathlib.Path(scratch) / 'run'
    with run_directory.open_run(path, cfg) as directory:
      kept = checkpoint.Checkpoints(directory.checkpoints, cfg.checkpoint)
      kept.save(1, state._replace(round=np.int32(1)), None)
      kept.close()
      directory.alphabet.write_text(
        run_alphabet.content(alphabet), encoding='utf-8'
      )
    job = config.Config(name='export', job=config.Job.EXPORT)
    job.export.run = str(path)
    found = timed(lambda _: export.run(job, path / 'export'), 1)
    programs = sorted((path / 'export').glob('*.stablehlo'))
    sizes = {
      f'{each.stem}_mb': round(each.stat().st_size / 1e6, 1)
      for each in programs
    }
  return found | sizes


def timed(run, times: int) -> dict:
  """Seconds of a call: the median, and of processors the mean."""
  started = time.process_time()
  seconds = timing.spread(timing.seconds(run, range(times)))
  spent = (time.process_time() - started) / times
  return {
    'seconds': round(seconds['median'], 3),
    'cpu_seconds': round(spent, 3),
  }


if __name__ == '__main__':
  sys.exit(main(sys.argv))
