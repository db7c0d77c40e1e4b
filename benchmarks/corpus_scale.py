"""Seconds and memory of what a run does to a corpus, at LibriSpeech's size.

  python benchmarks/corpus_scale.py RESULT.json [--utterances=281241]
      [--seconds=0.1] [--stages=listing,build,...] [--folder=DIR] [--workers=0]

Writes a LibriSpeech tree of so many very short FLAC files (120 a speaker, 40 a
chapter; transcripts of 34 words of a vocabulary of 60,000, as often as Zipf has
them), 2,703 of them in dev-clean, and takes it from the listing to batches and
a language model by the functions that the job calls. The store is read from the
disk as one of 960 hours is, whatever its size here. Each stage has its seconds,
those in which this process computed (`cpu`; features are computed by others),
and in GB the peak of its resident memory meanwhile, and what was resident after
it; the first line has that before all. `--folder` keeps the tree and the
features for the next time.
"""

import io
import json
import pathlib
import sys
import tempfile
import time

import main_job
import numpy as np

_NUM_EVALUATED = 2_703
_PER_SPEAKER, _PER_CHAPTER = 120, 40
_NUM_WORDS, _VOCABULARY = 34, 60_000
_ROUNDS = 3
_DEFAULTS = {
  'utterances': '281241',
  'seconds': '0.1',
  'stages': '',
  'folder': '',
  'workers': '0',
}


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  chosen = options(argv[2:])
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(chosen['folder'] or scratch)
    for record in measured(folder, chosen):
      # Kept from the first row on: a later stage may not fit.
      found = {'command': _command(argv[2:]), **record}
      pathlib.Path(argv[1]).write_text(json.dumps(found, indent=1) + '\n')
  return 0


def _command(flags: list[str]) -> str:
  """Without the folder, which is somebody's."""
  shown = [flag for flag in flags if not flag.startswith('--folder')]
  return ' '.join(['corpus_scale.py', 'RESULT.json', *shown])


def options(flags: list[str]) -> dict[str, str]:
  chosen = dict(_DEFAULTS)
  for flag in flags:
    name, _, value = flag.lstrip('-').partition('=')
    if name not in chosen:
      raise SystemExit(f'error: {flag}; want one of {", ".join(chosen)}.')
    chosen[name] = value
  return chosen


def measured(folder: pathlib.Path, chosen: dict[str, str]):
  """Yields the record, `stages` growing."""
  from fedjax_asr import environment

  count = int(chosen['utterances'])
  record = {
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'num_utterances': count,
    'num_speakers': -(-count // _PER_SPEAKER),
    'seconds_of_audio_each': float(chosen['seconds']),
    'stages': [],
  }
  wanted = [name for name in chosen['stages'].split(',') if name]
  known = Stages(folder, chosen)
  names = wanted or Stages.NAMES
  for name in ('tree', *names):
    record['stages'].append({'stage': name, **_timed(getattr(known, name))})
    print(json.dumps(record['stages'][-1]), flush=True)
    yield record


def _timed(stage) -> dict:
  """What a stage took, and what it says of itself."""
  # Linux: from here on, the peak is that of what follows.
  pathlib.Path('/proc/self/clear_refs').write_text('5')
  started, busy = time.perf_counter(), time.process_time()
  said = stage() or {}
  seconds = time.perf_counter() - started
  busy = time.process_time() - busy
  status = pathlib.Path('/proc/self/status').read_text()
  kilobytes = {
    name: int(line.split()[1])
    for line in status.splitlines()
    for name in [line.partition(':')[0]]
    if name in ('VmHWM', 'VmRSS')
  }
  return {
    'seconds': round(seconds, 3),
    'cpu_seconds': round(busy, 3),
    'peak_gb': round(kilobytes['VmHWM'] * 1024 / 1e9, 3),
    'resident_gb': round(kilobytes['VmRSS'] * 1024 / 1e9, 3),
    **said,
  }


class Stages:
  """One after the other; each leaves what the next ones need."""

  NAMES = (
    'listing',
    'file_fingerprints',
    'build',
    'open',
    'prepare',
    'statistics',
    'fingerprint',
    'by_speaker',
    'iid',
    'size',
    'dirichlet',
    'transcript',
    'plan',
    'cohorts',
    'central_cohorts',
    'published_cohorts',
    'evaluation',
    'words',
    'characters',
  )

  def __init__(self, folder: pathlib.Path, chosen: dict[str, str]):
    from fedjax_asr.corpora import store
    from fedjax_asr.presets import librispeech

    # A store of 960 hours is read from the disk.
    store._IN_MEMORY_BYTES = 0
    self.count = int(chosen['utterances'])
    self.root = folder / 'LibriSpeech'
    self.seconds = float(chosen['seconds'])
    self.data = librispeech.data(librispeech.HOURS_100)
    self.data.path = str(self.root)
    self.data.heldout_path = str(self.root / 'dev-clean')
    self.data.cache_dir = str(folder / 'cache')
    self.data.num_workers = int(chosen['workers'])

  def tree(self):
    if not self.root.exists():
      write_tree(self.root, self.count, self.seconds)

  def listing(self):
    from fedjax_asr.corpora import corpus

    self.corpus = corpus.load(self.data)
    return {'num_utterances': len(self.corpus.utterances)}

  def file_fingerprints(self):
    for item in self.corpus.utterances:
      item.source.fingerprint()

  def build(self):
    store = self._store()
    size = store.path.stat().st_size
    frames = int(store.num_frames.sum())
    return {'was_built': store.was_built, 'bytes_per_frame': size / frames}

  def open(self):
    return {'was_built': self._store().was_built}

  def _store(self):
    from fedjax_asr import config
    from fedjax_asr.corpora import store

    return store.open_or_build(
      self.corpus.utterances,
      self.data,
      config.FeaturesConfig(),
      lambda done, total: None,
    )

  def prepare(self):
    """All of the job's preparation, with the store there."""
    from fedjax_asr import config
    from fedjax_asr.corpora import datasets

    self.corpus = None
    self.sets = datasets.prepare(
      self.data,
      config.FeaturesConfig(),
      # The transcripts are of 12 s.
      lambda frames: 100 * frames,
      0,
      lambda done, total: None,
    )
    self.train = self.sets.train
    return {
      'train': len(self.train),
      'heldout': len(self.sets.heldout_speakers),
      'num_problems': len(self.sets.problems),
    }

  def statistics(self):
    from fedjax_asr.speech import features

    features.statistics(map(self.train.raw, range(len(self.train))))

  def fingerprint(self):
    from fedjax_asr.jobs import run_corpus

    text = run_corpus.recorded(self.data, self.sets)
    return {'megabytes': round(len(text) / 1e6, 1)}

  def by_speaker(self):
    self.clients = self._partition('speaker', cohort_size=32)
    return {'clients': len(self.clients)}

  def iid(self):
    self._partition('iid')

  def size(self):
    self._partition('size')

  def dirichlet(self):
    self._partition('dirichlet')

  def transcript(self):
    self._partition('transcript')

  def _partition(self, kind, **fields):
    from fedjax_asr import config
    from fedjax_asr.federated import partition

    num_clients = max(self.count // _PER_SPEAKER, 1)
    federated = config.FederatedConfig(
      partition=config.Partition(kind), num_clients=num_clients
    )
    federated.cohort_size = min(fields.get('cohort_size', 1), num_clients)
    return partition.partition(
      self.train.speakers, self.train.texts, federated, 0, self.train.clients
    )

  def plan(self):
    from fedjax_asr.presets import librispeech

    recipe = librispeech.federated(num_rounds=6000, cohort_size=64)
    self._plan(recipe)
    return {'layout': str(self.layout)}

  def _plan(self, recipe, clients=None):
    from fedjax_asr.federated import cohort

    self.members = clients or self.clients
    self.recipe = recipe
    recipe.cohort_size = min(recipe.cohort_size, len(self.members))
    self.layout = cohort.plan(self.members, self.train, recipe, 0, 1)

  def cohorts(self):
    return self._cohorts()

  def _cohorts(self):
    from fedjax_asr.federated import cohort

    seconds = {'draw': 0.0, 'assemble': 0.0}
    for index in range(_ROUNDS):
      started = time.perf_counter()
      drawn = cohort.draw(
        self.members, self.train.num_frames, self.recipe, 0, index
      )
      seconds['draw'] += time.perf_counter() - started
      started = time.perf_counter()
      cohort.assemble(drawn, self.train, self.layout)
      seconds['assemble'] += time.perf_counter() - started
    return {
      f'{name}_seconds_each': round(total / _ROUNDS, 4)
      for name, total in seconds.items()
    }

  def central_cohorts(self):
    from fedjax_asr.federated import partition
    from fedjax_asr.presets import librispeech

    recipe = partition.settled(
      librispeech.central(num_epochs=1), self.train.clients
    )
    clients = partition.partition(
      self.train.speakers, self.train.texts, recipe, 0
    )
    self._plan(recipe, clients)
    return self._cohorts()

  def published_cohorts(self):
    from fedjax_asr.presets import librispeech

    self._plan(librispeech.published())
    return self._cohorts()

  def evaluation(self):
    """The evaluator of dev-clean, and its batches without the model."""
    from fedjax_asr import config
    from fedjax_asr.decoding import evaluation

    def recognize(params, norm_state, features, num_frames, *labels):
      real = num_frames > 0
      return [''] * int(real.sum()), np.zeros(int(real.sum()))

    evaluator = evaluation.Evaluator(
      recognize, self.sets.heldout_speakers, config.EvaluationConfig()
    )
    evaluator({}, {})

  def words(self):
    return self._language_model('words', 3)

  def characters(self):
    return self._language_model('characters', 6)

  def _language_model(self, unit, order):
    from fedjax_asr import config
    from fedjax_asr.decoding import ngram
    from fedjax_asr.jobs import language_model

    chosen = config.LanguageModelConfig(
      unit=config.LanguageUnit(unit), order=order
    )
    sentences = language_model._Sentences(
      self.train.texts, {}, self.sets.alphabet
    )
    trained = language_model._trained(chosen, sentences)
    counted = time.perf_counter()
    text = ngram.arpa(trained)
    return {
      'num_ngrams': trained.num_ngrams(),
      'arpa_seconds': round(time.perf_counter() - counted, 2),
      'arpa_megabytes': round(len(text) / 1e6, 1),
    }


def write_tree(root: pathlib.Path, count: int, seconds: float) -> None:
  """A training folder of so many utterances, and dev-clean."""
  import soundfile

  rng = np.random.default_rng(0)
  recordings = []
  for length in (1.0, 1.25, 1.5):
    samples = 0.1 * rng.normal(size=round(length * seconds * 16_000))
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format='FLAC')
    recordings.append(file.getvalue())
  ranks = np.arange(1, _VOCABULARY + 1)
  probabilities = 1 / ranks / np.sum(1 / ranks)
  words = np.array([_word(index) for index in range(_VOCABULARY)])
  for split, number, first in (
    ('train-clean-100', count, 10_000),
    ('dev-clean', min(_NUM_EVALUATED, count), 1),
  ):
    for start in range(0, number, _PER_CHAPTER):
      rows = rng.choice(words, (_PER_CHAPTER, _NUM_WORDS), p=probabilities)
      speaker = first + start // _PER_SPEAKER
      folder = root / split / str(speaker) / str(start)
      folder.mkdir(parents=True)
      lines = []
      for index in range(start, min(start + _PER_CHAPTER, number)):
        name = f'{speaker}-{start}-{index - start:04d}'
        lines.append(f'{name} {" ".join(rows[index - start])}\n')
        (folder / f'{name}.flac').write_bytes(recordings[index % 3])
      (folder / f'{speaker}-{start}.trans.txt').write_text(''.join(lines))


def _word(index: int) -> str:
  """Another for each number, short for the frequent ones."""
  letters = ''
  while index or not letters:
    index, place = divmod(index, 26)
    letters += chr(ord('A') + place)
  return letters + 'AE'[len(letters) % 2] * (len(letters) - 1)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
