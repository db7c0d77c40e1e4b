"""Closed-form inversion of DeepSpeech 1's first layer.

Its kernel's gradient is sum_t c_t d_t', with c_t the context window of frame t
and d_t what is backpropagated there: the windows span its columns. An utterance
is a sequence of frames all of whose windows lie in that span, which is a
homogeneous linear system (`window_system`). The rank is the number of windows;
the bias's gradient, sum_t d_t, gives scale and sign, and other things do where
that is not sent (`span_scale`). Neither the loss nor the labels nor what lies
behind the first layer matters, dropout included, and a sum of gradients, as
local steps of SGD send, spans the same.

Assumes:
  observed: the update of the first layer's kernel, a gradient or a delta; of
    its bias, and where that is withheld of layer 2, for the size.
  told: the parameters that the server sent, the precision of the client's
    products; neither transcript nor length nor number of utterances. Of public
    speech mean and deviation, for a size that no update tells.
  model: a DeepSpeech 1 of clipped ReLUs, before or after training, with dropout
    or without.
  training: SGD or momentum, any number of steps on the same speech; no more
    windows than the first layer has units and a window has values to spare
    (`context_windows.Shape.capacity`), and something sent back to each, but for
    those at the end of a single utterance (`open_end`).
  noise: rounding, or so little that singular values still drop threefold after
    the last window's.
  refused: another model, Adam's delta, no update of the kernel, a spectrum
    without a drop (noise, codes, too many windows), too many windows.
"""

import collections
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float64

from fedjax_asr import config
from fedjax_asr.attacks import (
  context_windows,
  observation,
  precision,
  subspace,
  undetermined,
)
from fedjax_asr.attacks.ds1 import (
  first_layer,
  open_end,
  span_evidence,
  span_scale,
  span_utterances,
  window_system,
)

# Lengths are also tried up to this many windows over the rank that was found.
_RANK_SLACK = 8
# Neighbouring lengths with which one is compared, to each side.
_NEIGHBOURS = 5


class _Attack(NamedTuple):
  """What all steps of one attack share."""

  observed: observation.Observation
  cfg: config.SpanConfig
  shape: context_windows.Shape
  rng: np.random.Generator
  tell: observation.Report


class _Supposed(NamedTuple):
  """Utterances in any size, not yet believed.

  candidate: by which they were found.
  certificate: as far as it is known; `eigenvalue_gap` and `rank` in it.
  has_ends: whether they are all there, to their ends.
  """

  candidate: first_layer.Candidate
  utterances: list[span_utterances.Utterance]
  certificate: dict[str, float]
  has_ends: bool


def reconstruct(
  observed: observation.Observation,
  cfg: config.SpanConfig,
  key: jax.Array,
  report: observation.Report | None = None,
) -> observation.Reconstruction:
  """All utterances behind an update of DeepSpeech 1; see the module.

  Exact up to rounding where the windows of all utterances together number at
  most `context_windows.Shape.capacity` and fewer than the first layer's units.
  Where that finds nothing to be believed, one utterance is looked for of which
  the update holds the beginning (`open_end`).

  Raises:
    observation.Refused: another model, Adam at the client, too many frames, no
      update of the first layer's kernel, or one whose spectrum has no drop
      (quantised, sparsified, noisy).
  """
  shape = first_layer.window_shape(observed)
  attack = _Attack(
    observed,
    cfg,
    shape,
    rng=generator(key),
    tell=report or (lambda _: None),
  )
  candidates = first_layer.candidates(observed, shape)
  try:
    found = _whole(attack, candidates)
  except observation.Refused:
    begun = _begun(attack, candidates)
    if begun is None:
      raise
    return begun
  if found.is_certified:
    return found
  return _begun(attack, candidates) or found


def every_utterance(
  observed: observation.Observation,
  cfg: config.SpanConfig,
  key: jax.Array,
  report: observation.Report | None = None,
) -> observation.Reconstruction:
  """As `reconstruct`, but an utterance without its end is not looked for.

  That one is alone in its update; in a sum of many it only costs time.

  Raises:
    observation.Refused: as `reconstruct`.
  """
  shape = first_layer.window_shape(observed)
  candidates = first_layer.candidates(observed, shape)
  tell = report or (lambda _: None)
  attack = _Attack(observed, cfg, shape, rng=generator(key), tell=tell)
  return _whole(attack, candidates)


def generator(key: jax.Array) -> np.random.Generator:
  """NumPy's, of an attacker's key."""
  return np.random.default_rng(np.asarray(jax.random.bits(key, (4,))))


def _whole(
  attack: _Attack, candidates: list[first_layer.Candidate]
) -> observation.Reconstruction:
  """Every utterance, of which all windows are in the update."""
  candidate = first_layer.clearest(candidates, attack.shape)
  seen = candidate.space.spectrum(first_layer.KERNEL)
  with observation.having_seen(seen):
    return _of_clearest(attack, candidate)


def _of_clearest(
  attack: _Attack, candidate: first_layer.Candidate
) -> observation.Reconstruction:
  _, _, shape, rng, tell = attack
  layer, space = candidate.layer, candidate.space
  tell(f'{space.rank} windows, spectrum drops {space.gap:.1e}-fold')
  space, groups = _groups(attack, space)
  found = [f'{len(each.basis)} x {each.num_windows}' for each in groups]
  tell(f'utterances x windows: {", ".join(found)}')
  utterances = span_utterances.unmixed(groups, layer.kernel, shape, rng)
  projector = space.complement @ space.complement.T
  utterances = [
    span_utterances.without_padding(each, projector, shape)
    for each in utterances
  ]
  certificate = {
    'rank': float(space.rank),
    'spectrum_gap': space.gap,
    'eigenvalue_gap': min(group.gap for group in groups),
  }
  is_all = sum(utterance.num_windows for utterance in utterances) == space.rank
  return _reconstruction(
    attack, _Supposed(candidate, utterances, certificate, has_ends=is_all)
  )


def _begun(
  attack: _Attack, candidates: list[first_layer.Candidate]
) -> observation.Reconstruction | None:
  """One utterance without its end, or None where it is not to be believed."""
  for candidate in candidates:
    begun = open_end.beginning(
      candidate.level, attack.shape, attack.rng, attack.tell
    )
    if begun is None:
      continue
    certificate = {
      'rank': float(candidate.space.rank),
      'spectrum_gap': candidate.space.gap,
      'eigenvalue_gap': begun.gap,
      'is_open_end': 1.0,
    }
    utterances = [span_utterances.Utterance(begun.num_windows, begun.frames)]
    found = _reconstruction(
      attack, _Supposed(candidate, utterances, certificate, begun.has_end)
    )
    if found.is_certified:
      return found
  return None


def _reconstruction(
  attack: _Attack, supposed: _Supposed
) -> observation.Reconstruction:
  """Scaled, and believed or not."""
  observed, cfg, shape, _, _ = attack
  candidate, utterances, certificate, has_ends = supposed
  scaled = span_scale.scaled(observed, cfg, candidate, utterances, shape)
  scale = candidate.layer.scale
  windows = span_utterances.windows(scaled.utterances, shape)
  evidence = span_evidence.gathered(
    windows,
    candidate.level,
    first_layer.parameters(observed, scale, shape),
    candidate.space.singular_values,
    candidate.unit_sizes,
    _relative_error(observed, certificate['eigenvalue_gap']),
  )
  frames = [utterance.frames * scale for utterance in scaled.utterances]
  unclear = tuple(undetermined.stretches(each, shape) for each in frames)
  cosine = scaled.bias_cosine
  least_part = np.inf
  if len(utterances) > 1:
    of_each = span_utterances.split(scaled.utterances, windows)
    least_part = span_evidence.least_part(of_each, candidate.level)
    certificate = certificate | {'least_part': least_part}
  believed = bool(
    certificate['eigenvalue_gap'] >= cfg.min_eigenvalue_gap
    and (cosine is None or cosine >= cfg.min_bias_cosine)
    and least_part >= cfg.min_part
    and span_evidence.is_believed(evidence, cfg)
  )
  return observation.Reconstruction(
    features=tuple(each.astype(np.float32) for each in frames),
    certificate={
      **certificate,
      **evidence._asdict(),
      **scaled.certificate(),
      'num_windows': float(sum(each.num_windows for each in scaled.utterances)),
      'has_ends': float(has_ends),
    },
    is_certified=believed,
    is_whole=bool(
      believed
      and has_ends
      and not scaled.is_free
      and not any(unclear)
      and evidence.unexplained <= span_evidence.most_unexplained(evidence, cfg)
    ),
    undetermined=unclear,
    ledger=observation.ledger(observed, scaled.layers, prior=scaled.prior),
    spectra=(
      candidate.space.spectrum(first_layer.KERNEL)._replace(
        rank=int(certificate['rank'])
      ),
    ),
  )


def _relative_error(observed: observation.Observation, gap: float) -> float:
  """Of products, by their precision, and of frames, as the gap bounds it."""
  return precision.product_error(observed.precision) + gap**-0.5


def _groups(
  attack: _Attack, space: subspace.Subspace
) -> tuple[subspace.Subspace, list[span_utterances.Group]]:
  """The space, its rank put right, and the utterances that fill it."""
  cfg, shape = attack.cfg, attack.shape
  alone = _group(attack, space, space.rank, 1)
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
  if sum(length * count for length, count in lengths) != space.rank:
    lengths = _recounted(attack, space, lengths)
  rank = sum(length * count for length, count in lengths)
  if rank != space.rank:
    vectors = np.concatenate([space.basis, space.complement], axis=1)
    space = subspace.split(vectors, space.singular_values, rank, space.gap)
  return space, [_group(attack, space, *each) for each in lengths]


def _recounted(
  attack: _Attack, space: subspace.Subspace, lengths: list[tuple[int, int]]
) -> list[tuple[int, int]]:
  """The lengths with how many utterances have each, if that makes the rank.

  Utterances of one length that end alike, in the same silence, differ nowhere
  in the last frames, and `eigenvalues_by_length` sees one of them alone.
  """
  _, cfg, shape, rng, _ = attack
  projector = space.complement @ space.complement.T
  found = []
  for length, _ in lengths:
    most = min(cfg.max_utterances, space.rank // length)
    values = window_system.smallest(projector, shape, length, most, rng).values
    found += [(float(value), length) for value in values]
  ascending = [length for _, length in sorted(found)]
  totals = np.cumsum(ascending)
  if space.rank not in totals:
    return lengths
  taken = ascending[: int(np.argmax(totals == space.rank)) + 1]
  return sorted(collections.Counter(taken).items())


def _group(
  attack: _Attack, space: subspace.Subspace, num_windows: int, count: int
) -> span_utterances.Group:
  """The utterances of so many windows that fit the space best."""
  found = window_system.smallest(
    space.complement @ space.complement.T,
    attack.shape,
    num_windows,
    count + 1,
    attack.rng,
  )
  lowest = max(found.values[count - 1], np.finfo(np.float64).tiny)
  return span_utterances.Group(
    num_windows=num_windows,
    basis=found.utterances[:count],
    gap=float(found.values[count] / lowest),
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


def _surroundings(
  lowest: Float64[np.ndarray, ' lengths'],
) -> Float64[np.ndarray, ' lengths']:
  """Median of the neighbours of each."""
  padded = np.pad(lowest, _NEIGHBOURS, constant_values=np.nan)
  around = np.lib.stride_tricks.sliding_window_view(
    padded, 2 * _NEIGHBOURS + 1
  ).copy()
  around[:, _NEIGHBOURS] = np.nan
  return np.nanmedian(around, axis=1)
