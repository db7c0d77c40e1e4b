"""What all tests share: four host devices, one thread for NumPy's matrices,
and programs that are compiled once.
"""

import os

import jax
import pytest
import threadpoolctl
from jax.experimental.compilation_cache import compilation_cache

# Before anything starts the backend, whichever tests are run: the client axis
# is tested on 1, 2 and 4 of them.
jax.config.update('jax_num_cpu_devices', 4)

# BLAS's threads wait by spinning: beside those of another worker, linear
# algebra takes several times as long. NumPy is loaded; SciPy, the workers and
# processes that tests start go by the environment.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
threadpoolctl.threadpool_limits(1, user_api='blas')


@pytest.fixture(autouse=True, scope='session')
def _compiled_once(tmp_path_factory):
  """A compilation cache of this process and session alone.

  Two tests of one program do not compile it twice; how it is compiled stays
  as it is. Workers do not share it: JAX writes an entry while others read it,
  and warns of half of one; few programs are compiled on both.
  """
  programs = tmp_path_factory.getbasetemp() / 'programs'
  jax.config.update('jax_compilation_cache_dir', str(programs))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
  # JAX asks once whether there is a cache, and modules compile when imported.
  compilation_cache.reset_cache()


@pytest.fixture
def without_formats(monkeypatch):
  """As if the extra `formats` were not installed."""
  monkeypatch.setattr('fedjax_asr.speech.formats.has_decoder', lambda: False)
