"""Rounds an hour of the LibriSpeech configs, on random features of its lengths.

  python benchmarks/librispeech_rounds.py RESULT.json
      [--config=configs/ds2_librispeech.py] [--variants=federated_100,published]
      [--cohorts=8,16] [--blocks=8] [--rounds=3] [--longest=35] [--speakers=0]
      [--<field of the config>=<value> ...]

Each variant with each cohort and block (without: its own) is a row: rounds as
the training job runs them, each cohort drawn, assembled on the host and sent by
a thread while the last one is used, after one that nothing overlaps with.
`hours` is for all of the variant's rounds, without evaluations and checkpoints.
With --rounds=0 nothing is compiled and no round run: a row has the layout and
the bytes of a cohort, on any machine.
RESULT.json has a row as soon as it is measured, and why one failed.

Speakers are as many as the variant's folders have (`--speakers`: fewer), with
114 to 120 utterances each; none of it is read from a disk. Of 88 utterances of
train-clean-100 (each the first of its chapter) half last 12 to 15.4 s, and the
others 1.6 to 12 s about evenly; lengths here are drawn from the latter evenly,
and from a normal distribution around 14.5 s (deviation 1 s), so often that
their mean is LibriSpeech's 12.3 s; one is `--longest` seconds. 14 letters are
spoken a second, as in those 88. Needs jax, flax, optax, orbax, h5py, but
neither librosa nor soundfile.
"""

import importlib.util
import itertools
import json
import pathlib
import sys
import time
import types

import main_job
import numpy as np
import round as round_benchmark

_DEFAULTS = {
  'config': 'configs/ds2_librispeech.py',
  'variants': 'federated_100,published',
  'cohorts': '',
  'blocks': '',
  'rounds': '3',
  'longest': '35',
  'speakers': '0',
}
# Utterances and speakers of each folder.
_FOLDERS = {
  'train-clean-100': (28_539, 251),
  'train-clean-360': (104_014, 921),
  'train-other-500': (148_688, 1_166),
}
_MEAN_SECONDS, _LONG_SECONDS, _SHORT_SECONDS = 12.3, 14.5, (1.6, 12.0)
_LETTERS_A_SECOND = 14
_NOISE_FRAMES = 20_000


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  chosen, overrides = options(argv[2:])
  if importlib.util.find_spec('soundfile') is None:
    # No recording is read: what is derived from its class is never made.
    absent = types.ModuleType('soundfile')
    absent.__dict__['SoundFile'] = object
    sys.modules['soundfile'] = absent
  record = {
    'command': ' '.join(['librispeech_rounds.py', 'RESULT.json', *argv[2:]]),
    'machine': main_job.machine(),
  }
  path = pathlib.Path(argv[1])
  for part in measured(chosen, overrides):
    record |= part
    path.write_text(json.dumps(record, indent=1) + '\n')
  return 0


def options(flags: list[str]) -> tuple[dict[str, str], list[str]]:
  """Ours, and those of the config."""
  chosen, overrides = dict(_DEFAULTS), []
  for flag in flags:
    name, _, value = flag.lstrip('-').partition('=')
    if name.startswith('config.'):
      overrides.append(flag)
    elif name in chosen:
      chosen[name] = value
    else:
      raise SystemExit(f'error: {flag}; want one of {", ".join(chosen)}.')
  return chosen, overrides


def measured(chosen: dict[str, str], overrides: list[str]):
  """Yields parts of the record, `rows` growing."""
  from fedjax_asr import command_line, environment
  from fedjax_asr.federated import partition

  yield {'versions': environment.versions()}
  rows = []
  for variant in chosen['variants'].split(','):
    source = f'--config={chosen["config"]}:{variant}'
    arguments = ['librispeech_rounds.py', source, *overrides]
    cfg = command_line.parse(arguments).config
    examples = population(cfg, int(chosen['speakers']), chosen['longest'])
    for cohort_size, block in itertools.product(
      _numbers(chosen['cohorts'], cfg.federated.cohort_size),
      _numbers(chosen['blocks'], cfg.federated.block_size),
    ):
      cfg = command_line.parse(arguments).config
      cfg.federated = partition.settled(cfg.federated, examples.clients)
      cfg.federated.cohort_size = cohort_size
      cfg.federated.block_size = block
      row = {'variant': variant, 'cohort': cohort_size, 'block': block}
      try:
        row |= rounds_of(cfg, examples, int(chosen['rounds']))
      except Exception as error:
        row['failed'] = f'{type(error).__name__}: {error}'[:300]
      rows.append(row)
      print(json.dumps(row), flush=True)
      yield {'rows': rows, **main_job.memory()}


def _numbers(flag: str, own: int) -> list[int]:
  return [int(value) for value in flag.split(',')] if flag else [own]


def rounds_of(cfg, examples, num_rounds: int) -> dict:
  """What a row measures."""
  import jax

  from fedjax_asr import validation
  from fedjax_asr.federated import devices, rounds, server
  from fedjax_asr.jobs import cohort_feed
  from fedjax_asr.models import model

  validation.validate(cfg)
  acoustic = model.acoustic(cfg.model, cfg.features.num_features)
  chosen = devices.select(cfg.federated)
  started = time.perf_counter()
  feed = cohort_feed.CohortFeed(examples, cfg.federated, cfg.seed, chosen)
  planned = {
    'plan_seconds': round(time.perf_counter() - started, 1),
    'cohort_gb': round(_gigabytes(feed.shapes), 2),
    'layout': feed.layout._asdict(),
  }
  if not num_rounds:
    return planned
  key = jax.random.key(cfg.seed)
  population_size = len(feed.clients)
  state = server.initial_state(acoustic, cfg.federated, key, population_size)
  state = devices.replicate(state, chosen)
  round_fn = rounds.make_round(
    acoustic,
    cfg.federated,
    cfg.augment,
    feed.layout.frame_buckets,
    chosen,
    population_size,
  )
  memories = round_benchmark.memories(cfg, acoustic, population_size, chosen)
  kept = memories.shapes(feed.shapes.client_ids.shape)
  started = time.perf_counter()
  compiled = round_fn.lower(state, feed.shapes, kept, key, None).compile()
  compile_seconds = time.perf_counter() - started
  seconds, losses, waste = [], [], []
  clock = time.perf_counter()
  for index, fed in enumerate(feed.ahead(range(num_rounds + 1))):
    kept = memories.gather(fed.client_ids, state.params, state.norm_state)
    state, kept, outcome = compiled(state, fed.members, kept, key, None)
    losses.append(float(jax.device_get(outcome).metrics.loss))
    memories.scatter(index, fed.client_ids, kept)
    waste.append(fed.frames.padding_waste)
    seconds.append(time.perf_counter() - clock)
    clock = time.perf_counter()
  each = float(np.mean(seconds[1:]))
  total = cfg.federated.num_rounds
  return planned | {
    'round_seconds': [round(value, 3) for value in seconds[1:]],
    'rounds_an_hour': round(3600 / each, 1),
    'num_rounds': total,
    'hours': round(total * each / 3600, 2),
    'compile_seconds': round(compile_seconds, 1),
    'first_round_seconds': round(seconds[0], 2),
    'assemble_seconds': round(_assemble_seconds(feed, cfg, examples), 2),
    'temporary_gb': round(
      compiled.memory_analysis().temp_size_in_bytes / 1e9, 2
    ),
    'num_parameters': model.num_parameters(state.params),
    'padding_waste': round(float(np.mean(waste)), 3),
    'losses': [round(loss, 2) for loss in losses],
  }


def _assemble_seconds(feed, cfg, examples) -> float:
  """Of one cohort, on the host, with nothing beside it."""
  from fedjax_asr.federated import cohort

  started = time.perf_counter()
  drawn = cohort.draw(
    feed.clients, examples.num_frames, cfg.federated, cfg.seed, 0
  )
  cohort.assemble(drawn, examples, feed.layout)
  return time.perf_counter() - started


def _gigabytes(shapes) -> float:
  """Of a cohort; two are on the devices at once."""
  import jax

  leaves = jax.tree.leaves(shapes)
  return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves) / 1e9


class _Store:
  """A feature store of noise that is cut anew for each utterance."""

  in_memory = False

  def __init__(self, num_frames, num_features):
    rng = np.random.default_rng(0)
    shape = (_NOISE_FRAMES, num_features)
    self.num_features = num_features
    self.num_frames = num_frames
    self._noise = rng.standard_normal(shape).astype(np.float32)

  def features(self, index):
    frames = self.num_frames[index]
    start = 7919 * index % (len(self._noise) - frames)
    return self._noise[start : start + frames]


def population(cfg, num_speakers: int, longest: str):
  """A training set of the variant's folders."""
  from fedjax_asr.corpora import dataset
  from fedjax_asr.speech import alphabets

  utterances, num_frames = spoken(cfg, num_speakers, longest)
  return dataset.Dataset(
    utterances,
    _Store(num_frames, cfg.features.num_features),
    range(len(utterances)),
    alphabets.ENGLISH,
    cfg.features.normalization,
  )


def spoken(cfg, num_speakers: int, longest: str):
  """Utterances of the variant's folders, and the frames of each."""
  from fedjax_asr.corpora import utterance

  counts = [_FOLDERS[folder] for folder in cfg.data.splits]
  total, speakers = (sum(column) for column in zip(*counts, strict=True))
  if num_speakers:
    total, speakers = total * num_speakers // speakers, num_speakers
  lengths = seconds(total, float(longest))
  rng = np.random.default_rng(1)
  letters = ''.join(rng.choice(list('abcdefghijklmnopqrstuvwxyz '), 600))
  utterances = [
    utterance.Utterance(
      id=f'u{index}',
      speaker=f's{index * speakers // total:05d}',
      text=letters[: max(round(_LETTERS_A_SECOND * length), 1)].strip(),
      duration=0.0,
      source=utterance.AudioFile(f'u{index}.flac'),
    )
    for index, length in enumerate(lengths.tolist())
  ]
  return utterances, (1000 * lengths / cfg.features.hop_ms).astype(int)


def seconds(count: int, longest: float) -> np.ndarray:
  """[count], as the docstring of this file has them."""
  rng = np.random.default_rng(2)
  short = rng.uniform(*_SHORT_SECONDS, count)
  long = rng.normal(_LONG_SECONDS, 1.0, count)
  of_short = float(np.mean(_SHORT_SECONDS))
  share = (_MEAN_SECONDS - of_short) / (_LONG_SECONDS - of_short)
  lengths = np.where(rng.random(count) < share, long, short)
  lengths[0] = longest
  return lengths


if __name__ == '__main__':
  sys.exit(main(sys.argv))
