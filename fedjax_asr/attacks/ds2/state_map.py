"""What leads from a recurrence's state to the frame that came next.

The updates of the two kernels of DeepSpeech 2's first recurrence have a factor
in common:

  dW = sum_t u_t d_t^T,      dR = sum_t h_(t-1) d_t^T

u_t being frames, h_(t-1) the state before each, and d_t what is sent back to
the gates whose inputs are added up (of a GRU, reset and update gate). h is zero
before the first frame. So, without any search,

1. dW outside of the row space of dR is what first frames put there: its columns
   span them;
2. but for those, the frames are a linear map of the states before them:
   dW dR^+ takes h_(t-1) to u_t.

A layer norm of the frames' products with W (Ba et al. 2016) sends back
(c_t - a_t 1 - b_t y_t) / s_t for c_t, which is d_t times the norm's scale, y_t
being normalised products and s_t their deviation. Its part in dW is
-M W - m 1^T, with M and m unknown, but the same for all outputs. dW outside of
the row spaces of dR, of W in the frames' space and of 1 is that of first frames
again, and outside of that of dR alone it gives M and m by least squares. Frames
are then those divided by their s_t.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fedjax_asr import config
from fedjax_asr.attacks import observation, subspace
from fedjax_asr.attacks.ds2 import batch_statistics, frame_order
from fedjax_asr.models import recurrence

# What first frames put where nothing else is, over what rounding puts there.
_MIN_GAP = 10.0


class StateMap(NamedTuple):
  """From states to frames, and back.

  basis: orthonormal, of the frames' space.
  first: the first frames' directions, orthonormal and mixed, in the basis.
  after: takes a state to the next frame, in the basis, less its part along
    `first`; behind a layer or group norm frames are over their deviation s_t.
  before: takes such a frame to the state before it.
  states: that the update of the recurrent kernel spans.
  gap: what is left of the update for `first`, over what is left beside them.
  """

  basis: Float[np.ndarray, 'units rank']
  first: Float[np.ndarray, 'rank utterances']
  after: Float[np.ndarray, 'rank size']
  before: Float[np.ndarray, 'size rank']
  states: subspace.Subspace
  gap: float


class _Shared(NamedTuple):
  """Both updates at outputs that have a d_t in common.

  frames: that of the input kernel, in the basis; norm's scale taken out.
  shifts: rows of which a norm adds multiples to those of `frames`.
  rows: orthonormal, of the row space of the recurrent kernel's update.
  inverse: the pseudoinverse of that update.
  """

  frames: Float[np.ndarray, 'rank outputs']
  shifts: Float[np.ndarray, 'shifts outputs']
  rows: Float[np.ndarray, 'states outputs']
  inverse: Float[np.ndarray, 'outputs size']


def state_map(
  observed: observation.Observation,
  spanned: subspace.Subspace,
  direction: int,
) -> StateMap:
  """Of the forward (0) or the backward direction, to which last is first.

  `spanned` is the space of the frames. None may be there twice.

  Raises:
    Refused: the norm goes by the batch's moments, an update was not sent, or
      states and frames do not go together.
  """
  if batch_statistics.is_hidden(observed):
    raise observation.Refused('batch norm in training mode mixes gradients.')
  update = observation.needed(observed, frame_order.RECURRENT)[direction]
  states = subspace.column_space(update)
  utterances = spanned.rank - states.rank
  if utterances < 1 or states.rank < 1 or states.gap <= 1:
    raise observation.Refused(
      f'{states.rank} states before {spanned.rank} frames; want one before '
      'each but the first.'
    )
  shared = _shared(observed, spanned.basis, states.rank, direction)
  wanted = states.rank + len(shared.shifts) + utterances
  if shared.frames.shape[1] <= wanted:
    raise observation.Refused(
      f'{shared.frames.shape[1]} outputs with a gradient in common; want more '
      f'than {wanted}.'
    )
  first, gap = _first(shared, utterances)
  if gap < _MIN_GAP:
    raise observation.Refused(
      f'first frames stand out {gap:.2g} times; want {_MIN_GAP:g}.'
    )
  after = _after(shared, first)
  left, values, right = np.linalg.svd(after, full_matrices=False)
  kept = slice(states.rank)
  before = (right[kept].T / values[kept]) @ left[:, kept].T
  return StateMap(spanned.basis, first, after, before, states, gap)


def first_frames(
  observed: observation.Observation,
  found: StateMap,
  directions: Float[np.ndarray, 'utterances units'],
  direction: int,
) -> Float[np.ndarray, 'utterances units']:
  """First frames of the length that the recurrence was given.

  Where no norm hides lengths: those with which what first frames add to the
  input kernel's update is what they add to the bias's.
  """
  if _has_frame_norm(observed):
    return frame_order.scaled(observed, directions)
  total, _ = frame_order.bias_update(observed)
  columns = _columns(observed, direction)
  shared = _shared(observed, found.basis, found.states.rank, direction)
  rest = total[columns] / _slopes(observed)[columns]
  parts, *_ = np.linalg.lstsq(
    (directions @ found.basis).T,
    _beside(shared.frames, shared.rows),
    rcond=None,
  )
  inverse, *_ = np.linalg.lstsq(
    parts.T, _beside(rest[None], shared.rows)[0], rcond=None
  )
  with np.errstate(divide='ignore'):
    return directions / inverse[:, None]


def _has_frame_norm(observed: observation.Observation) -> bool:
  return observed.model.ds2.norm in (config.Norm.LAYER, config.Norm.GROUP)


def _columns(
  observed: observation.Observation, direction: int
) -> Int[np.ndarray, ' outputs']:
  """Outputs whose d_t both kernels have; of one group, where norms have any."""
  cfg = observed.model.ds2
  gates = recurrence.CELLS[cfg.cell].num_gates
  # The candidate of a GRU is given the state through its reset gate.
  common = gates - 1 if cfg.cell is config.Cell.GRU else gates
  size = cfg.recurrent_size
  columns = direction * gates * size + np.arange(common * size)
  if cfg.norm is not config.Norm.GROUP:
    return columns
  outputs = (2 if cfg.bidirectional else 1) * gates * size
  group = columns // (outputs // cfg.num_norm_groups)
  # The last: a reset gate is sent nothing by a first frame.
  sizes = np.bincount(group)
  return columns[group == np.flatnonzero(sizes == sizes.max())[-1]]


def _slopes(
  observed: observation.Observation,
) -> Float[np.ndarray, ' outputs']:
  """What a norm multiplies a product's d_t by, but for a frame's deviation."""
  if observed.model.ds2.norm is config.Norm.BATCH:
    return frame_order.norm_slope(observed)
  layer = observed.params['recurrent_0']
  if observed.model.ds2.norm is config.Norm.NONE:
    return np.ones(layer['input_kernel'].shape[1])
  return np.asarray(layer['norm']['scale'], np.float64)


def _shared(
  observed: observation.Observation,
  basis: Float[np.ndarray, 'units rank'],
  num_states: int,
  direction: int,
) -> _Shared:
  cfg = observed.model.ds2
  columns = _columns(observed, direction)
  slopes = _slopes(observed)[columns]
  frames = basis.T @ observation.needed(observed, frame_order.INPUT)[:, columns]
  shifts = np.zeros((0, len(columns)))
  if _has_frame_norm(observed):
    kernel = np.asarray(
      observed.params['recurrent_0']['input_kernel'], np.float64
    )
    shifts = np.vstack([basis.T @ kernel[:, columns], np.ones(len(columns))])
  recurrent = observation.needed(observed, frame_order.RECURRENT)[direction]
  gates = recurrence.CELLS[cfg.cell].num_gates * cfg.recurrent_size
  left, values, rows = np.linalg.svd(
    recurrent[:, columns - direction * gates], full_matrices=False
  )
  kept = slice(num_states)
  return _Shared(
    frames=frames / slopes,
    shifts=shifts / slopes,
    rows=rows[kept],
    inverse=(rows[kept].T / values[kept]) @ left[:, kept].T,
  )


def _beside(
  values: Float[np.ndarray, 'some outputs'],
  rows: Float[np.ndarray, 'others outputs'],
) -> Float[np.ndarray, 'some outputs']:
  """Outside of the space of orthonormal rows."""
  return values - (values @ rows.T) @ rows


def _first(
  shared: _Shared, utterances: int
) -> tuple[Float[np.ndarray, 'rank utterances'], float]:
  """Directions of first frames, and how far they stand out."""
  lengths = np.linalg.norm(shared.shifts, axis=1, keepdims=True)
  known, _ = np.linalg.qr(np.vstack([shared.rows, shared.shifts / lengths]).T)
  left, values, _ = np.linalg.svd(
    _beside(shared.frames, known.T), full_matrices=False
  )
  beside = values[utterances] if utterances < len(values) else 0.0
  gap = float(values[utterances - 1] / max(beside, np.finfo(float).tiny))
  return left[:, :utterances], gap


def _after(
  shared: _Shared, first: Float[np.ndarray, 'rank utterances']
) -> Float[np.ndarray, 'rank size']:
  """Takes states to the frames after them, less their parts along `first`."""
  frames = shared.frames - first @ (first.T @ shared.frames)
  if len(shared.shifts):
    # What the norm added is all that is not in the states' rows.
    parts, *_ = np.linalg.lstsq(
      _beside(shared.shifts, shared.rows).T,
      _beside(frames, shared.rows).T,
      rcond=None,
    )
    frames = frames - parts.T @ shared.shifts
  return frames @ shared.inverse
