"""What `examples.h5` of a run has of its best, median and worst utterance."""

from typing import Any, NamedTuple

import h5py
import numpy as np
from jaxtyping import Float32

from fedjax_asr import run_files
from fedjax_asr.figures import drawn_run


class Heard(NamedTuple):
  """One utterance, and what the model made of it.

  waveform: None where the corpus has features alone.
  sample_rate: of it, in Hz; 0 without one.
  frame_seconds, output_seconds: from one frame, or output, to the next.
  """

  waveform: Float32[np.ndarray, ' samples'] | None
  sample_rate: int
  features: Float32[np.ndarray, 'frames features']
  frame_seconds: float
  log_posteriors: Float32[np.ndarray, 'outputs vocab']
  output_seconds: float

  @property
  def seconds(self) -> float:
    """Of all of it."""
    ends = [
      len(self.features) * self.frame_seconds,
      len(self.log_posteriors) * self.output_seconds,
    ]
    if self.waveform is not None:
      ends.append(len(self.waveform) / self.sample_rate)
    return max(*ends, 1e-3)


def read(files: run_files.RunFiles, role: str) -> Heard:
  """Raises `drawn_run.Missing` where the file is missing or damaged."""
  try:
    with h5py.File(files.example_arrays, locking='best-effort') as file:
      group: Any = file[role]
      waveform, sample_rate = None, 0
      if 'waveform' in group:
        waveform = group['waveform'][()]
        sample_rate = int(group['waveform'].attrs['sample_rate'])
      frames, outputs = group['features'], group['log_posteriors']
      return Heard(
        waveform=waveform,
        sample_rate=sample_rate,
        features=frames[()],
        frame_seconds=float(frames.attrs['seconds']),
        log_posteriors=outputs[()],
        output_seconds=float(outputs.attrs['seconds']),
      )
  except (OSError, KeyError) as error:
    raise drawn_run.Missing(
      f'{files.examples.name}/{files.example_arrays.name}: {error}'
    ) from error
