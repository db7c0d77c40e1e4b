"""All utterances of a client's real rounds, as many as come out.

The idea is that of `seed_and_grow`: windows of speech lie in the span of what
the second layer is given, an utterance's beginning is searched for and grown.
Here every layer that sees one window adds its own equations, and so does every
further round of the same client (`round_spans`); the beginnings are looked for
by many starts, each once (`beginnings`); and each utterance is believed by
itself, so that those which are not found take nothing from the others.

Assumes:
  observed: the update of layer 2's kernel in one round of a client or several,
    gradients or deltas; of what follows it up to the recurrence's inputs, for
    more equations; of layer 2's bias, for the size where all is found.
  told: the parameters that the server sent in each round, the number of local
    steps, the precision of the client's products; neither transcript nor length
    nor number of utterances. Of public speech mean and deviation, where
    declared: the units of starts, and a size that no update tells.
  model: a DeepSpeech 1 of two dense layers or more with clipped ReLUs and
    without dropout, before or after training; a stride no longer than a window.
  training: SGD or momentum. Windows of a first local step are seen with the
    parameters that were sent, exactly; those of a later one with parameters on
    the way to the end: a straight way is taken, and what is found on it is not
    certified. Of several rounds, what all hold is looked for. Layer 2 has
    inputs to spare: `min_equations` for each unknown of a next frame.
  noise: rounding alone, of the precision that is told.
  refused: another model, one dense layer, dropout, a long stride, Adam's delta,
    no update of layer 2's kernel in one of the rounds, a spectrum without a
    drop, too many windows, or no start that becomes a chain.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from fedjax_asr import config
from fedjax_asr.attacks import (
  context_windows,
  observation,
  precision,
  subspace,
  undetermined,
)
from fedjax_asr.attacks.ds1 import (
  beginnings,
  chain_growth,
  closed_chain,
  first_layer,
  hidden_span,
  round_spans,
  seed_and_grow,
  span_evidence,
  window_chain,
)

_BIAS = 'dense_1/bias'
_LIMITS = config.SpanConfig()
# Rows of known beginnings: a compiled program serves any number up to it.
_MOST_KNOWN = 64
# Of each round its update, and what the layers of that span.
_Rounds = list[tuple[observation.Observation, list[round_spans.LayerSpan]]]


class Utterance(NamedTuple):
  """One that was found.

  residual: of its worst window, over layers and rounds.
  is_certified: whether all windows close from zeros to zeros, seen with the
    parameters that were sent.
  """

  chain: closed_chain.Chain
  residual: float
  is_certified: bool


class _Search(NamedTuple):
  """What a search for utterances does not change."""

  span: hidden_span.HiddenSpan
  shape: context_windows.Shape
  rank: int
  cfg: config.ClientRoundsConfig
  tell: Callable[[str], None]


def reconstruct(
  observed: observation.Observation,
  cfg: config.ClientRoundsConfig,
  key: jax.Array,
  report: Callable[[str], None] | None = None,
) -> observation.Reconstruction:
  """Those utterances that all of the client's updates hold; see the module.

  What is returned is what is certified, utterance by utterance, or the longest
  beginning where nothing is. Whole, where it is as many windows as the rank of
  the second layer's update and the update is explained.

  Raises:
    observation.Refused: another model, Adam at the client, dropout behind
      layer 1, no update of layer 2's kernel or too many windows for it in any
      round, or no beginning that closes.
  """
  tell = report or (lambda _: None)
  rounding = precision.residual(observed.precision)
  cfg = dataclasses.replace(cfg, max_residual=max(cfg.max_residual, rounding))
  shape = _checked_shape(observed)
  rounds = [
    (each, round_spans.of_update(each, cfg.num_layers))
    for each in (observed, *observed.others)
  ]
  rank = rounds[0][1][0].space.rank
  with observation.having_seen(
    rounds[0][1][0].space.spectrum(round_spans.FIRST)
  ):
    found = _over_steps(observed, rounds, shape, rank, cfg, key, tell)
  return _result(observed, cfg, rounds, shape, found)


def _checked_shape(observed: observation.Observation) -> context_windows.Shape:
  shape = first_layer.window_shape(observed)
  ds1 = observed.model.ds1
  if len(ds1.dense_sizes) < 2:
    raise observation.Refused('one dense layer: want a second one behind it.')
  if ds1.dropout:
    raise observation.Refused(
      f'dropout {ds1.dropout}: it masks what layer 1 gives to layer 2.'
    )
  if ds1.time_stride > shape.width:
    raise observation.Refused(
      f'time stride {ds1.time_stride}: windows of {shape.width} frames do not '
      'meet.'
    )
  return shape


def _over_steps(
  observed: observation.Observation,
  rounds: _Rounds,
  shape: context_windows.Shape,
  rank: int,
  cfg: config.ClientRoundsConfig,
  key: jax.Array,
  tell: Callable[[str], None],
) -> list[Utterance]:
  """Utterances seen with the parameters that were sent, then on the way."""
  steps = observed.num_steps
  if observed.observed is config.Observed.GRADIENT:
    steps = 1
  found: list[Utterance] = []
  for step in range(steps):
    span = round_spans.joint(rounds, shape, share=step / steps)
    limit = cfg.max_residual if not step else cfg.max_drift
    search = _Search(
      span, shape, rank, dataclasses.replace(cfg, max_residual=limit), tell
    )
    _check_equations(search)
    if steps > 1:
      tell(f'local step {step + 1} of {steps}')
    found = _both_ways(search, found, jax.random.fold_in(key, step), not step)
    if _num_windows(found) == rank:
      break
  if not found:
    raise observation.Refused(
      f'{round_spans.FIRST}: none of {cfg.num_starts} starts becomes a chain.'
    )
  return found


def _check_equations(search: _Search) -> None:
  unknowns = search.shape.stride * search.shape.num_features
  equations = hidden_span.num_equations_of(search.span)
  if equations < search.cfg.min_equations * unknowns:
    raise observation.Refused(
      f'{round_spans.FIRST}: {search.rank} windows leave {equations} equations '
      f'for each next window; want {search.cfg.min_equations} for each of '
      f'{unknowns} unknowns.'
    )


def _num_windows(found: list[Utterance]) -> int:
  return sum(each.chain.num_windows for each in found if each.chain.is_whole)


def _both_ways(
  search: _Search, found: list[Utterance], key: jax.Array, is_exact: bool
) -> list[Utterance]:
  """From the beginnings; then from the ends, if any utterance is missing."""
  front, back = jax.random.split(key)
  found = _searched(search, found, front, is_exact)
  # The end of an utterance lies at a window's centre only without a stride.
  if _num_windows(found) == search.rank or search.shape.stride != 1:
    return found
  search.tell('backwards')
  mirrored = search._replace(span=hidden_span.mirrored(search.span))
  found = [_mirrored(each) for each in found]
  return [
    _mirrored(each) for each in _searched(mirrored, found, back, is_exact)
  ]


def _mirrored(utterance: Utterance) -> Utterance:
  chain = utterance.chain
  return utterance._replace(chain=chain._replace(frames=chain.frames[::-1]))


def _searched(
  search: _Search, found: list[Utterance], key: jax.Array, is_exact: bool
) -> list[Utterance]:
  """The utterances, and those that further starts lead to."""
  span, shape, rank, cfg, tell = search
  found = list(found)
  single = hidden_span.cast(span)
  count = seed_and_grow.num_seed_windows(
    hidden_span.num_equations_of(span), rank, shape
  )
  num_frames = window_chain.num_seed_frames(shape, count)
  known = [
    beginnings.direction(single, _first(each.chain.frames, num_frames))
    for each in found
  ]
  for first in range(0, cfg.num_starts, cfg.num_parallel):
    keys = jax.random.split(jax.random.fold_in(key, first), cfg.num_parallel)
    points, costs = beginnings.fitted(
      single,
      shape,
      count,
      beginnings.starts(keys, num_frames, shape.num_features),
      _rows(known, num_frames * shape.num_features),
      cfg.num_iterations,
    )
    costs = np.asarray(costs)
    tell(
      f'starts {first + 1}-{first + len(keys)}: '
      f'{int((costs <= cfg.max_residual).sum())} close, '
      f'least residual {costs.min():.1e}'
    )
    for index in np.argsort(costs):
      if not costs[index] <= cfg.max_residual:
        break
      seed = hidden_span.to_frames(single, points[index])
      towards = beginnings.direction(single, np.asarray(seed))
      if any(1 - (towards @ each) ** 2 < beginnings.SAME for each in known):
        continue
      known.append(towards)
      utterance = _grown(search, single, seed, count, keys[index], is_exact)
      found.append(utterance)
      tell(
        f'{utterance.chain.num_windows} windows, '
        f'{"whole" if utterance.chain.is_whole else "no end"}, residual '
        f'{utterance.residual:.1e}; {_num_windows(found)} of {rank} windows'
      )
      if _num_windows(found) == rank:
        return found
  return found


def _first(
  frames: Float[np.ndarray, '_ features'], count: int
) -> Float[np.ndarray, '{count} features']:
  """The first frames; zeros where there are fewer."""
  taken = frames[:count]
  return np.pad(taken, ((0, count - len(taken)), (0, 0)))


def _rows(known: list[np.ndarray], size: int) -> Float[Array, 'known {size}']:
  rows = np.zeros((_MOST_KNOWN, size), np.float32)
  last = known[-_MOST_KNOWN:]
  rows[: len(last)] = np.array(last).reshape(len(last), size)
  return jnp.asarray(rows)


def _grown(
  search: _Search,
  single: hidden_span.HiddenSpan,
  seed: Float[Array, 'frames features'],
  count: int,
  key: jax.Array,
  is_exact: bool,
) -> Utterance:
  """The utterance that begins so, in float64 where it is judged."""
  span, shape, rank, cfg, _ = search
  looked_for = chain_growth.Search(single, shape, cfg, lambda _: None)
  chain = chain_growth.grown(looked_for, seed, count, rank, key)
  residual = float(
    round_spans.residuals(span, shape, chain.frames, chain.num_windows).max()
  )
  return Utterance(
    chain,
    residual,
    bool(is_exact and chain.is_whole and residual <= cfg.max_residual),
  )


def _result(
  observed: observation.Observation,
  cfg: config.ClientRoundsConfig,
  rounds: _Rounds,
  shape: context_windows.Shape,
  found: list[Utterance],
) -> observation.Reconstruction:
  """What is certified, in the size that is known; or the longest."""
  believed = [each for each in found if each.is_certified]
  shown = believed or [max(found, key=lambda each: each.chain.num_windows)]
  space = rounds[0][1][0].space
  total = sum(each.chain.num_windows for each in believed)
  is_all = bool(believed) and total == space.rank
  alone = round_spans.joint(rounds[:1], shape)._replace(deeper=())
  kernel = observation.needed(observed, round_spans.FIRST)
  chains = [each.chain for each in shown]
  # Of a part, the bias's update says nothing.
  bias = observation.evidence(observed, _BIAS) if is_all else None
  scaled = closed_chain.scaled(alone, shape, chains, kernel, bias)
  features, source = closed_chain.of_known_size(observed, scaled)
  is_free = bias is None and any(scaled.is_free)
  unclear = tuple(undetermined.stretches(each, shape) for each in features)
  certificate = {
    'rank': float(space.rank),
    'spectrum_gap': space.gap,
    'num_windows': float(total),
    'num_utterances': float(len(believed)),
    'num_rounds': float(len(rounds)),
    'num_layers': float(len(rounds[0][1])),
    'worst_residual': max(each.residual for each in shown),
    'scale_is_free': float(is_free),
  }
  is_certified, explains = bool(believed), False
  if is_all:
    evidence = _evidence(
      observed, alone, shape, chains, scaled.utterances, kernel, space
    )
    certificate |= evidence._asdict()
    if scaled.bias_cosine is not None:
      certificate['bias_cosine'] = scaled.bias_cosine
    is_certified = span_evidence.is_believed(evidence, _LIMITS)
    explains = evidence.unexplained <= span_evidence.most_unexplained(
      evidence, _LIMITS
    )
  speech = 'public speech statistics' if observed.declared.speech else ''
  names = [layer.name for layer in rounds[0][1]]
  return observation.Reconstruction(
    features=tuple(frames.astype(np.float32) for frames in features),
    certificate=certificate,
    is_certified=is_certified,
    is_whole=bool(
      is_certified and is_all and explains and not is_free and not any(unclear)
    ),
    undetermined=unclear,
    ledger=observation.ledger(
      observed,
      tuple(names if bias is None else [*names, _BIAS]),
      prior='; '.join(name for name in (speech, source) if name),
    ),
    spectra=tuple(layer.space.spectrum(layer.name) for layer in rounds[0][1]),
  )


def _evidence(
  observed: observation.Observation,
  span: hidden_span.HiddenSpan,
  shape: context_windows.Shape,
  chains: list[closed_chain.Chain],
  utterances: list[np.ndarray],
  kernel: Float64[np.ndarray, 'units outputs'],
  space: subspace.Subspace,
) -> span_evidence.Evidence:
  """Of layer 2, whose inputs are what layer 1 gives."""
  hidden: Float64[np.ndarray, 'windows units'] = np.concatenate(
    [
      closed_chain.hidden(span, shape, frames, chain.num_windows)
      for frames, chain in zip(utterances, chains, strict=True)
    ]
  )
  worst = max(
    float(closed_chain.residuals(span, shape, frames, chain.num_windows).max())
    for frames, chain in zip(utterances, chains, strict=True)
  )
  sizes = np.linalg.norm(kernel, axis=0)
  second = observed.params['dense_1']
  return span_evidence.gathered(
    hidden,
    kernel / np.where(sizes > 0, sizes, 1.0),
    span_evidence.Layer(
      np.asarray(second['kernel'], np.float64),
      np.asarray(second['bias'], np.float64),
    ),
    space.singular_values,
    sizes,
    precision.product_error(observed.precision) + np.sqrt(worst),
  )
