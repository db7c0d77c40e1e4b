import os
import subprocess
import sys

import jax
import pytest

from fedjax_asr import backend


@pytest.mark.parametrize('platform', ['cuda', 'nonsense'])
def test_a_platform_that_is_not_there_is_one_line_before_any_work(
  platform, tmp_path
):
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'fedjax_asr.main', '--config=ds2_fedavg:smoke'),
      f'--config.data.cache_dir={tmp_path}/cache',
      f'--workdir={tmp_path}/run',
    ],
    # A machine with a GPU hides it.
    env=os.environ | {'JAX_PLATFORMS': platform, 'CUDA_VISIBLE_DEVICES': ''},
    capture_output=True,
    text=True,
    timeout=60,
  )
  lines = done.stderr.splitlines()
  assert done.returncode == 2
  assert lines[-1].startswith(
    f"error: JAX_PLATFORMS='{platform}': JAX does not"
  )
  assert 'Traceback' not in done.stderr
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('error', [AssertionError(), RuntimeError('a\nb')])
def test_what_keeps_jax_from_starting_is_told(monkeypatch, error):
  def fail():
    raise error

  monkeypatch.setattr(jax, 'devices', fail)
  with pytest.raises(backend.BackendError) as caught:
    backend.start()
  assert '\n' not in str(caught.value)
  assert ('a b' if str(error) else 'no such device') in str(caught.value)
