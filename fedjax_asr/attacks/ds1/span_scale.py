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
    return _by_bias(utterances, layer, shape)
  factors = _by_pattern(observed, candidate, utterances, shape)
  utterances = [
    _times(utterance, factor.value)
    for utterance, factor in zip(utterances, factors, strict=True)
  ]
  is_blunt = [factor.error > _SHARP for factor in factors]
  if not any(is_blunt):
    return Scaled(utterances, False, None, (first_layer.KERNEL,))
  found = _by_next_layer(observed, cfg, layer, utterances, factors, shape)
  if found is not None:
    layers = (first_layer.KERNEL, _NEXT_KERNEL, _NEXT_BIAS)
    return Scaled(found, False, None, layers)
  known = known_scale.of_features(observed)
  if known is not None:
    utterances = [
      _of_level(utterance, known, layer, factor) if blunt else utterance
      for utterance, factor, blunt in zip(
        utterances, factors, is_blunt, strict=True
      )
    ]
  source = known.source if known is not None else ''
  return Scaled(utterances, True, None, (first_layer.KERNEL,), source)


def _times(utterance, factor):
  return utterance._replace(frames=factor * utterance.frames)


def _by_bias(utterances, layer, shape) -> Scaled:
  """Its update is the sum of what is backpropagated to the windows."""
  signals = span_utterances.signals(utterances, layer.kernel, shape)
  sums = np.stack([each.sum(axis=0) for each in signals], axis=1)
  factors, *_ = np.linalg.lstsq(sums, layer.bias, rcond=None)
  # One that the bias says nothing about stays as it is.
  factors = np.where(factors, factors, 1.0)
  expected = sums @ factors
  norms = np.linalg.norm(expected) * np.linalg.norm(layer.bias)
  cosine = float(expected @ layer.bias / norms) if norms else 0.0
  utterances = [
    _times(utterance, 1 / factor)
    for utterance, factor in zip(utterances, factors, strict=True)
  ]
  layers = (first_layer.KERNEL, first_layer.BIAS)
  return Scaled(utterances, False, cosine, layers)


def _by_pattern(observed, candidate, utterances, shape):
  """A factor of each utterance."""
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
  return [
    activity_pattern.factor(
      activity_pattern.Pattern(is_open, is_shut), of_one, parameters
    )
    for of_one, is_open, is_shut in zip(*parts, strict=True)
  ]


def _by_next_layer(observed, cfg, layer, utterances, factors, shape):
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
    closed_chain.Chain(each.frames, each.num_windows, True)
    for each in utterances
  ]
  found = closed_chain.scaled(span, shape, chains, kernel, bias)
  sizes = [
    abs(factor.value) * (ratio if free else 1.0)
    for factor, ratio, free in zip(
      factors, found.factors, found.is_free, strict=True
    )
  ]
  believed = (
    found.bias_cosine >= cfg.min_bias_cosine
    and _unexplained(span, shape, chains, kernel) <= cfg.max_unexplained
    and all(
      free or factor.error <= _SHARP
      for free, factor in zip(found.is_free, factors, strict=True)
    )
    and all(
      factor.low <= size <= factor.high
      for size, factor in zip(sizes, factors, strict=True)
    )
  )
  if not believed:
    return None
  return [
    utterance._replace(frames=frames)
    for utterance, frames in zip(utterances, found.utterances, strict=True)
  ]


def _unexplained(span, shape, chains, kernel):
  """Share of layer 2's kernel outside of what the chains give."""
  given = [
    closed_chain.hidden(span, shape, each.frames, each.num_windows)
    for each in chains
  ]
  sizes = np.ones(kernel.shape[1])
  return span_evidence.signals(np.concatenate(given), kernel, sizes).unexplained


def _hidden_span(observed, layer, shape):
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


def _of_level(utterance, known, layer, factor):
  """In the size that is known, or the next to it that the pattern allows."""
  frames = utterance.frames * layer.scale
  wanted = np.linalg.norm(known_scale.scaled(known, frames))
  ratio = wanted / np.linalg.norm(frames)
  size = abs(factor.value)
  allowed = np.clip(ratio * size, factor.low, factor.high)
  return _times(utterance, allowed / size)
