"""Features of a corpus, computed once and kept in an HDF5 file.

The file is named by a hash of all settings and of the content of every
utterance, so a store is never stale; it is written under a temporary name and
moved when complete, so what lies under the final name is whole.
"""

import contextlib
import hashlib
import json
import logging
import multiprocessing
import operator
import pathlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import SupportsIndex

import h5py
import numpy as np
from jaxtyping import Int

from fedjax_asr import config, file_lock, home, interruption
from fedjax_asr.corpora import extraction, problem, sink, utterance
from fedjax_asr.speech import features as speech_features

Report = Callable[[int, int], None]

# Raised where files are read or features computed otherwise than before.
_FORMAT = 3
_IN_MEMORY_BYTES = 2 * 1024**3
_CHUNK_BYTES = 1024**2
# Utterances that are read in order share chunks, each decoded once.
_CACHED_BYTES = 32 * _CHUNK_BYTES
# Between two tries for a lock that another process holds.
_LOCK_SECONDS = 0.2
# Names of files need not be UTF-8.
_ANY_NAME = 'surrogatepass'

_logger = logging.getLogger(__name__)


class FeatureStore:
  """Un-normalised features of utterances, by index.

  In memory when they are less than 2 GB, else read as they are asked for.
  """

  def __init__(self, path: pathlib.Path, *, was_built: bool) -> None:
    self.path = path
    self.was_built = was_built
    # Of a file that is open as long as the store is there.
    self._on_disk: h5py.Dataset | None = None
    with _reading(path) as file:
      _check(file)
      self.ids: list[str] = [
        name.decode(errors=_ANY_NAME) for name in _dataset(file, 'ids')[()]
      ]
      self.failures = _failures(file)
      self._offsets = _dataset(file, 'offsets')[()]
      # Hz of each recording; 0 where there is none, or it was not read.
      self.sample_rates: Int[np.ndarray, ' utterances'] = _dataset(
        file, 'sample_rates'
      )[()]
      frames = _dataset(file, 'frames')
      self.num_features: int = frames.shape[1]
      in_memory = frames.size * frames.dtype.itemsize < _IN_MEMORY_BYTES
      # HDF5 checks each chunk's checksum as it is read.
      self._frames = frames[()] if in_memory else None
    if self._frames is not None:
      self._frames.flags.writeable = False

  def __len__(self) -> int:
    return len(self.ids)

  @property
  def in_memory(self) -> bool:
    return self._frames is not None

  @property
  def num_frames(self) -> Int[np.ndarray, ' utterances']:
    """0 where the features could not be computed; see `failures`."""
    return np.diff(self._offsets)

  def features(self, index: SupportsIndex) -> utterance.Features:
    """Read-only where the store is in memory."""
    index = operator.index(index)
    start, stop = self._offsets[index], self._offsets[index + 1]
    if self._frames is not None:
      return self._frames[start:stop]
    if self._on_disk is None:
      file = h5py.File(self.path, 'r', locking=False, rdcc_nbytes=_CACHED_BYTES)
      self._on_disk = _dataset(file, 'frames')
    try:
      return self._on_disk[start:stop]
    except OSError as error:
      raise utterance.CorpusError(
        f'{self.path}: damaged ({error}); delete it to have it rebuilt.'
      ) from None


def open_or_build(
  utterances: Sequence[utterance.Utterance],
  data: config.DataConfig,
  features: config.FeaturesConfig,
  report: Report,
) -> FeatureStore:
  """The store of these utterances, in their order.

  Opens the file when it is there and passes its checks; else computes the
  features in spawned processes, calling `report(done, total)`. Utterances
  that fail have no frames and a reason in `failures`. A second process that
  wants the same store waits for the first.

  Raises:
    CorpusError: if `data.cache_dir` cannot be written, or an id is repeated.
  """
  _check_main_guard()
  ids = [item.id for item in utterances]
  if len(set(ids)) < len(ids):
    raise utterance.CorpusError('The corpus repeats an utterance id.')
  name = f'{_key(utterances, data, features)}.h5'
  try:
    store = _opened(home.readable_cache(data.cache_dir) / name)
    if store is not None:
      return store
    directory = home.writable_cache(data.cache_dir)
    path = directory / name
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_suffix('.lock')):
      store = _opened(path)
      if store is None:
        _build(path, utterances, data, features, report)
        store = FeatureStore(path, was_built=True)
  except OSError as error:
    raise utterance.CorpusError(
      f'config.data.cache_dir={data.cache_dir!r}: cannot write the feature '
      f'store: {error}.'
    ) from error
  return store


def _check_main_guard() -> None:
  """A script without the guard would run again in each worker, and wait."""
  if getattr(multiprocessing.current_process(), '_inheriting', False):
    raise RuntimeError(
      "features are computed in spawned processes: put the script's code "
      "under `if __name__ == '__main__':`."
    )


def _key(
  utterances: Sequence[utterance.Utterance],
  data: config.DataConfig,
  features: config.FeaturesConfig,
) -> str:
  settings = {
    'format': _FORMAT,
    'features': speech_features.settings(features),
    'max_seconds': data.max_seconds,
  }
  digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
  for item in utterances:
    row = (item.id, item.speaker, item.text, item.source.fingerprint())
    digest.update(json.dumps(row).encode())
  return digest.hexdigest()


def _opened(path: pathlib.Path) -> FeatureStore | None:
  """The store, unless there is none or it fails its checks."""
  if not path.exists():
    return None
  try:
    return FeatureStore(path, was_built=False)
  except (OSError, KeyError, ValueError, RuntimeError) as error:
    _logger.warning('%s: damaged (%s); rebuilding it.', path, error)
    return None


def _reading(path: pathlib.Path) -> h5py.File:
  # A complete store is never written to, and some file systems cannot lock.
  return h5py.File(path, 'r', locking=False)


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
  found = file[name]
  if not isinstance(found, h5py.Dataset):
    raise ValueError(f'{name} is no data set')
  return found


def _check(file: h5py.File) -> None:
  """Raises ValueError or KeyError unless the file is a whole store."""
  offsets, frames = _dataset(file, 'offsets')[()], _dataset(file, 'frames')
  met = (
    file.attrs['complete']
    and file.attrs['format'] == _FORMAT
    and len(offsets) == len(_dataset(file, 'ids')) + 1
    and len(offsets) == len(_dataset(file, 'sample_rates')) + 1
    and offsets[0] == 0
    and offsets[-1] == len(frames)
    and (np.diff(offsets) >= 0).all()
  )
  if not met:
    raise ValueError('incomplete or inconsistent')


def _failures(file: h5py.File) -> dict[str, problem.Problem]:
  rows = json.loads(_dataset(file, 'failures')[()].tobytes())
  failures = [problem.Problem(*row) for row in rows]
  return {failure.utterance: failure for failure in failures}


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
  """Holds an exclusive lock; the lock of a dead process does not count."""
  with path.open('w') as file:
    if not file_lock.take(file.fileno(), path):
      _logger.warning('Waiting for another process that builds %s.', path)
      # The kernel would wait through signals as well.
      while not file_lock.take(file.fileno(), path):
        interruption.check()
        time.sleep(_LOCK_SECONDS)
    yield


def _build(
  path: pathlib.Path,
  utterances: Sequence[utterance.Utterance],
  data: config.DataConfig,
  features: config.FeaturesConfig,
  report: Report,
) -> None:
  # Whatever an interrupted build left under this name is overwritten.
  temporary = path.with_suffix('.partial')
  results = extraction.extracted(
    utterances, features, data.max_seconds, data.num_workers
  )
  try:
    with contextlib.closing(results), sink.Sink(temporary) as out:

      def checked_report(done: int, total: int) -> None:
        out.check()
        report(done, total)

      with _writing(out) as file:
        names = [item.id for item in utterances]
        _write(file, names, results, features.num_features, checked_report)
      out.sync()
    temporary.replace(path)
  finally:
    temporary.unlink(missing_ok=True)


def _writing(out: sink.Sink) -> h5py.File:
  # The v110 format has checksums for its metadata too.
  return h5py.File(out, 'w', libver='v110', rdcc_nbytes=16 * _CHUNK_BYTES)


def _write(
  file: h5py.File,
  ids: Sequence[str],
  results: Generator[list[extraction.Result]],
  num_features: int,
  report: Report,
) -> None:
  rows_per_chunk = max(1, _CHUNK_BYTES // (4 * num_features))
  frames = file.create_dataset(
    'frames',
    shape=(0, num_features),
    maxshape=(None, num_features),
    dtype=np.float32,
    chunks=(rows_per_chunk, num_features),
    fletcher32=True,
  )
  lengths, rates, failures = [], [], []
  report(0, len(ids))
  for batch in results:
    arrays = []
    for outcome, sample_rate in batch:
      rates.append(sample_rate)
      if isinstance(outcome, problem.Problem):
        failures.append(outcome)
        lengths.append(0)
      else:
        arrays.append(outcome)
        lengths.append(len(outcome))
    _append(frames, arrays)
    report(len(lengths), len(ids))
  _write_index(file, ids, lengths, rates, failures)


def _append(frames: h5py.Dataset, arrays: list[extraction.Frames]) -> None:
  if not arrays:
    return
  start, added = len(frames), np.concatenate(arrays)
  frames.resize(start + len(added), axis=0)
  frames[start:] = added


def _write_index(
  file: h5py.File,
  ids: Sequence[str],
  lengths: list[int],
  rates: list[int],
  failures: list[problem.Problem],
) -> None:
  """Last, with `complete`: a file without it is no store."""
  offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
  encoded = json.dumps(failures).encode()
  for name, values in (
    ('ids', np.array([name.encode(errors=_ANY_NAME) for name in ids])),
    ('offsets', offsets.astype(np.int64)),
    ('sample_rates', np.array(rates, np.int64)),
    ('failures', np.frombuffer(encoded, np.uint8)),
  ):
    file.create_dataset(name, data=values, chunks=True, fletcher32=True)
  file.attrs.update(format=_FORMAT, complete=True)
