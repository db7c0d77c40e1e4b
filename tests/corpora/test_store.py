"""The feature store: built once, whole or not at all."""

import errno
import logging
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
from typing import NamedTuple

import h5py
import numpy as np
import pytest
import soundfile

from fedjax_asr import config
from fedjax_asr.corpora import store, utterance

FEATURES = config.FeaturesConfig(num_features=8, num_mels=8)


class Noise(NamedTuple):
  """Features that a seed gives; below 0 there are none."""

  seed: int

  def fingerprint(self):
    return f'noise {self.seed}'

  def features(self, cfg, max_seconds):
    if self.seed < 0:
      raise utterance.CorpusError(f'noise {self.seed}: no good.')
    rng = np.random.default_rng(self.seed)
    shape = (int(rng.integers(1, 30)), cfg.num_features)
    return rng.standard_normal(shape, np.float32)

  def describe(self):
    return f'noise {self.seed}'


class Fatal(Noise):
  """Ends the process that computes it."""

  def features(self, cfg, max_seconds):
    os._exit(3)


class Killed(Noise):
  """Is killed with the process that computes it, as for its memory."""

  def features(self, cfg, max_seconds):
    os.kill(os.getpid(), signal.SIGKILL)


class Unwilling(Noise):
  """Cannot be computed a second time: a test that asks fails."""

  def features(self, cfg, max_seconds):
    pytest.fail('features were computed again')


def corpus(seeds, source=Noise):
  return [
    utterance.Utterance(f'u{seed}', 's', 'text', 0.0, source(seed))
    for seed in seeds
  ]


def settings(folder, **fields):
  return config.DataConfig(
    **{'cache_dir': str(folder), 'num_workers': 1, **fields}
  )


def opened(folder, seeds=range(40), source=Noise, **fields):
  return store.open_or_build(
    corpus(seeds, source), settings(folder, **fields), FEATURES, report
  )


def report(done, total):
  assert 0 <= done <= total


def names(folder):
  return sorted(file.suffix for file in pathlib.Path(folder).iterdir())


def assert_whole(found, seeds=range(40)):
  for index, seed in enumerate(seeds):
    expected = Noise(seed).features(FEATURES, 1.0)
    np.testing.assert_array_equal(found.features(index), expected)
    assert found.num_frames[index] == len(expected)


def test_features_come_back_in_order(tmp_path):
  found = opened(tmp_path)
  assert found.was_built
  assert len(found) == 40
  assert found.ids == [f'u{seed}' for seed in range(40)]
  assert found.num_features == 8
  assert_whole(found)


def test_a_second_run_computes_nothing(tmp_path):
  opened(tmp_path)
  again = opened(tmp_path, source=Unwilling)
  assert not again.was_built
  assert_whole(again)


def test_spawned_processes_give_the_same_file_content(tmp_path):
  one = opened(tmp_path / 'one')
  two = opened(tmp_path / 'two', num_workers=2)
  assert one.path.name == two.path.name
  assert_whole(two)


def test_failures_are_kept_with_their_reasons(tmp_path):
  seeds = [0, -1, 2, -3]
  for found in (opened(tmp_path, seeds), opened(tmp_path, seeds, Unwilling)):
    assert sorted(found.failures) == ['u-1', 'u-3']
    assert found.failures['u-3'].reason == 'noise -3: no good.'
    assert found.failures['u-3'].kind == 'unreadable'
    assert found.num_frames[1] == found.num_frames[3] == 0
    assert_whole(found, [0])
    np.testing.assert_array_equal(
      found.features(2), Noise(2).features(FEATURES, 1.0)
    )


def test_a_corpus_in_which_all_fail_is_a_store_too(tmp_path):
  found = opened(tmp_path, [-1, -2])
  assert found.num_frames.tolist() == [0, 0]
  assert len(found.failures) == 2
  assert not opened(tmp_path, [-1, -2]).was_built


def test_an_empty_corpus_is_an_empty_store(tmp_path):
  found = opened(tmp_path, [])
  assert len(found) == 0
  assert found.num_frames.shape == (0,)
  assert not opened(tmp_path, []).was_built


@pytest.mark.parametrize('name', ['héllo/日本', 'not UTF-8: \udcff'])
@pytest.mark.parametrize('seed', [1, -1])
def test_ids_keep_all_of_unicode_and_of_file_names(tmp_path, name, seed):
  item = corpus([seed])[0]._replace(id=name)
  found = store.open_or_build([item], settings(tmp_path), FEATURES, report)
  assert found.ids == [name]
  assert list(found.failures) == ([name] if seed < 0 else [])


def test_progress_ends_at_the_total(tmp_path):
  seen = []
  store.open_or_build(
    corpus(range(40)),
    settings(tmp_path),
    FEATURES,
    lambda *progress: seen.append(progress),
  )
  assert seen[0] == (0, 40)
  assert seen[-1] == (40, 40)
  assert seen == sorted(seen)


@pytest.mark.parametrize('change', ['id', 'speaker', 'text', 'source'])
def test_another_utterance_is_another_store(tmp_path, change):
  (item,) = corpus([1])
  other = {'source': Noise(2)}.get(change, 'other')
  paths = {
    store.open_or_build([each], settings(tmp_path), FEATURES, report).path
    for each in (item, item._replace(**{change: other}))
  }
  assert len(paths) == 2


def test_other_settings_are_another_store_and_normalisation_is_none(tmp_path):
  def path(max_seconds=20.0, **fields):
    cfg = config.FeaturesConfig(num_features=8, num_mels=8, **fields)
    data = settings(tmp_path, max_seconds=max_seconds)
    return store.open_or_build(corpus([1]), data, cfg, report).path

  same = {path(), path(normalization=config.Normalization.NONE)}
  assert len(same) == 1
  assert len(same | {path(max_seconds=5.0), path(hop_ms=5.0)}) == 3


def damage_nothing_but_complete(path):
  with h5py.File(path, 'r+') as file:
    file.attrs['complete'] = False


def damage_by_truncation(path):
  os.truncate(path, path.stat().st_size // 2)


def damage_by_emptying(path):
  os.truncate(path, 0)


def damage_frames(path):
  content = bytearray(path.read_bytes())
  first = Noise(0).features(FEATURES, 1.0)
  start = content.index(first.tobytes())
  content[start] ^= 1
  path.write_bytes(content)


def damage_offsets(path):
  with h5py.File(path, 'r+') as file:
    file['offsets'][-1] += 1


def damage_by_removal_of_a_data_set(path):
  with h5py.File(path, 'r+') as file:
    del file['failures']


def damage_by_another_file(path):
  path.write_text('no HDF5 file at all')


@pytest.mark.parametrize(
  'damage',
  [
    damage_nothing_but_complete,
    damage_by_truncation,
    damage_by_emptying,
    damage_frames,
    damage_offsets,
    damage_by_removal_of_a_data_set,
    damage_by_another_file,
  ],
)
def test_a_damaged_store_is_rebuilt_with_a_warning(tmp_path, caplog, damage):
  damage(opened(tmp_path).path)
  with caplog.at_level(logging.WARNING):
    again = opened(tmp_path)
  assert again.was_built
  assert 'rebuilding' in caplog.text
  assert_whole(again)
  assert not opened(tmp_path).was_built


def test_what_does_not_fit_in_memory_is_read_on_demand(tmp_path, monkeypatch):
  monkeypatch.setattr(store, '_IN_MEMORY_BYTES', 100)
  found = opened(tmp_path)
  assert_whole(found)
  damage_frames(found.path)
  again = opened(tmp_path)
  with pytest.raises(utterance.CorpusError, match='delete it to have it reb'):
    again.features(0)


def test_features_in_memory_cannot_be_written(tmp_path):
  found = opened(tmp_path)
  with pytest.raises(ValueError, match='read-only'):
    found.features(0)[0] = 1.0


def test_an_interrupted_build_leaves_no_store_and_the_next_builds_it(tmp_path):
  def interrupt(done, total):
    if done:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    store.open_or_build(
      corpus(range(40)), settings(tmp_path), FEATURES, interrupt
    )
  assert names(tmp_path) == ['.lock']
  assert_whole(opened(tmp_path))


def script(tmp_path, body, where='-c'):
  """Runs `body`, with this module as `test_store` and tmp_path as `folder`.

  `where` is '-' for a program from standard input.
  """
  code = f"""
    import os, pathlib, resource, signal, sys
    import test_store
    from fedjax_asr.corpora import store, utterance
    folder = pathlib.Path({str(tmp_path)!r})
    def build(report, workers=1):
      return store.open_or_build(
        test_store.corpus(range(40)),
        test_store.settings(folder, num_workers=workers),
        test_store.FEATURES, report)
  """
  here = pathlib.Path(__file__)
  program = textwrap.dedent(code) + textwrap.dedent(body)
  return subprocess.run(
    [sys.executable, where, *([program] if where == '-c' else [])],
    input=program if where == '-' else None,
    env={**os.environ, 'PYTHONPATH': f'{here.parent}:{here.parents[2]}'},
    capture_output=True,
    text=True,
    check=False,
    timeout=60,  # Orphans would hold the pipe open for ever.
  )


def test_a_killed_build_leaves_no_store_and_the_next_builds_it(tmp_path):
  finished = script(
    tmp_path,
    """
    build(lambda done, total: done and os.kill(os.getpid(), signal.SIGKILL))
    """,
  )
  assert finished.returncode == -signal.SIGKILL
  assert names(tmp_path) == ['.lock', '.partial']
  assert_whole(opened(tmp_path))
  assert names(tmp_path) == ['.h5', '.lock']


def test_a_full_disk_is_one_line_and_leaves_no_file(tmp_path):
  """A limit on the size of files stands for the full disk."""
  finished = script(
    tmp_path,
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
      build(lambda done, total: None)
    except utterance.CorpusError as error:
      print(error)
    """,
  )
  assert finished.stderr == ''
  assert finished.returncode == 0
  assert finished.stdout == (
    f'config.data.cache_dir={str(tmp_path)!r}: cannot write the feature '
    'store: [Errno 27] File too large.\n'
  )
  assert names(tmp_path) == ['.lock']


def test_a_file_system_without_locks_is_a_warning(
  tmp_path, monkeypatch, caplog
):
  def flock(*_):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

  monkeypatch.setattr('fcntl.flock', flock)
  assert_whole(opened(tmp_path))
  (record,) = caplog.records
  assert 'cannot be locked (Function not implemented)' in record.getMessage()


def test_a_cache_folder_that_is_a_file_is_one_line(tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(utterance.CorpusError, match=r'cache_dir=.*file.*cannot'):
    opened(tmp_path / 'file')


def test_a_cache_folder_that_cannot_be_looked_into_is_one_line(tmp_path):
  with pytest.raises(utterance.CorpusError, match=r'cache_dir=.*a.*cannot'):
    opened(tmp_path / ('a' * 300))


def test_a_repeated_id_is_an_error(tmp_path):
  with pytest.raises(utterance.CorpusError, match='repeats an utterance id'):
    opened(tmp_path, [1, 1])


@pytest.mark.parametrize(
  ('source', 'reason'),
  [
    (Fatal, 'ended with status 3; what it said is above'),
    (Killed, r'was killed, out of memory\?; want fewer'),
  ],
)
def test_a_worker_that_dies_is_one_line_with_the_cause(
  tmp_path, source, reason
):
  wanted = rf'process that .* {reason} \(config.data.num_workers=2\)\.'
  with pytest.raises(utterance.CorpusError, match=wanted):
    opened(tmp_path, source=source, num_workers=2)
  assert names(tmp_path) == ['.lock']


def test_segments_of_one_file_are_computed_by_processes(tmp_path):
  rng = np.random.default_rng(0)
  soundfile.write(tmp_path / 'a.flac', 0.1 * rng.normal(size=960_000), 16_000)
  finished = script(
    tmp_path,
    """
    from fedjax_asr import config
    items = [
      utterance.Utterance(
        str(start), 's', 'text', 0.0,
        utterance.AudioFile(str(folder / 'a.flac'), 0.25 * start, 0.5))
      for start in range(40)
    ]
    stores = [
      store.open_or_build(
        items, test_store.settings(folder / str(workers), num_workers=workers),
        test_store.FEATURES, lambda done, total: None)
      for workers in (1, 2)
    ]
    one, two = stores
    assert not one.failures and len(set(one.num_frames)) == 1
    for index in range(40):
      assert (one.features(index) == two.features(index)).all()
    """,
  )
  assert (finished.returncode, finished.stderr) == (0, '')


def test_a_program_from_standard_input_computes_in_its_own_process(tmp_path):
  finished = script(
    tmp_path, 'print(build(lambda done, total: None, 2).was_built)', '-'
  )
  assert finished.stdout == 'True\n'
  assert finished.stderr.startswith('Features are computed in one process')
  assert len(finished.stderr.splitlines()) == 1
  assert_whole(opened(tmp_path))


def test_workers_end_when_their_parent_is_killed(tmp_path):
  finished = script(
    tmp_path,
    """
    import multiprocessing
    def kill(done, total):
      if done:
        for process in multiprocessing.active_children():
          print(process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    build(kill, workers=2)
    """,
  )
  pids = finished.stdout.split()
  assert len(pids) == 2
  deadline = time.monotonic() + 10
  while any(is_alive(pid) for pid in pids):
    assert time.monotonic() < deadline
    time.sleep(0.05)


def is_alive(pid):
  status = pathlib.Path('/proc', pid, 'stat')
  return status.exists() and status.read_text().split()[2] != 'Z'


def test_workers_do_not_import_jax():
  code = (
    'import sys; from fedjax_asr.corpora import corpus, extraction, store; '
    'sys.exit("jax" in sys.modules or "librosa.core" in sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
