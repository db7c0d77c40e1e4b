"""A feature store is built whole or not at all, by any number of processes."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import noise_store
import numpy as np
import pytest
import soundfile

from fedjax_asr.corpora import store, utterance


def test_spawned_processes_give_the_same_file_content(tmp_path):
  one = noise_store.opened(tmp_path / 'one')
  two = noise_store.opened(tmp_path / 'two', num_workers=2)
  assert one.path.name == two.path.name
  noise_store.assert_whole(two)


def test_an_interrupted_build_leaves_no_store_and_the_next_builds_it(tmp_path):
  def interrupt(done, total):
    if done:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    store.open_or_build(
      noise_store.corpus(range(40)),
      noise_store.settings(tmp_path),
      noise_store.FEATURES,
      interrupt,
    )
  assert noise_store.names(tmp_path) == ['.lock']
  noise_store.assert_whole(noise_store.opened(tmp_path))


def script(tmp_path, body, where='-c'):
  """Runs `body`, with `noise_store` and with tmp_path as `folder`.

  `where` is '-' for a program from standard input.
  """
  code = f"""
    import os, pathlib, resource, signal, sys
    import noise_store
    from fedjax_asr.corpora import store, utterance
    folder = pathlib.Path({str(tmp_path)!r})
    def build(report, workers=1):
      return store.open_or_build(
        noise_store.corpus(range(40)),
        noise_store.settings(folder, num_workers=workers),
        noise_store.FEATURES, report)
  """
  tests = pathlib.Path(__file__).parents[1]
  program = textwrap.dedent(code) + textwrap.dedent(body)
  return subprocess.run(
    [sys.executable, where, *([program] if where == '-c' else [])],
    input=program if where == '-' else None,
    env={**os.environ, 'PYTHONPATH': f'{tests / "support"}:{tests.parent}'},
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
  assert noise_store.names(tmp_path) == ['.lock', '.partial']
  noise_store.assert_whole(noise_store.opened(tmp_path))
  assert noise_store.names(tmp_path) == ['.h5', '.lock']


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
  assert noise_store.names(tmp_path) == ['.lock']


@pytest.mark.parametrize(
  ('source', 'reason'),
  [
    (noise_store.Fatal, 'ended with status 3; what it said is above'),
    (noise_store.Killed, r'was killed, out of memory\?; want fewer'),
  ],
)
def test_a_worker_that_dies_is_one_line_with_the_cause(
  tmp_path, source, reason
):
  wanted = rf'process that .* {reason} \(config.data.num_workers=2\)\.'
  with pytest.raises(utterance.CorpusError, match=wanted):
    noise_store.opened(tmp_path, source=source, num_workers=2)
  assert noise_store.names(tmp_path) == ['.lock']


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
        items, noise_store.settings(folder / str(workers), num_workers=workers),
        noise_store.FEATURES, lambda done, total: None)
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
  noise_store.assert_whole(noise_store.opened(tmp_path))


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
