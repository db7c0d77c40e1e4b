import time

import jax
import numpy as np

from fedjax_asr.jobs import time_split


def test_parts_are_added_and_told_once():
  split = time_split.TimeSplit()
  for seconds in (0.02, 0.03):
    with split.of('computing'):
      time.sleep(seconds)
  with split.of('waiting'):
    pass
  found = split.taken()
  assert list(found) == ['waiting_seconds', 'computing_seconds']
  assert 0.05 <= found['computing_seconds'] < 1
  assert split.taken() == {}


def test_what_fails_has_taken_its_time():
  split = time_split.TimeSplit()
  try:
    with split.of('checkpoint'):
      raise OSError
  except OSError:
    pass
  assert 'checkpoint_seconds' in split.taken()


def test_memory_is_that_of_this_process():
  before = time_split.memory(jax.local_devices())['memory/host_peak_gb']
  assert 0.05 < before < 100
  held = np.ones(40_000_000)
  after = time_split.memory(jax.local_devices())['memory/host_peak_gb']
  assert after >= before
  assert after > held.nbytes / 1e9
