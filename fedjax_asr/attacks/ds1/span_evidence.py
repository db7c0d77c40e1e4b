"""What an update of DeepSpeech 1's first layer says of supposed utterances.

With C their windows, the kernel's update is C' D. What is left of it outside
of the windows must be noise; D must give the bias's update; and D must vanish
where a unit is not active, which depends on the utterances' size, sign, order
of features and time, and on nothing that the system for them was made of.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from fedjax_asr import config
from fedjax_asr.models import activation

# Of the singular values, this part tells how large noise is.
_LEAST = 8
# By which noise may exceed what is expected of it.
_DEVIATIONS = 10.0
# Part of what is watched from which no more than chance is on an utterance's
# side.
_MOST = 0.1


class Layer(NamedTuple):
  """Parameters of the first layer at the start, and what they became.

  end: start minus delta; None where a gradient is observed.
  """

  kernel: Float64[np.ndarray, 'taps units']
  bias: Float64[np.ndarray, ' units']
  end: tuple[np.ndarray, np.ndarray] | None = None


class Evidence(NamedTuple):
  """Shares of energy, all 0 for the truth without rounding.

  unexplained: of the kernel's update, outside of the windows.
  noise: a part of the same if nothing but noise is left: so much, were all of
    it as small as the least singular values.
  inactive_energy: of what is sent back, to units that are not active.
  expected_inactive: the same, from what is unexplained if that is noise.
  watched: of what would be sent back to units that are not active, were units
    as busy there as elsewhere: little where `inactive_energy` can tell little.
  moved: of the same, to units that are active at the start and not in the end,
    or the other way round.
  """

  unexplained: float
  noise: float
  inactive_energy: float
  expected_inactive: float
  watched: float
  moved: float


class Signals(NamedTuple):
  """What is sent back to windows, as an update of the kernel has it.

  spread: variance of each window's values if what is unexplained is noise, in
    units of `unit_sizes` squared.
  unexplained: share of the update's energy outside of the windows.
  """

  values: Float64[np.ndarray, 'windows units']
  spread: Float64[np.ndarray, ' windows']
  unexplained: float


def gathered(
  windows: Float64[np.ndarray, 'windows taps'],
  update: Float64[np.ndarray, 'taps units'],
  layer: Layer,
  values: Float64[np.ndarray, ' values'],
  unit_sizes: Float64[np.ndarray, ' units'],
  error: float,
) -> Evidence:
  """Of utterances with these windows, in their own size.

  Args:
    update: of the kernel, each unit divided by its `unit_sizes`, in which its
      noise is most alike.
    values: singular values of `update`, in units of their own.
    error: relative, that products and windows may have.
  """
  sent = signals(windows, update, unit_sizes)
  inactive = ~active(windows, layer, error)
  # Where nothing can be sent, nothing is watched, and nothing believed.
  energy = np.sum(sent.values**2) or 1.0
  busy = np.sum(sent.values**2, axis=0)
  expected = sent.spread @ (inactive @ unit_sizes**2)
  return Evidence(
    unexplained=sent.unexplained,
    noise=_noise(values, len(windows)),
    inactive_energy=float(np.sum(sent.values[inactive] ** 2) / energy),
    expected_inactive=float(expected / energy),
    watched=float(np.mean(inactive @ busy) / energy),
    moved=float(np.mean(_moved(windows, layer) @ busy) / energy),
  )


def least_part(
  utterances: Sequence[Float64[np.ndarray, '_ taps']],
  update: Float64[np.ndarray, 'taps units'],
) -> float:
  """How many times more is unexplained without one of several utterances.

  The least over them: near 1 where one is not in the update, whatever its size.
  """

  def unexplained(parts: Sequence[np.ndarray]) -> float:
    basis, _ = np.linalg.qr(np.concatenate(parts).T)
    return np.sum((update - basis @ (basis.T @ update)) ** 2)

  everything = max(unexplained(utterances), np.finfo(np.float64).tiny)
  without = [
    unexplained([*utterances[:index], *utterances[index + 1 :]])
    for index in range(len(utterances))
  ]
  return float(min(without) / everything)


def signals(
  windows: Float64[np.ndarray, 'windows taps'],
  update: Float64[np.ndarray, 'taps units'],
  unit_sizes: Float64[np.ndarray, ' units'],
) -> Signals:
  """By least squares; `update` is as in `gathered`."""
  vectors, sizes, right = np.linalg.svd(windows, full_matrices=False)
  kept = sizes > sizes[0] * np.finfo(np.float64).eps * max(windows.shape)
  vectors, sizes, right = vectors[:, kept], sizes[kept], right[kept]
  inside = right @ update
  total = np.sum(update**2)
  outside = max(total - np.sum(inside**2), 0.0)
  outside = np.sum((update - right.T @ inside) ** 2) if outside else outside
  left = max(len(update) - len(windows), 1) * update.shape[1]
  return Signals(
    values=vectors @ (inside / sizes[:, None]) * unit_sizes,
    spread=outside / left * np.sum((vectors / sizes) ** 2, axis=1),
    unexplained=float(outside / total),
  )


def _moved(
  windows: Float64[np.ndarray, 'windows taps'], layer: Layer
) -> Bool[np.ndarray, 'windows units']:
  end = layer.end or (layer.kernel, layer.bias)
  start, end = (
    windows @ kernel + bias
    for kernel, bias in ((layer.kernel, layer.bias), end)
  )
  return (start > 0) != (end > 0)


def _noise(values: Float64[np.ndarray, ' values'], num_windows: int) -> float:
  """Share of the energy, were all after the windows as the least ones are."""
  least = values[-max(len(values) // _LEAST, 1) :]
  left = max(len(values) - num_windows, 0)
  return float(left * np.mean(least**2) / np.sum(values**2))


def active(
  windows: Float64[np.ndarray, 'windows taps'], layer: Layer, error: float
) -> Bool[np.ndarray, 'windows units']:
  """Where clipped ReLU may pass something back, at some step.

  Several steps of SGD take a unit's input from where it is at the start to
  where it is in the end, and on the way no further beyond either than these
  are apart.
  """
  start = windows @ layer.kernel + layer.bias
  margin = error * np.sqrt(windows**2 @ layer.kernel**2)
  end = start
  if layer.end is not None:
    end = windows @ layer.end[0] + layer.end[1]
  margin += np.abs(end - start)
  low, high = np.minimum(start, end), np.maximum(start, end)
  return (high > -margin) & (low < activation.CLIP + margin)


def most_unexplained(evidence: Evidence, cfg: config.SpanConfig) -> float:
  """Up to which the update holds nothing else: noise, or too little to tell."""
  return max(cfg.max_above_noise * evidence.noise, cfg.max_beside)


def most_inactive(evidence: Evidence, cfg: config.SpanConfig) -> float:
  """Share of `inactive_energy` up to which an utterance is believed.

  A part of what is watched, which what is wrong reaches as often as the rest;
  more where units moved in between, or noise alone would give some; nothing
  where noise would give so much, or so little is watched, that right and wrong
  could not be told apart.
  """
  part = cfg.max_inactive_energy + cfg.max_inactive_of_moved * evidence.moved
  limit = min(part, _MOST) * evidence.watched
  if evidence.expected_inactive > limit or evidence.watched < cfg.min_watched:
    return -1.0
  return limit + _DEVIATIONS * evidence.expected_inactive


def is_believed(evidence: Evidence, cfg: config.SpanConfig) -> bool:
  """Whether the update holds these utterances; not whether it holds more."""
  return bool(
    evidence.unexplained <= cfg.max_unexplained
    and evidence.inactive_energy <= most_inactive(evidence, cfg)
  )
