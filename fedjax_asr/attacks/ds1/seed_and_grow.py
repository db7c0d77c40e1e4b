"""DeepSpeech 1 through its second layer: exact beyond the first's capacity.

The kernel's gradient of layer 2 has one dimension for each window, up to the
layer's width, where layer 1's has at most one for each of its inputs. What a
window must satisfy is no longer linear (`hidden_span`), so the beginning of an
utterance is searched for, and the rest follows frame by frame
(`chain_growth`). Each utterance of a batch has its own beginning. Neither the
loss nor the labels nor what lies behind layer 2 matters.

Assumes:
  observed: the update of layer 2's kernel, a gradient or a delta; of its bias,
    for the size where layer 1 leaves it open.
  told: the parameters that the server sent, the precision of the client's
    products; neither transcript nor length nor number of utterances. Of public
    speech mean and deviation, where declared: the units of starts, and a size
    that no update tells.
  model: a DeepSpeech 1 of two dense layers or more with clipped ReLUs and
    without dropout, before or after training; a stride no longer than a window.
  training: layer 1 as it was sent throughout: one step, or steps so small that
    what it gives stays within `max_residual`. Something is sent back to each
    window, and layer 2 has inputs to spare: two equations for each unknown of a
    next frame.
  noise: rounding alone, of the precision that is told.
  refused: another model, one dense layer, dropout, a long stride, Adam's delta,
    no update of the kernel, a spectrum without a drop, too many windows, or no
    start that closes.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
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
  chain_growth,
  closed_chain,
  first_layer,
  hidden_span,
  levenberg_marquardt,
  span_evidence,
  window_chain,
)

_KERNEL, _BIAS = 'dense_1/kernel', 'dense_1/bias'
# Equations for each unknown from which a beginning is found by a few starts.
_SEED_EQUATIONS = 14
# ... and from which a next frame is no longer arbitrary.
_GROWTH_EQUATIONS = 2
# A drop of singular values that cannot be chance.
_CLEAR_DROP = 30.0
# What layer 2 must say of the windows is what `span` asks of layer 1.
_LIMITS = config.SpanConfig()
# Iterations between looks at the starts.
_ITERATIONS_AT_ONCE = 5
# Cosine from which two beginnings are one.
_SAME = 0.99


class _SecondLayer(NamedTuple):
  """The update of layer 2's kernel, and what it asks of windows.

  space: of the kernel's columns.
  span: in double precision.
  """

  kernel: Float64[np.ndarray, 'units outputs']
  space: subspace.Subspace
  span: hidden_span.HiddenSpan
  shape: context_windows.Shape


def reconstruct(
  observed: observation.Observation,
  cfg: config.SeedAndGrowConfig,
  key: jax.Array,
  report: observation.Report | None = None,
) -> observation.Reconstruction:
  """All utterances behind an update of DeepSpeech 1; see the module.

  Certified where all windows close within `cfg.max_residual` and are as many
  as the update's rank. Statistics of public speech make features of very
  different sizes possible; they are used where declared. Without the update of
  layer 2's bias the size is open where layer 1 has no biases and does not clip:
  then it is the level that is known, and `scale_is_free` in the certificate.

  Raises:
    observation.Refused: another model, Adam at the client, dropout behind
      layer 1, no update of layer 2's kernel, too many windows for it, or no
      beginning that closes.
  """
  tell = report or (lambda _: None)
  rounding = precision.residual(observed.precision)
  cfg = dataclasses.replace(cfg, max_residual=max(cfg.max_residual, rounding))
  shape = _shape(observed)
  kernel = observation.needed(observed, _KERNEL)
  space = _spanned(kernel, shape)
  tell(f'{space.rank} windows in {len(kernel)} dimensions')
  span = _span(observed, space, shape)
  search = chain_growth.Search(hidden_span.cast(span), shape, cfg, tell)
  with observation.having_seen(space.spectrum(_KERNEL)):
    chains = _chains(search, space.rank, key)
  bias = observation.evidence(observed, _BIAS)
  scaled = closed_chain.scaled(span, shape, chains, kernel, bias)
  layer = _SecondLayer(kernel, space, span, shape)
  return _result(observed, cfg, layer, chains, scaled)


def _result(
  observed: observation.Observation,
  cfg: config.SeedAndGrowConfig,
  layer: _SecondLayer,
  chains: list[closed_chain.Chain],
  scaled: closed_chain.Scaled,
) -> observation.Reconstruction:
  """In the size that is known where the update leaves it open."""
  _, space, span, shape = layer
  residuals = np.concatenate(
    [
      closed_chain.residuals(span, shape, frames, chain.num_windows)
      for frames, chain in zip(scaled.utterances, chains, strict=True)
    ]
  )
  worst = float(residuals.max())
  features, source = closed_chain.of_known_size(observed, scaled)
  evidence = _evidence(observed, layer, chains, scaled.utterances, worst)
  unclear = tuple(undetermined.stretches(each, shape) for each in features)
  has_bias = scaled.bias_cosine is not None
  is_free = not has_bias and any(scaled.is_free)
  speech = 'public speech statistics' if observed.declared.speech else ''
  is_certified = bool(
    worst <= cfg.max_residual
    and len(residuals) == space.rank
    and all(chain.is_whole for chain in chains)
    and span_evidence.is_believed(evidence, _LIMITS)
  )
  return observation.Reconstruction(
    features=tuple(frames.astype(np.float32) for frames in features),
    certificate={
      **evidence._asdict(),
      'rank': float(space.rank),
      'spectrum_gap': space.gap,
      'num_windows': float(len(residuals)),
      'worst_residual': worst,
      'scale_is_free': float(is_free),
      **_of_bias(scaled),
    },
    is_certified=is_certified,
    is_whole=bool(
      is_certified
      and not is_free
      and not any(unclear)
      and evidence.unexplained
      <= span_evidence.most_unexplained(evidence, _LIMITS)
    ),
    undetermined=unclear,
    ledger=observation.ledger(
      observed,
      (_KERNEL, _BIAS) if has_bias else (_KERNEL,),
      prior='; '.join(name for name in (speech, source) if name),
    ),
    spectra=(space.spectrum(_KERNEL),),
  )


def _of_bias(scaled: closed_chain.Scaled) -> dict[str, float]:
  """What layer 2's bias says of sizes, as the certificate has it."""
  if scaled.bias_cosine is None:
    return {}
  furthest = np.argmax(np.abs(np.log(scaled.factors)))
  return {
    'bias_cosine': scaled.bias_cosine,
    'worst_scale': float(scaled.factors[furthest]),
  }


def _evidence(
  observed: observation.Observation,
  layer: _SecondLayer,
  chains: list[closed_chain.Chain],
  utterances: list[np.ndarray],
  worst: float,
) -> span_evidence.Evidence:
  """Of layer 2, whose inputs are what layer 1 gives.

  `worst` is the largest residual of a window.
  """
  kernel = layer.kernel
  hidden = np.concatenate(
    [
      closed_chain.hidden(layer.span, layer.shape, frames, chain.num_windows)
      for frames, chain in zip(utterances, chains, strict=True)
    ]
  )
  sizes = np.linalg.norm(kernel, axis=0)
  second = observed.params['dense_1']
  parameters = span_evidence.Layer(
    np.asarray(second['kernel'], np.float64),
    np.asarray(second['bias'], np.float64),
  )
  return span_evidence.gathered(
    hidden,
    kernel / np.where(sizes > 0, sizes, 1.0),
    parameters,
    layer.space.singular_values,
    sizes,
    precision.product_error(observed.precision) + np.sqrt(worst),
  )


def _shape(observed: observation.Observation) -> context_windows.Shape:
  """Windows of the model; refuses what has none, or none to be seen."""
  shape = first_layer.window_shape(observed, spanned='what layer 1 gives')
  ds1 = observed.model.ds1
  if len(ds1.dense_sizes) < 2:
    raise observation.Refused('one dense layer: want a second one behind it.')
  if ds1.dropout:
    raise observation.Refused(
      f'dropout {ds1.dropout}: it masks what layer 1 gives to layer 2.'
    )
  if shape.stride > shape.width:
    raise observation.Refused(
      f'time stride {shape.stride}: windows of {shape.width} frames do not '
      'meet.'
    )
  return shape


def _spanned(
  kernel: Float64[np.ndarray, 'units outputs'], shape: context_windows.Shape
) -> subspace.Subspace:
  """Column space of the kernel's update; refuses where it tells too little."""
  sizes = np.linalg.norm(kernel, axis=0)
  # Units of one size: then rounding is of one size too.
  space = subspace.column_space(kernel[:, sizes > 0] / sizes[sizes > 0])
  if space.gap <= 1:
    space = _above_rounding(space)
  unknowns = shape.stride * shape.num_features
  most = len(kernel) - _GROWTH_EQUATIONS * unknowns
  with observation.having_seen(space.spectrum(_KERNEL)):
    _check_rank(space, most, unknowns)
  return space


def _check_rank(space: subspace.Subspace, most: int, unknowns: int) -> None:
  if space.gap <= 1:
    raise observation.Refused(
      f'{_KERNEL}: no drop in its {len(space.singular_values)} singular '
      'values: as many windows or more, or an update that is noisy, quantised '
      'or sparsified.'
    )
  if space.rank > most:
    raise observation.Refused(
      f'{_KERNEL}: {space.rank} windows; want at most {most}, as many as leave '
      f'{_GROWTH_EQUATIONS} equations for each of {unknowns} unknowns.'
    )


def _above_rounding(space: subspace.Subspace) -> subspace.Subspace:
  """The space up to the largest drop above float32 rounding, if it is clear.

  Rounding is not level where windows are of very different sizes, which the
  general rule takes for windows.
  """
  values = space.singular_values
  rounding = np.finfo(np.float32).eps * values[0]
  counted = max(int((values > rounding).sum()), 1)
  following = np.append(values[1:], 0.0)[:counted]
  drops = values[:counted] / np.maximum(following, 1e-6 * rounding)
  rank = int(np.argmax(drops)) + 1
  if drops[rank - 1] < _CLEAR_DROP:
    return space
  vectors = np.concatenate([space.basis, space.complement], axis=1)
  space = subspace.split(vectors, values, rank, float(drops[rank - 1]))
  return space._replace(min_drop=_CLEAR_DROP)


def _span(
  observed: observation.Observation,
  space: subspace.Subspace,
  shape: context_windows.Shape,
) -> hidden_span.HiddenSpan:
  first, speech = observed.params['dense_0'], observed.declared.speech
  plain = np.zeros(shape.num_features)
  return hidden_span.HiddenSpan(
    kernel=np.asarray(first['kernel'], np.float64),
    bias=np.asarray(first['bias'], np.float64),
    complement=space.complement,
    mean=np.asarray(speech.mean, np.float64) if speech else plain,
    std=np.asarray(speech.std, np.float64) if speech else plain + 1,
  )


def num_seed_windows(
  num_equations: int, rank: int, shape: context_windows.Shape
) -> int:
  """First windows that are solved together: few, but of many equations."""
  for count in range(1, rank):
    unknowns = window_chain.num_seed_frames(shape, count) * shape.num_features
    if count * num_equations >= _SEED_EQUATIONS * unknowns:
      return count
    if count > shape.width:
      return count
  return rank


def _chains(
  search: chain_growth.Search, rank: int, key: jax.Array
) -> list[closed_chain.Chain]:
  """Chains of at most `rank` windows together: whole ones if possible.

  Where the utterances' beginnings do not do, from their ends. Raises `Refused`
  where no start closes.
  """
  front, best = _searched(search, rank, [], key)
  chains = [chain for chain in front if chain.is_whole]
  missing = rank - _num_windows(chains)
  # The end of an utterance lies at a window's centre only without a stride.
  if _num_windows(front) < rank and search.shape.stride == 1:
    search.tell('backwards')
    backwards = search._replace(span=hidden_span.mirrored(search.span))
    known = [_mirrored(chain) for chain in chains]
    back, also = _searched(backwards, missing, known, key)
    back = [_mirrored(chain) for chain in back]
    chains += [chain for chain in back if chain.is_whole]
    front, best = max(front, back, key=_num_windows), min(best, also)
  chains = _filled(chains, front, rank)
  if not chains:
    raise observation.Refused(
      f'{_KERNEL}: none of {search.cfg.num_starts} starts closes; residual '
      f'{best:.1e}, want {search.cfg.max_residual:.1e}.'
    )
  return chains


def _num_windows(chains: Iterable[closed_chain.Chain]) -> int:
  return sum(chain.num_windows for chain in chains)


def _mirrored(chain: closed_chain.Chain) -> closed_chain.Chain:
  return chain._replace(frames=chain.frames[::-1])


def _filled(
  chains: list[closed_chain.Chain], others: list[closed_chain.Chain], rank: int
) -> list[closed_chain.Chain]:
  """The chains, and of the others the longest broken ones that fit."""
  for other in sorted(others, key=lambda chain: -chain.num_windows):
    if not other.is_whole and _num_windows([*chains, other]) <= rank:
      chains = [*chains, other]
  return chains


def _searched(
  search: chain_growth.Search,
  rank: int,
  known: list[closed_chain.Chain],
  key: jax.Array,
) -> tuple[list[closed_chain.Chain], float]:
  """Chains, and the best residual, from as many starts as whole ones need.

  `known` are those that need not be found again.
  """
  span, shape, cfg, _ = search
  count = num_seed_windows(span.complement.shape[1], rank, shape)
  chains: list[closed_chain.Chain] = []
  best = np.inf
  for first in range(0, cfg.num_starts, cfg.num_parallel):
    keys = jax.random.split(jax.random.fold_in(key, first), cfg.num_parallel)
    name = f'starts {first + 1}-{first + len(keys)}'
    for fits in _seeds(search, count, keys, name):
      best = min(best, float(fits.cost.min()))
      closed = np.asarray(fits.cost) <= cfg.max_residual
      for index in np.flatnonzero(closed & window_chain.settled(fits)):
        missing = rank - _num_windows(c for c in chains if c.is_whole)
        seed = hidden_span.to_frames(span, fits.point[index])
        if not _is_known(seed, [*known, *chains], span.std):
          chains.append(
            chain_growth.grown(search, seed, count, missing, keys[index])
          )
        if chains and chains[-1].num_windows == missing:
          return chains, best
  return chains, best


def _seeds(
  search: chain_growth.Search, count: int, keys: jax.Array, name: str
) -> Iterator[levenberg_marquardt.Fit]:
  """Fits of some starts, every few iterations until none goes on.

  A start is of `count` windows; `name` is what is told of these.
  """
  span, shape, cfg, tell = search
  fits = window_chain.seed_starts(span, shape, count, keys)
  for done in range(0, cfg.num_iterations, _ITERATIONS_AT_ONCE):
    fits = window_chain.seed_fits(span, shape, count, fits, _ITERATIONS_AT_ONCE)
    tell(
      f'{name}, iteration {done + _ITERATIONS_AT_ONCE}, '
      f'residual {fits.cost.min():.1e}'
    )
    yield fits
    if window_chain.settled(fits).all():
      return


def _is_known(
  seed: Float[Array, 'frames features'],
  chains: list[closed_chain.Chain],
  std: Float[Array | np.ndarray, ' features'],
) -> bool:
  """Whether a chain begins so, up to size."""
  start = np.asarray(seed / std).ravel()
  for chain in chains:
    other = (chain.frames / std).ravel()[: len(start)]
    both = start[: len(other)]
    norms = np.linalg.norm(both) * np.linalg.norm(other)
    if both @ other > _SAME * norms:
      return True
  return False
