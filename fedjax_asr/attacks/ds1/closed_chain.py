"""Utterances of which all windows close: their ends, sizes and residuals."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr.attacks import context_windows, known_scale, observation
from fedjax_asr.attacks.ds1 import hidden_span
from fedjax_asr.models import activation

# Of the deviation: frames under this are the zeros after the end.
_ZERO = 1e-2


class Chain(NamedTuple):
  """An utterance, or its beginning.

  num_windows: that close.
  is_whole: whether it ends in the zeros that follow an utterance.
  """

  frames: Float64[np.ndarray, 'frames features']
  num_windows: int
  is_whole: bool


class Scaled(NamedTuple):
  """Utterances in their own size.

  factors: how much larger each is than its chain, as layer 2's bias has it;
    ones without it.
  is_free: whether they close in any size.
  bias_cosine: of that bias and what the chains make of it; None without.
  """

  utterances: list[np.ndarray]
  factors: Float64[np.ndarray, ' utterances']
  is_free: list[bool]
  bias_cosine: float | None


def without_padding(
  frames: Float64[np.ndarray, 'frames features'],
  num_windows: int,
  shape: context_windows.Shape,
  std: Float64[np.ndarray, ' features'],
) -> Chain:
  """The chain without the zeros that its last windows see after the end."""
  sizes = np.sqrt(np.mean((frames / std) ** 2, axis=1))
  limit = _ZERO * np.median(sizes)
  last = int(np.flatnonzero(sizes > limit).max(initial=0))
  # The centre of the last window is a frame, those after it need not be.
  least = (num_windows - 1) * shape.stride
  is_whole = last < least + shape.stride
  return Chain(
    frames=frames[: max(last, least) + 1] if is_whole else frames,
    num_windows=num_windows,
    is_whole=is_whole,
  )


def residuals(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  frames: Float64[np.ndarray, 'frames features'],
  num_windows: int,
) -> Float64[np.ndarray, ' windows']:
  """Of each window, in float64: what the certificate rests on."""
  values = hidden(span, shape, frames, num_windows)
  outside = np.linalg.norm(values @ span.complement, axis=1)
  return (outside / np.linalg.norm(values, axis=1)) ** 2


def hidden(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  frames: Float64[np.ndarray, 'frames features'],
  num_windows: int,
) -> Float64[np.ndarray, 'windows units']:
  """What layer 1 gives to layer 2."""
  windows = context_windows.windows(frames, shape, num_windows)
  return np.clip(windows @ span.kernel + span.bias, 0, activation.CLIP)


def scaled(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  chains: list[Chain],
  kernel: Float64[np.ndarray, 'units outputs'],
  bias: Float64[np.ndarray, ' outputs'] | None,
) -> Scaled:
  """Each utterance in its own size.

  Without biases in layer 1 and below the clip, an utterance of any size closes;
  its size is then what explains the bias of layer 2, and without that it stays
  as it is. Otherwise factors are 1 if all is right, and change nothing.
  """
  values = [
    hidden(span, shape, chain.frames, chain.num_windows) for chain in chains
  ]
  is_free = [
    bool(not span.bias.any() and each.max() < activation.CLIP)
    for each in values
  ]
  factors, cosine = np.ones(len(chains)), None
  if bias is not None:
    factors, cosine = _by_bias(values, kernel, bias)
  utterances = [
    chain.frames * (factor if free else 1.0)
    for chain, factor, free in zip(chains, factors, is_free, strict=True)
  ]
  return Scaled(utterances, factors, is_free, cosine)


def _by_bias(
  values: list[np.ndarray],
  kernel: Float64[np.ndarray, 'units outputs'],
  bias: Float64[np.ndarray, ' outputs'],
) -> tuple[Float64[np.ndarray, ' utterances'], float]:
  """(factors, cosine of the bias) from what layer 1 gives of each chain."""
  owner = np.repeat(np.arange(len(values)), [len(each) for each in values])
  is_of = (owner[:, None] == np.arange(len(values))).astype(float)
  combined, *_ = np.linalg.lstsq(np.concatenate(values), is_of, rcond=None)
  sums = kernel.T @ combined
  inverse, *_ = np.linalg.lstsq(sums, bias, rcond=None)
  explained = sums @ inverse
  norms = np.linalg.norm(explained) * np.linalg.norm(bias)
  cosine = float(explained @ bias / norms) if norms else 0.0
  return 1 / np.where(inverse > 0, inverse, 1.0), cosine


def of_known_size(
  observed: observation.Observation, scaled: Scaled
) -> tuple[list[np.ndarray], str]:
  """Utterances, and where the size is from of those that have none."""
  known = known_scale.of_features(observed)
  is_open = scaled.bias_cosine is None and any(scaled.is_free)
  if known is None or not is_open:
    return scaled.utterances, ''
  utterances = [
    known_scale.scaled(known, each) if free else each
    for each, free in zip(scaled.utterances, scaled.is_free, strict=True)
  ]
  return utterances, known.source
