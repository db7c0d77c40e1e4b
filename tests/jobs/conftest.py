import contextlib
import os
import shutil

import jax
import pytest
import tiny_run
from jax.experimental.compilation_cache import compilation_cache


@pytest.fixture(scope='session')
def cache(tmp_path_factory):
  """A compilation cache: the tiny round is compiled once for many runs."""
  return str(tmp_path_factory.mktemp('jax_cache'))


@pytest.fixture(scope='session')
def environment(cache):
  """Of a process that uses the cache and logs what it compiles.

  It has as many devices as this one: JAX keeps what it compiled by them, and
  would find nothing of the other's.
  """
  return os.environ | {
    'JAX_NUM_CPU_DEVICES': str(jax.config.values['jax_num_cpu_devices']),
    'JAX_COMPILATION_CACHE_DIR': cache,
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
    'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '-1',
    'JAX_LOG_COMPILES': '1',
  }


@contextlib.contextmanager
def _compiling_to(cache):
  settings = {
    'jax_compilation_cache_dir': cache,
    'jax_persistent_cache_min_compile_time_secs': 0,
    'jax_persistent_cache_min_entry_size_bytes': -1,
  }
  before = {name: getattr(jax.config, name) for name in settings}
  for name, value in settings.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()
  yield
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()


@pytest.fixture
def cached(cache):
  """Lets runs in this process use the cache."""
  with _compiling_to(cache):
    yield


@pytest.fixture(scope='module')
def cached_throughout(cache):
  """Lets a whole module use the cache."""
  with _compiling_to(cache):
    yield


@pytest.fixture(autouse=True)
def few_figures(monkeypatch):
  """Runs in this process draw one figure in the end: all take seconds.

  A module that wants all has a fixture of this name that does nothing.
  """
  from fedjax_asr.figures import gallery, training

  monkeypatch.setattr(gallery, 'FIGURES', {'training_progress': training.draw})


@pytest.fixture(scope='session')
def folder(tmp_path_factory):
  """With a corpus, its manifest and the cache of its features."""
  path = tmp_path_factory.mktemp('tiny')
  tiny_run.write_corpus(path)
  return path


@pytest.fixture(scope='session')
def source(folder):
  return tiny_run.write_config(folder / 'tiny.py')


@pytest.fixture(scope='session')
def finished(source, folder, environment):
  """The directory of a run that was never interrupted, and its output."""
  path = folder / 'finished'
  done = tiny_run.start(source, f'--workdir={path}', **environment)
  assert done.returncode == 0, done.stderr
  return path, done


@pytest.fixture(scope='session')
def remembered(source, folder, environment):
  """A run whose clients keep a model each, on disk; never interrupted."""
  path = folder / 'remembered'
  done = tiny_run.start(
    source,
    f'--workdir={path}',
    '--config.federated.algorithm=ditto',
    '--config.federated.memory.where=disk',
    **environment,
  )
  assert done.returncode == 0, done.stderr
  return path


@pytest.fixture
def main(cached, source, capsys):
  """`main(workdir, *flags)`: status, standard output, lines of errors."""
  from fedjax_asr import main as main_module

  def run(workdir, *flags):
    capsys.readouterr()
    arguments = ['fedjax_asr', source, f'--workdir={workdir}', *flags]
    status = main_module.main(arguments)
    output, errors = capsys.readouterr()
    return status, output, errors.splitlines()

  return run


@pytest.fixture
def copied(finished, tmp_path):
  return shutil.copytree(finished[0], tmp_path / 'copied')


@pytest.fixture
def stopped(copied):
  """A run with two rounds to go."""
  shutil.rmtree(copied / 'checkpoints' / '6')
  return copied
