"""Where the time of a run goes, round by round."""

import contextlib
import resource
import sys
import time
from collections.abc import Iterator, Sequence

from fedjax_asr.federated import devices

# Of `metrics.jsonl`: seconds of each part, `<part>_seconds`.
PARTS = ('waiting', 'computing', 'evaluation', 'checkpoint')


class TimeSplit:
  """Seconds of the parts of a round, of those that it has.

  waiting: for the cohort, where its assembly and transfer take longer than the
  round before; computing: what clients keep included; evaluation; checkpoint:
  of the round before, whose line was written by then.
  """

  def __init__(self) -> None:
    self._seconds: dict[str, float] = {}

  @contextlib.contextmanager
  def of(self, part: str) -> Iterator[None]:
    """Adds what happens inside to a part."""
    started = time.perf_counter()
    try:
      yield
    finally:
      spent = time.perf_counter() - started
      self._seconds[part] = self._seconds.get(part, 0.0) + spent

  def taken(self) -> dict[str, float]:
    """Metrics of what was added since this was last called."""
    found = {
      f'{part}_seconds': self._seconds[part]
      for part in PARTS
      if part in self._seconds
    }
    self._seconds = {}
    return found


def memory(device_list: Sequence[devices.Device]) -> dict[str, float]:
  """Peaks so far, in GB: of this process, and of the fullest device."""
  # Kilobytes, but on macOS bytes.
  unit = 1 if sys.platform == 'darwin' else 1024
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
  found = {'memory/host_peak_gb': peak / 1e9}
  stats = [device.memory_stats() or {} for device in device_list]
  peaks = [each['peak_bytes_in_use'] for each in stats if each]
  if peaks:
    found['memory/device_peak_gb'] = max(peaks) / 1e9
  return found
