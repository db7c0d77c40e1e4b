"""The size and sign of utterances that the first layer's kernel gives.

Of DeepSpeech 1, the kernel's update has their shape alone. The bias's update
gives the rest. Without it, in this order: where units are active
(`activity_pattern`); layer 2's update, whose kernel goes with the size of what
layer 1 gives it and whose bias does not; and the level of public speech, of
which a certificate says that `scale_is_free`. Withholding the bias is no
defence.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr import config
from fedjax_asr.attacks import context_windows, known_scale, observation
from fedjax_asr.attacks.ds1 import (
  activity_pattern,
  closed_chain,
  first_layer,
  hidden_span,
  span_evidence,
  span_utterances,
)

_NEXT_KERNEL, _NEXT_BIAS = 'dense_1/kernel', 'dense_1/bias'
# Error of a factor up to which the pattern of active units is enough.
_SHARP = 0.03


class Scaled(NamedTuple):
  """Utterances of one update in size and sign.

  is_free: whether the update leaves the size of one of them open.
  bias_cosine: of the first layer's bias and what they make of it; None without.
  layers: parameters whose updates were used.
  prior: what is known of the size that is free, '' where none is or nothing.
  """

  utterances: list[span_utterances.Utterance]
  is_free: bool
  bias_cosine: float | None
  layers: tuple[str, ...]
  prior: str = ''

  def certificate(self) -> dict[str, float]:
    """What there is of it; numbers only."""
    found = {'scale_is_free': float(self.is_free)}
    if self.bias_cosine is not None:
      found['bias_cosine'] = self.bias_cosine
    return found


class _Sized(NamedTuple):
  """An utterance in the size that its factor says."""

  utterance: span_utterances.Utterance
  factor: activity_pattern.Factor

  @property
  def is_blunt(self) -> bool:
    """Whether the factor leaves the size open."""
    return self.factor.error > _SHARP


def scaled(
  observed: observation.Observation,
  cfg: config.SpanConfig,
  candidate: first_layer.Candidate,
  utterances: list[span_utterances.Utterance],
  shape: context_windows.Shape,
) -> Scaled:
  """Utterances of any size as the update has them; see the module."""
  layer = candidate.layer
  if layer.bias is not None:
    return _by_bias(utterances, layer.kernel, layer.bias, shape)
  sized = _by_pattern(observed, candidate, utterances, shape)
  utterances = [each.utterance for each in sized]
  if not any(each.is_blunt for each in sized):
    return Scaled(utterances, False, None, (first_layer.KERNEL,))
  found = _by_next_layer(observed, cfg, layer, sized, shape)
  if found is not None:
    layers = (first_layer.KERNEL, _NEXT_KERNEL, _NEXT_BIAS)
    return Scaled(found, False, None, layers)
  known = known_scale.of_features(observed)
  if known is not None:
    utterances = [
      _of_level(each, known, layer) if each.is_blunt else each.utterance
      for each in sized
    ]
  source = known.source if known is not None else ''
  return Scaled(utterances, True, None, (first_layer.KERNEL,), source)


def _times(
  utterance: span_utterances.Utterance, factor: float
) -> span_utterances.Utterance:
  return utterance._replace(frames=factor * utterance.frames)


def _by_bias(
  utterances: list[span_utterances.Utterance],
  kernel: Float64[np.ndarray, 'taps units'],
  bias: Float64[np.ndarray, ' units'],
  shape: context_windows.Shape,
) -> Scaled:
  """Its update is the sum of what is backpropagated to the windows."""
  signals = span_utterances.signals(utterances, kernel, shape)
  sums = np.stack([each.sum(axis=0) for each in signals], axis=1)
  factors, *_ = np.linalg.lstsq(sums, bias, rcond=None)
  # One that the bias says nothing about stays as it is.
  factors = np.where(factors, factors, 1.0)
  expected = sums @ factors
  norms = np.linalg.norm(expected) * np.linalg.norm(bias)
  cosine = float(expected @ bias / norms) if norms else 0.0
  utterances = [
    _times(utterance, 1 / factor)
    for utterance, factor in zip(utterances, factors, strict=True)
  ]
  layers = (first_layer.KERNEL, first_layer.BIAS)
  return Scaled(utterances, False, cosine, layers)


def _by_pattern(
  observed: observation.Observation,
  candidate: first_layer.Candidate,
  utterances: list[span_utterances.Utterance],
  shape: context_windows.Shape,
) -> list[_Sized]:
  """Each utterance in the size with which most units are as they are seen."""
  parameters = first_layer.parameters(observed, candidate.layer.scale, shape)
  windows = span_utterances.windows(utterances, shape)
  sent = span_evidence.signals(windows, candidate.level, candidate.unit_sizes)
  pattern = activity_pattern.of_signals(
    sent.values,
    sent.spread,
    candidate.unit_sizes,
    has_dropout=observed.model.ds1.dropout > 0,
  )
  parts = [
    span_utterances.split(utterances, each) for each in (windows, *pattern)
  ]
  factors = [
    activity_pattern.factor(
      activity_pattern.Pattern(is_open, is_shut), of_one, parameters
    )
    for of_one, is_open, is_shut in zip(*parts, strict=True)
  ]
  return [
    _Sized(_times(utterance, factor.value), factor)
    for utterance, factor in zip(utterances, factors, strict=True)
  ]


def _by_next_layer(
  observed: observation.Observation,
  cfg: config.SpanConfig,
  layer: first_layer.FirstLayer,
  sized: list[_Sized],
  shape: context_windows.Shape,
) -> list[span_utterances.Utterance] | None:
  """Utterances in the size that layer 2 wants; None where it is not believed.

  Where layer 1 has no biases, and nothing is dropped between the two.
  """
  kernel, bias = (
    observation.evidence(observed, name) for name in (_NEXT_KERNEL, _NEXT_BIAS)
  )
  if kernel is None or bias is None or observed.model.ds1.dropout:
    return None
  span = _hidden_span(observed, layer, shape)
  chains = [
    closed_chain.Chain(utterance.frames, utterance.num_windows, True)
    for utterance, _ in sized
  ]
  found = closed_chain.scaled(span, shape, chains, kernel, bias)
  believed = (
    # There is one, as there is a bias.
    found.bias_cosine is not None
    and found.bias_cosine >= cfg.min_bias_cosine
    and _unexplained(span, shape, chains, kernel) <= cfg.max_unexplained
    and all(
      _is_allowed(each.factor, float(ratio), is_free=free)
      for each, ratio, free in zip(
        sized, found.factors, found.is_free, strict=True
      )
    )
  )
  if not believed:
    return None
  return [
    each.utterance._replace(frames=frames)
    for each, frames in zip(sized, found.utterances, strict=True)
  ]


def _is_allowed(
  factor: activity_pattern.Factor, ratio: float, *, is_free: bool
) -> bool:
  """Whether the pattern of layer 1 agrees with the size by layer 2.

  That is `ratio` times the factor's where layer 1 leaves the size free.
  """
  size = abs(factor.value) * (ratio if is_free else 1.0)
  is_known = is_free or factor.error <= _SHARP
  return is_known and factor.low <= size <= factor.high


def _unexplained(
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  chains: list[closed_chain.Chain],
  kernel: Float64[np.ndarray, 'units outputs'],
) -> float:
  """Share of layer 2's kernel outside of what the chains give."""
  given = [
    closed_chain.hidden(span, shape, each.frames, each.num_windows)
    for each in chains
  ]
  sizes = np.ones(kernel.shape[1])
  return span_evidence.signals(np.concatenate(given), kernel, sizes).unexplained


def _hidden_span(
  observed: observation.Observation,
  layer: first_layer.FirstLayer,
  shape: context_windows.Shape,
) -> hidden_span.HiddenSpan:
  """Layer 1 midway between the steps, of which no direction is asked for."""
  start = first_layer.parameters(observed, layer.scale, shape)
  kernel = start.kernel if start.end is None else (start.kernel + start.end[0])
  return hidden_span.HiddenSpan(
    kernel=kernel if start.end is None else kernel / 2,
    bias=start.bias,
    complement=np.zeros((kernel.shape[1], 0)),
    mean=np.zeros(shape.num_features),
    std=np.ones(shape.num_features),
  )


def _of_level(
  sized: _Sized, known: known_scale.KnownScale, layer: first_layer.FirstLayer
) -> span_utterances.Utterance:
  """In the size that is known, or the next to it that the pattern allows."""
  utterance, factor = sized
  frames = utterance.frames * layer.scale
  wanted = np.linalg.norm(known_scale.scaled(known, frames))
  ratio = wanted / np.linalg.norm(frames)
  size = abs(factor.value)
  allowed = np.clip(ratio * size, factor.low, factor.high)
  return _times(utterance, float(allowed / size))
