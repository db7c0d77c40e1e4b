"""DeepSpeech 2's frames, one after another, each from the state before it.

The state is what the last frame led to. `state_map` takes it to the next, but
for its part along the first frames. That part is the least with which the frame
has no negative entries: a clipped ReLU left zeros at its bottom, hundreds of
them. A frame is then made exact by all that is known of it, by least squares:
that it vanishes at its zeros, and that the state before it is the one that it
was found from. Errors do not add up along the chain, as long as zeros and
states together are more than the frames' space has dimensions.
"""

from typing import NamedTuple

import jax
import numpy as np
import scipy.linalg
import scipy.optimize
from jaxtyping import Bool, Float, Float64

from fedjax_asr import config
from fedjax_asr.attacks import observation, subspace
from fedjax_asr.attacks.ds2 import frame_order, sparse_frames, state_map

# Share of a frame's sum that may be below its zeros, from noise. Frames much
# like the first leave few zeros to tell its part by.
_BELOW = 0.01
# Of the units, share that certainly vanishes, and that has to.
_FEW_ZEROS = 0.25
_LEAST_ZEROS = 0.15
# What zeros count beside states, in turn.
_ZERO_WEIGHTS = (1.0, 1.0, 10.0, 10.0)
# Corners looked for, of each utterance; zeros of one, and of all together,
# relative to the largest entry.
_DRAWS = 8
_VANISHES = 1e-2
# Of the largest entry: what counts as zero beside it, in turn.
_WIDTHS = (1e-3, 1e-4, 1e-5, 1e-6)
# Deviations of what is negative, which is error, within which all is zero; no
# less than this part of the largest entry.
_DEVIATIONS = 4.0
_ROUNDING = 1e-6
# Also relative: negative entries that end a chain.
_NEGATIVE = 0.02


class _Chain(NamedTuple):
  """What finds the next frame.

  normal: before' before, of the map.
  """

  map: state_map.StateMap
  first: Float[np.ndarray, 'units utterances']
  normal: Float[np.ndarray, 'rank rank']


def frames(
  observed: observation.Observation,
  spanned: subspace.Subspace,
  key: jax.Array,
  report: observation.Report,
) -> sparse_frames.Frames:
  """Those that chains from first frames reach, forwards and backwards.

  As many as the rank of `spanned`, the frames' space, where all were found.

  Raises:
    Refused: `state_map.state_map` does, of either direction.
  """
  found = sparse_frames.Frames(
    np.zeros((0, len(spanned.basis))), np.zeros(0, int)
  )
  refusals = []
  directions = range(2 if observed.model.ds2.bidirectional else 1)
  for direction in directions:
    try:
      chained = _directed(observed, spanned, direction, key)
    except observation.Refused as refused:
      refusals.append(refused)
      continue
    found = _with(found, chained)
    report(
      f'{len(found.directions)} of {spanned.rank} frames found, each from the '
      'state before'
    )
    if len(found.directions) >= spanned.rank:
      break
  if len(refusals) == len(directions):
    raise refusals[0]
  return found


def _with(
  found: sparse_frames.Frames, others: list[Float[np.ndarray, ' units']]
) -> sparse_frames.Frames:
  for values in others:
    unit = values / np.linalg.norm(values)
    if not sparse_frames.is_among(unit, found.directions):
      found = sparse_frames.Frames(
        np.vstack([found.directions, unit]),
        np.append(found.num_zeros, int((unit == 0).sum())),
      )
  return found


def _directed(
  observed: observation.Observation,
  spanned: subspace.Subspace,
  direction: int,
  key: jax.Array,
) -> list[Float[np.ndarray, ' units']]:
  """Frames of all utterances."""
  found = state_map.state_map(observed, spanned, direction)
  chain = _Chain(
    found, found.basis @ found.first, found.before.T @ found.before
  )
  starts = state_map.first_frames(
    observed, found, _starts(chain.first, key), direction
  )
  reached: list[np.ndarray] = []
  # Highest: a GPU would round products to TF32.
  with jax.default_matmul_precision('highest'):
    step = frame_order.stepper(observed, found.states, direction)
    for start in starts:
      limit = spanned.rank - len(reached)
      reached += _followed(observed, chain, step, start, limit, direction)
  return reached


def _starts(
  first: Float[np.ndarray, 'units utterances'], key: jax.Array
) -> Float[np.ndarray, 'starts units']:
  """Directions of first frames: corners of what is nonnegative in their space.

  By linear programs, then exactly by their zeros. Those with the most zeros
  come first; what is no frame leads to no state.
  """
  units, utterances = first.shape
  if utterances == 1:
    values = first[:, 0] * np.sign(first.sum())
    return np.where(_zeros(values), 0.0, values)[None]
  # What vanishes in all of them is rounding, of either sign.
  sizes = np.linalg.norm(first, axis=1, keepdims=True)
  clear = np.where(sizes > _VANISHES * sizes.max(), first, 0.0)
  corners = np.zeros((0, units))
  draws = jax.random.normal(key, (_DRAWS * utterances, units))
  for costs in np.asarray(draws, np.float64):
    values = sparse_frames.cheapest(clear, clear.sum(0), costs)
    if values is None:
      continue
    values = _exact(first, values)
    if not sparse_frames.is_among(values, corners):
      corners = np.vstack([corners, values])
  if not len(corners):
    raise observation.Refused(
      f'no first frames in the {utterances} dimensions that theirs are.'
    )
  return corners[np.argsort((corners != 0).sum(1), kind='stable')]


def _exact(
  first: Float[np.ndarray, 'units utterances'],
  values: Float[np.ndarray, ' units'],
) -> Float[np.ndarray, ' units']:
  """The unit vector of the space with these zeros, by reweighted squares."""
  for width in _WIDTHS:
    weighted = first / np.hypot(values, width * values.max())[:, None]
    _, _, rows = np.linalg.svd(weighted, full_matrices=False)
    values = first @ rows[-1]
    values *= np.sign(values.sum()) / np.linalg.norm(values)
  return np.where(_zeros(values), 0.0, values)


def _followed(
  observed: observation.Observation,
  chain: _Chain,
  step: frame_order.Step,
  start: Float[np.ndarray, ' units'],
  limit: int,
  direction: int,
) -> list[Float[np.ndarray, ' units']]:
  """Frames from the first on, until a state is not one of the utterance's."""
  reached, state = [start], None
  size = observed.model.ds2.recurrent_size
  while len(reached) < limit:
    given = frame_order.projected(observed, reached[-1][None], direction)
    (after,), (outside,) = jax.device_get(step(given, state))
    if outside > frame_order.MAX_RESIDUAL:
      break
    state = after
    values = _next(chain, np.asarray(state[:size], np.float64))
    if values is None:
      break
    if observed.model.ds2.norm in (config.Norm.LAYER, config.Norm.GROUP):
      unit = values / np.linalg.norm(values)
      values = frame_order.scaled(observed, unit[None])[0]
    reached.append(values)
  return reached


def _next(
  chain: _Chain, state: Float64[np.ndarray, ' size']
) -> Float[np.ndarray, ' units'] | None:
  """The frame after a state; None where nothing there is one."""
  basis = chain.map.basis
  values = basis @ (chain.map.after @ state)
  values = _lowered(chain.first, values)
  is_zero = np.zeros(len(values), bool)
  is_zero[np.argsort(np.abs(values))[: int(_FEW_ZEROS * len(values))]] = True
  for index, weight in enumerate(_ZERO_WEIGHTS):
    if index:
      is_zero = _zeros(values)
    if is_zero.mean() < _LEAST_ZEROS:
      return None
    try:
      values = _fitted(chain, state, values, is_zero, weight)
    except np.linalg.LinAlgError:
      # Zeros and state leave something open.
      return None
  if values.min() < -_NEGATIVE * values.max():
    return None
  return np.where(is_zero, 0.0, values)


def _lowered(
  first: Float[np.ndarray, 'units utterances'],
  values: Float[np.ndarray, ' units'],
) -> Float[np.ndarray, ' units']:
  """With a part along first frames that leaves a share of the sum below zero.

  Quantile regression (Koenker and Bassett 1978), by its dual program.
  """
  solved = scipy.optimize.linprog(
    -values,
    A_eq=first.T,
    b_eq=np.zeros(first.shape[1]),
    bounds=(_BELOW - 1, _BELOW),
  )
  return values + first @ solved.eqlin.marginals


def _zeros(values: Float[np.ndarray, ' units']) -> Bool[np.ndarray, ' units']:
  below = np.minimum(values, 0)
  error = np.linalg.norm(below) / np.sqrt(max((below < 0).sum(), 1))
  width = max(_DEVIATIONS * error, _ROUNDING * values.max())
  return np.abs(values) < width


def _fitted(
  chain: _Chain,
  state: Float64[np.ndarray, ' size'],
  values: Float[np.ndarray, ' units'],
  is_zero: Bool[np.ndarray, ' units'],
  weight: float,
) -> Float[np.ndarray, ' units']:
  """With zeros where they are and this state before it, by least squares.

  Both relative to the lengths of the frame, as it is known so far, and of the
  state.
  """
  rows = chain.map.basis[is_zero] * weight / np.linalg.norm(values)
  length = float(state @ state)
  factor = scipy.linalg.cho_factor(rows.T @ rows + chain.normal / length)
  solved = scipy.linalg.cho_solve(factor, chain.map.before.T @ state / length)
  return chain.map.basis @ solved
