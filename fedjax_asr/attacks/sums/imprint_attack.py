"""What an active server reads out of an update by an imprint.

The server is ACTIVE: it sent parameters of its own choice (`imprint`).

Assumes:
  observed: the updates of the first layer's kernel and bias, of one client or
    summed over many.
  told: the parameters that the server chose, for which it needs public speech;
    of that the deviation, or what was found has to do. The number of
    utterances, without which nothing says that all are there. Neither
    transcript nor length.
  model: a DeepSpeech 1 with an imprint in its first two layers.
  training: one gradient, or steps so small that thresholds hardly move; windows
    that are alone between two thresholds, some in a row.
  noise: rounding, or so little that windows differ by less than
    `max_disagreement` on the frames that they share.
  refused: another model, an honest server, Adam's delta, no update of the
    kernel or the bias, fewer than `min_windows` that agree (noise, codes, many
    windows between two thresholds).
"""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float32, Float64

from fedjax_asr import config
from fedjax_asr.attacks import context_windows, observation
from fedjax_asr.attacks.ds1 import first_layer
from fedjax_asr.attacks.sums import (
  imprint,
  imprinted_windows,
  window_stitching,
)


def reconstruct(
  observed: observation.Observation,
  cfg: config.ImprintConfig,
  key: jax.Array,
  report: Callable[[str], None] | None = None,
) -> observation.Reconstruction:
  """Stretches of utterances, those that are believed, the longest first.

  Each is of windows that agree, number by number, on the frames they share;
  where it lacks a beginning or an end, a frame of zeros is `undetermined`.
  All that was said (`is_whole`) where every stretch has both of its ends and
  they are as many as the utterances that are declared. `key` is not used.

  Raises:
    observation.Refused: another model, an honest server, Adam at the client, no
      update of the first layer, or no windows that agree.
  """
  del key  # Nothing is drawn.
  tell = report or (lambda _: None)
  shape = first_layer.window_shape(observed)
  if observed.server is not config.Server.ACTIVE:
    raise observation.Refused(
      'the server is honest: its parameters hold no imprint.'
    )
  kernel = observation.needed(observed, first_layer.KERNEL)
  bias = observation.needed(observed, first_layer.BIAS)
  found = imprinted_windows.isolated(
    kernel, bias, imprint.of_params(observed.params)
  )
  tell(f'{len(found.values)} windows or mixtures of {kernel.shape[1]} units')
  if not len(found.values):
    raise observation.Refused(
      f'{first_layer.KERNEL}: no unit tells of a window by itself.'
    )
  scale = _scale(observed, found.values, shape)
  stretches = window_stitching.stretches(found.values, shape, scale)
  believed = [
    each
    for each in stretches
    if each.num_windows >= cfg.min_windows
    and each.disagreement <= cfg.max_disagreement
  ]
  if not believed:
    raise observation.Refused(
      f'{first_layer.KERNEL}: of {len(found.values)} quotients no '
      f'{cfg.min_windows} agree as windows that share frames do.'
    )
  count = observed.declared.num_utterances
  return observation.Reconstruction(
    features=tuple(_framed(each) for each in believed),
    certificate={
      'num_isolated': float(len(found.values)),
      'num_joined': float(sum(each.num_windows for each in believed)),
      'num_stretches': float(len(believed)),
      'num_complete': float(
        sum(each.has_start and each.has_end for each in believed)
      ),
      'disagreement': max(each.disagreement for each in believed),
    },
    is_certified=True,
    is_whole=count == len(believed)
    and all(each.has_start and each.has_end for each in believed),
    undetermined=tuple(_missing(each) for each in believed),
    ledger=observation.ledger(
      observed,
      (first_layer.KERNEL, first_layer.BIAS),
      uses_num_utterances=count is not None,
      prior='public speech, by which the parameters were chosen',
    ),
  )


def _framed(
  stretch: window_stitching.Stretch,
) -> Float32[np.ndarray, 'frames features']:
  """With a frame of zeros in place of what is missing in front or behind."""
  absent = (int(not stretch.has_start), int(not stretch.has_end))
  return np.pad(stretch.frames, (absent, (0, 0))).astype(np.float32)


def _missing(
  stretch: window_stitching.Stretch,
) -> tuple[observation.Stretch, ...]:
  """Those frames: there may be any number in their place."""
  length = len(stretch.frames) + (not stretch.has_start)
  missing = []
  if not stretch.has_start:
    missing.append(observation.Stretch(0, 1))
  if not stretch.has_end:
    missing.append(observation.Stretch(length, length + 1))
  return tuple(missing)


def _scale(
  observed: observation.Observation,
  values: Float64[np.ndarray, 'windows taps'],
  shape: context_windows.Shape,
) -> Float64[np.ndarray, ' features']:
  """Deviation of each feature; of what was found where none is declared."""
  if observed.declared.speech is not None:
    deviations = np.asarray(observed.declared.speech.std, np.float64)
  else:
    framed = values.reshape(-1, shape.num_features)
    # Mixtures of opposite signs may be of any size.
    deviations = np.subtract(*np.quantile(framed, (0.75, 0.25), axis=0))
  return np.where(deviations > 0, deviations, 1.0)
