"""Closed-form inversion of DeepSpeech 1's first layer.

Its kernel's gradient is sum_t c_t d_t', with c_t the context window of frame t
and d_t what is backpropagated there: the windows span its columns. An utterance
is a sequence of frames all of whose windows lie in that span, which is a
homogeneous linear system (`window_system`). The rank is the number of windows;
the bias's gradient, sum_t d_t, gives scale and sign. Neither the loss nor the
labels nor what lies behind the first layer matters, dropout included, and a
sum of gradients, as local steps of SGD send, spans the same.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float64

from fedjax_asr import config
from fedjax_asr.attacks import (
  observation,
  open_end,
  precision,
  span_evidence,
  subspace,
  undetermined,
  unmixing,
  window_system,
)

_KERNEL, _BIAS = 'dense_0/kernel', 'dense_0/bias'
# Lengths are also tried up to this many windows over the rank that was found.
_RANK_SLACK = 8
# Neighbouring lengths with which one is compared, to each side.
_NEIGHBOURS = 5
# Deviations of a product's rounding that are no surprise.
_ROUNDINGS = 4.0
# A frame counts as padding if the utterance without it fits the span within
# this factor as well.
_PADDING_FACTOR = 10.0


class FirstLayer(NamedTuple):
  """Update of the first layer, features brought to one scale.

  kernel: rows of feature f divided by scale[f], as if for inputs x / scale.
  """

  kernel: Float64[np.ndarray, 'taps units']
  bias: Float64[np.ndarray, ' units']
  scale: Float64[np.ndarray, ' features']


class Candidate(NamedTuple):
  """A way to look at the layer.

  level: its kernel, each unit divided by its `unit_sizes`.
  space: of the columns of `level`.
  """

  layer: FirstLayer
  level: Float64[np.ndarray, 'taps units']
  unit_sizes: Float64[np.ndarray, ' units']
  space: subspace.Subspace


class Group(NamedTuple):
  """Utterances of one length: a basis of all their mixtures.

  gap: by how much the next utterance beyond them fits worse.
  """

  num_windows: int
  basis: Float64[np.ndarray, 'members frames features']
  gap: float


class Member(NamedTuple):
  """An utterance of the update; frames in units of `FirstLayer.scale`."""

  num_windows: int
  frames: Float64[np.ndarray, 'frames features']


def reconstruct(
  observed: observation.Observation,
  cfg: config.SpanConfig,
  key: jax.Array,
  report: Callable[[str], None] | None = None,
) -> observation.Reconstruction:
  """All utterances behind an update of DeepSpeech 1; see the module.

  Exact up to rounding where the windows of all utterances together number at
  most `window_system.Shape.capacity` and fewer than the first layer's units.
  Where that finds nothing to be believed, one utterance is looked for of which
  the update holds the beginning (`open_end`).

  Raises:
    observation.Refused: another model, Adam at the client, too many frames,
      or an update whose spectrum has no drop (quantised, sparsified, noisy).
  """
  tell = report or (lambda _: None)
  rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,))))
  shape = _shape(observed)
  candidates = _candidates(observed, shape)
  try:
    found = _whole(observed, cfg, shape, candidates, tell, rng)
  except observation.Refused:
    begun = _begun(observed, cfg, shape, candidates, tell, rng)
    if begun is None:
      raise
    return begun
  if found.is_certified:
    return found
  return _begun(observed, cfg, shape, candidates, tell, rng) or found


def _whole(observed, cfg, shape, candidates, tell, rng):
  """Every utterance, of which all windows are in the update."""
  candidate = _clearest(candidates, shape)
  layer, space = candidate.layer, candidate.space
  tell(f'{space.rank} windows, spectrum drops {space.gap:.1e}-fold')
  space, groups = _groups(space, shape, cfg, rng)
  found = [f'{len(each.basis)} x {each.num_windows}' for each in groups]
  tell(f'utterances x windows: {", ".join(found)}')
  members = _unmixed(groups, layer, shape, rng)
  projector = space.complement @ space.complement.T
  members = [_without_padding(each, projector, shape) for each in members]
  certificate = {
    'rank': float(space.rank),
    'spectrum_gap': space.gap,
    'eigenvalue_gap': min(group.gap for group in groups),
  }
  is_all = sum(member.num_windows for member in members) == space.rank
  return _reconstruction(
    observed, cfg, shape, candidate, members, certificate, is_all
  )


def _begun(observed, cfg, shape, candidates, tell, rng):
  """One utterance without its end, or None where it is not to be believed."""
  for candidate in candidates:
    begun = open_end.beginning(candidate.level, shape, rng)
    if begun is None:
      continue
    tell(f'open end after {begun.num_windows} windows')
    certificate = {
      'rank': float(candidate.space.rank),
      'spectrum_gap': candidate.space.gap,
      'eigenvalue_gap': begun.gap,
      'is_open_end': 1.0,
    }
    members = [Member(begun.num_windows, begun.frames)]
    found = _reconstruction(
      observed, cfg, shape, candidate, members, certificate, begun.has_end
    )
    if found.is_certified:
      return found
  return None


def _reconstruction(
  observed, cfg, shape, candidate, members, certificate, has_ends
):
  """Scaled, and believed or not."""
  layer = candidate.layer
  members, cosine = _scaled(members, layer, shape)
  windows = np.concatenate(
    [window_system.windows(m.frames, shape, m.num_windows) for m in members]
  )
  sizes = candidate.unit_sizes
  evidence = span_evidence.gathered(
    windows,
    layer.kernel / np.where(sizes > 0, sizes, 1.0),
    _parameters(observed, layer.scale, shape),
    candidate.space.singular_values,
    sizes,
    _relative_error(observed, certificate['eigenvalue_gap']),
  )
  frames = [member.frames * layer.scale for member in members]
  unclear = tuple(undetermined.stretches(each, shape) for each in frames)
  believed = bool(
    certificate['eigenvalue_gap'] >= cfg.min_eigenvalue_gap
    and cosine >= cfg.min_bias_cosine
    and span_evidence.is_believed(evidence, cfg)
  )
  return observation.Reconstruction(
    features=tuple(each.astype(np.float32) for each in frames),
    certificate={
      **certificate,
      **evidence._asdict(),
      'num_windows': float(len(windows)),
      'has_ends': float(has_ends),
      'bias_cosine': cosine,
    },
    is_certified=believed,
    is_whole=bool(
      believed
      and has_ends
      and not any(unclear)
      and evidence.unexplained <= span_evidence.most_unexplained(evidence, cfg)
    ),
    undetermined=unclear,
    ledger=observation.ledger(observed, (_KERNEL, _BIAS)),
  )


def _relative_error(observed, gap):
  """Of products, by their precision, and of frames, as the gap bounds it."""
  rounding = precision.unit_roundoff(observed.precision)
  return _ROUNDINGS * rounding + gap**-0.5


def _parameters(observed, scale, shape):
  """Of the first layer, for inputs in units of `scale`."""
  kernel, bias = (
    np.asarray(observed.params['dense_0'][name], np.float64)
    for name in ('kernel', 'bias')
  )
  rows = np.tile(scale, shape.width)[:, None]
  end = None
  if observed.observed is config.Observed.DELTA:
    update = observation.flat(observed.update)
    end = (
      (kernel - np.asarray(update[_KERNEL], np.float64)) * rows,
      bias - np.asarray(update[_BIAS], np.float64),
    )
  return span_evidence.Layer(kernel * rows, bias, end)


def _shape(observed):
  """Windows of the model; refuses what has none."""
  if observed.model.architecture is not config.Architecture.DS1:
    raise observation.Refused(
      f'architecture {observed.model.architecture.value}: '
      'want ds1, whose first layer sees windows of frames.'
    )
  adam = observed.client.optimizer is config.ClientOptimizer.ADAM
  if adam and observed.observed is config.Observed.DELTA:
    raise observation.Refused(
      'client optimizer adam: it scales every weight by itself, so the delta '
      'leaves the span of the windows.'
    )
  ds1 = observed.model.ds1
  taps = len(observed.params['dense_0']['kernel'])
  width = 2 * ds1.context_frames + 1
  return window_system.Shape(ds1.context_frames, ds1.time_stride, taps // width)


def _candidates(observed, shape):
  """The layer's update in the units in which its rank may stand out most.

  Rounding of a gradient goes with each entry: features and units are brought
  to one size. Rounding of a delta, and noise that was added, do not: the
  update is taken as it is.
  """
  update = observation.flat(observed.update)
  kernel = np.asarray(update[_KERNEL], np.float64)
  bias = np.asarray(update[_BIAS], np.float64)
  if not kernel.any():
    raise observation.Refused(f'{_KERNEL}: the update is zero: rank 0.')
  by_tap = kernel.reshape(shape.width, shape.num_features, -1)
  sizes = np.sqrt(np.mean(by_tap**2, axis=(0, 2)))
  # A feature that is zero throughout has rows of zeros; so it stays.
  scale = np.where(sizes > 0, sizes, 1.0)
  relative = (by_tap / scale[:, None]).reshape(kernel.shape)
  return [
    _candidate(FirstLayer(relative, bias, scale), is_level=True),
    _candidate(FirstLayer(kernel, bias, np.ones_like(scale)), is_level=False),
  ]


def _candidate(layer, *, is_level):
  """With all units of one size, or as they are."""
  sizes = np.linalg.norm(layer.kernel, axis=0)
  if not is_level:
    sizes = np.where(sizes > 0, 1.0, 0.0)
  level = layer.kernel / np.where(sizes > 0, sizes, 1.0)
  return Candidate(layer, level, sizes, subspace.column_space(level))


def _clearest(candidates, shape):
  """The one whose spectrum drops most."""
  best = max(candidates, key=lambda candidate: candidate.space.gap)
  units = int(best.layer.kernel.any(axis=0).sum())
  _check(best.space, shape, units)
  return best


def _check(space, shape, units):
  """Refuses where the spectrum tells nothing, or too much."""
  if space.gap <= 1:
    raise observation.Refused(
      f'{_KERNEL}: no drop in its {len(space.singular_values)} singular '
      f'values: {min(shape.capacity, units)} windows or more, or an update '
      'that is noisy, quantised or sparsified.'
    )
  if space.rank > shape.capacity:
    raise observation.Refused(
      f'{_KERNEL}: {space.rank} windows; want at most {shape.capacity}, as '
      'many as hold more equations than unknowns.'
    )


def _groups(space, shape, cfg, rng):
  """The space, its rank put right, and the utterances that fill it."""
  alone = _group(space, shape, space.rank, 1, rng)
  if alone.gap >= cfg.min_eigenvalue_gap:
    return space, [alone]
  longest = min(space.rank + _RANK_SLACK, shape.capacity)
  values = window_system.eigenvalues_by_length(
    space.complement @ space.complement.T,
    shape,
    longest,
    cfg.max_utterances,
  )
  lengths = singular_lengths(values, space.rank)
  rank = sum(length * members for length, members in lengths)
  if rank != space.rank:
    vectors = np.concatenate([space.basis, space.complement], axis=1)
    space = subspace.split(vectors, space.singular_values, rank, space.gap)
  return space, [_group(space, shape, *each, rng) for each in lengths]


def _group(space, shape, num_windows, members, rng):
  """The utterances of so many windows that fit the space best."""
  found = window_system.smallest(
    space.complement @ space.complement.T, shape, num_windows, members + 1, rng
  )
  lowest = max(found.values[members - 1], np.finfo(np.float64).tiny)
  return Group(
    num_windows=num_windows,
    basis=found.utterances[:members],
    gap=float(found.values[members] / lowest),
  )


def singular_lengths(
  values: Float64[np.ndarray, 'lengths count'], rank: int
) -> list[tuple[int, int]]:
  """(length, number of utterances) where the eigenvalues drop.

  An eigenvalue counts by its ratio to the smallest of the lengths around it.
  Of the lowest, as many are taken as make up the rank together; where none do,
  those before the largest rise.

  Args:
    values: of lengths 1, 2 .., ascending for each.
  """
  scores = values / _surroundings(values[:, 0])[:, None]
  order = np.argsort(scores, axis=None)[: values.shape[1] + 1]
  lengths = order // values.shape[1] + 1
  ascending = np.log(np.maximum(scores.ravel()[order], 1e-300))
  within = np.cumsum(lengths)[:-1] <= len(values)
  rises = np.where(within, np.diff(ascending), -np.inf)
  exact = np.cumsum(lengths)[:-1] == rank
  taken = int(np.argmax(np.where(exact, np.inf, rises))) + 1
  found, counts = np.unique(lengths[:taken], return_counts=True)
  return [(int(each), int(n)) for each, n in zip(found, counts, strict=True)]


def _surroundings(lowest):
  """Median of the neighbours of each."""
  padded = np.pad(lowest, _NEIGHBOURS, constant_values=np.nan)
  around = np.lib.stride_tricks.sliding_window_view(
    padded, 2 * _NEIGHBOURS + 1
  ).copy()
  around[:, _NEIGHBOURS] = np.nan
  return np.nanmedian(around, axis=1)


def _unmixed(groups, layer, shape, rng):
  """The utterances of each group, none a mixture of others."""
  mixed = [Member(g.num_windows, each) for g in groups for each in g.basis]
  if all(len(group.basis) == 1 for group in groups):
    return mixed
  signals = iter(_signals(mixed, layer, shape))
  members = []
  for group in groups:
    of_group = np.array([next(signals).ravel() for _ in group.basis])
    coefficients = np.eye(1)
    if len(group.basis) > 1:
      coefficients = unmixing.members(of_group, rng)
    for frames in np.tensordot(coefficients, group.basis, 1):
      members.append(Member(group.num_windows, frames))
  return members


def _signals(members, layer, shape):
  """[windows, units] of each member: what is backpropagated to its windows."""
  stacked = np.concatenate(
    [
      window_system.windows(member.frames, shape, member.num_windows)
      for member in members
    ]
  )
  signals, *_ = np.linalg.lstsq(stacked.T, layer.kernel, rcond=None)
  ends = np.cumsum([member.num_windows for member in members])
  return np.split(signals, ends[:-1])


def _without_padding(member, projector, shape):
  """The member without frames of zeros that a longer one would also have."""
  frames = member.frames
  ones = np.ones(member.num_windows)
  whole = window_system.energy(projector, frames, shape, ones)
  for _ in range(shape.stride - 1):
    shorter = window_system.energy(projector, frames[:-1], shape, ones)
    if shorter > _PADDING_FACTOR * whole:
      break
    frames = frames[:-1]
  return member._replace(frames=frames)


def _scaled(members, layer, shape):
  """(members in size and sign, cosine of the bias that they give)."""
  signals = _signals(members, layer, shape)
  sums = np.stack([each.sum(axis=0) for each in signals], axis=1)
  factors, *_ = np.linalg.lstsq(sums, layer.bias, rcond=None)
  # One that the bias says nothing about stays as it is.
  factors = np.where(factors, factors, 1.0)
  expected = sums @ factors
  norms = np.linalg.norm(expected) * np.linalg.norm(layer.bias)
  cosine = float(expected @ layer.bias / norms) if norms else 0.0
  scaled = [
    member._replace(frames=member.frames / factor)
    for member, factor in zip(members, factors, strict=True)
  ]
  return scaled, cosine
