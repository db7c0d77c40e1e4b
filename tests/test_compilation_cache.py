import os
import pathlib
import subprocess
import sys

_PROGRAM = """
import sys
import jax
from fedjax_asr import compilation_cache
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
compilation_cache.enable(sys.argv[1])
jax.jit(lambda x: x @ x + 3)(jax.numpy.ones((7, 7))).block_until_ready()
print(jax.config.jax_compilation_cache_dir)
"""


def _run(folder, **environment):
  done = subprocess.run(
    [sys.executable, '-c', _PROGRAM, str(folder)],
    capture_output=True,
    text=True,
    timeout=120,
    check=True,
    env=os.environ | environment,
  )
  return pathlib.Path(done.stdout.split()[-1])


def test_programs_are_kept_beside_the_features_and_found_again(tmp_path):
  path = _run(tmp_path)
  assert path == tmp_path / 'xla'
  kept = {each.name for each in path.glob('*-cache')}
  assert kept
  assert _run(tmp_path) == path
  assert {each.name for each in path.glob('*-cache')} == kept


def test_a_directory_that_jax_was_told_stays(tmp_path):
  told = tmp_path / 'told'
  assert _run(tmp_path, JAX_COMPILATION_CACHE_DIR=str(told)) == told
  assert not (tmp_path / 'xla').exists()
