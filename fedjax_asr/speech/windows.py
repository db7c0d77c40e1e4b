"""Overlapping windows of a recording that may be longer than memory.

A model that reads a whole utterance, as a bidirectional recurrence does, is
given a window at a time. Of each window the middle is kept and the overlaps
with its neighbours are cut in half, so that every kept frame has been seen
with speech on both sides. Windows start at multiples of the model's time
stride: kept frames are those that the model would have on the recording whole,
at the same moments.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from fedjax_asr import config
from fedjax_asr.speech import features


class Layout(NamedTuple):
  """Sizes of windows: outputs are frames of the model's output."""

  num_outputs: int
  # Outputs from one window's start to the next.
  step: int
  # Feature frames to an output.
  stride: int
  # Samples to an output.
  output_samples: int
  # Samples in a window.
  num_samples: int


class Window(NamedTuple):
  """A stretch of a recording, and what is kept of its outputs.

  `start` is the output of the recording at which it starts; `keep` and `until`
  are outputs of the window.
  """

  waveform: Float32[np.ndarray, ' samples']
  start: int
  keep: int
  until: int


def layout(
  seconds: float,
  overlap_seconds: float,
  stride: int,
  cfg: config.FeaturesConfig,
) -> Layout:
  """Of windows of about so many seconds, three outputs or more.

  `stride` is the model's: its feature frames to an output.
  """
  output_samples = stride * features.hop_length(cfg)
  per_second = cfg.sample_rate / output_samples
  num_outputs = max(3, round(seconds * per_second))
  overlap = round(overlap_seconds * per_second)
  num_frames = num_outputs * stride
  window = features.window_length(cfg)
  return Layout(
    num_outputs=num_outputs,
    step=max(1, num_outputs - overlap),
    stride=stride,
    output_samples=output_samples,
    num_samples=(num_frames - 1) * features.hop_length(cfg) + window,
  )


def cut(
  blocks: Iterable[Float32[np.ndarray, '_']], sizes: Layout
) -> Iterator[Window]:
  """Windows that keep each output of a recording once, in order.

  The last one starts earlier than a step after the one before it, where it
  must to be as long; only a recording that fits in a window has a shorter one.
  Holds two windows and a block in memory.
  """
  waiting, start, keep = np.zeros(0, np.float32), 0, 0
  step_samples = sizes.step * sizes.output_samples
  for block in blocks:
    waiting = np.concatenate([waiting, block])
    while len(waiting) > sizes.num_samples + step_samples:
      until = (sizes.step + sizes.num_outputs) // 2
      yield Window(waiting[: sizes.num_samples], start, keep, until)
      waiting = waiting[step_samples:]
      start, keep = start + sizes.step, until - sizes.step
  beyond = len(waiting) - sizes.num_samples
  if beyond > 0:
    step = -(-beyond // sizes.output_samples)
    until = (step + sizes.num_outputs) // 2
    yield Window(waiting[: sizes.num_samples], start, keep, until)
    waiting = waiting[step * sizes.output_samples :]
    start, keep = start + step, until - step
  yield Window(waiting, start, keep, sizes.num_outputs)
