"""The order of frames in time, from the states that they lead to.

The update of DeepSpeech 2's recurrent weights is a sum of h_(t-1) d_t^T, so its
column space holds the states that a recurrence had before each frame but the
first. From a zero state, only an utterance's first frame leads into that space;
from there, only its second; and so on. Each step has one right answer among all
frames, and the distance to the second best says how sure it is.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Bool, Float

from fedjax_asr import config
from fedjax_asr.attacks import observation, subspace
from fedjax_asr.models import norms, recurrence

INPUT = 'recurrent_0/input_kernel'
RECURRENT = 'recurrent_0/recurrent_kernel'
# Part of a state that may lie outside of the space.
MAX_RESIDUAL = 1e-2

# (what each frame gives, a state or None for zero) -> (the states after each,
# their parts outside of the space).
Step = Callable[[jax.Array, np.ndarray | None], tuple[jax.Array, jax.Array]]


class Order(NamedTuple):
  """Frames of each utterance, as indices; together all frames.

  residual: the largest part of a state outside of the space.
  margin: the smallest ratio of the second best frame's residual to the best's,
    first frames apart, of which several utterances have several.
  num_states: that the update holds: one for each frame but the first ones, also
    where frames are equal.
  spectrum: that says so.
  """

  utterances: tuple[tuple[int, ...], ...]
  residual: float
  margin: float
  num_states: int
  spectrum: subspace.Spectrum


def order(
  observed: observation.Observation,
  frames: Float[np.ndarray, 'frames units'],
  mean: Float[np.ndarray, ' units'] | None = None,
) -> Order:
  """Puts the frames of one or more utterances in order.

  `mean` is of all frames, where it is known; it tells their lengths.

  The last frame of an utterance leads to a state that no update knows: it is
  the one that is left, or the one most like the frame before where several
  utterances end.

  Raises:
    Refused: no chain of frames leads through the states, or the update lacks
      one of `layers`.
  """
  update = observation.needed(observed, RECURRENT)[0]
  states = subspace.column_space(update)
  with observation.having_seen(states.spectrum(RECURRENT)):
    return _ordered(observed, frames, mean, states, update.shape)


def _ordered(
  observed: observation.Observation,
  frames: Float[np.ndarray, 'frames units'],
  mean: Float[np.ndarray, ' units'] | None,
  states: subspace.Subspace,
  shape: tuple[int, ...],
) -> Order:
  if states.rank >= min(shape):
    raise observation.Refused(
      f'the states fill all {shape[0]} dimensions of the recurrence: no '
      'order of frames can be told from another.'
    )
  # Highest: a GPU would round products to TF32.
  with jax.default_matmul_precision('highest'):
    given = projected(observed, scaled(observed, frames, mean))
    chains, residuals, margins = _chains(stepper(observed, states), given)
  if not any(chains):
    raise observation.Refused(
      'no frame leads from a zero state into the space of states; the least '
      f'residual is {residuals[0]:.2g}, want {MAX_RESIDUAL:g}.'
    )
  return Order(
    utterances=_with_ends(chains, frames),
    residual=max(residuals),
    margin=min(margins, default=1.0),
    num_states=states.rank,
    spectrum=states.spectrum(RECURRENT),
  )


def _chains(
  step: Step, projected: Float[Array, 'frames gates']
) -> tuple[list[list[int]], list[float], list[float]]:
  """Chains of frames from zero states; each lacks its last frame.

  With the residual of each state, and the margin of each frame but the first.
  """
  left = np.ones(len(projected), bool)
  chains: list[list[int]] = []
  residuals: list[float] = []
  margins: list[float] = []
  state = None
  while left.any():
    states, outside = jax.device_get(step(projected, state))
    outside = np.where(left, outside, np.inf)
    best, *others = np.argsort(outside)
    if outside[best] > MAX_RESIDUAL:
      if state is None:
        residuals = residuals or [float(outside[best])]
        break
      state = None
      continue
    second = outside[others[0]] if others else np.inf
    if state is None:
      chains.append([])
    elif np.isfinite(second):
      margins.append(float(second / max(outside[best], 1e-12)))
    residuals.append(float(outside[best]))
    chains[-1].append(int(best))
    left[best] = False
    state = states[best]
  return chains, residuals, margins


def _with_ends(
  chains: list[list[int]], frames: Float[np.ndarray, 'frames units']
) -> tuple[tuple[int, ...], ...]:
  """Each chain with a last frame of those that are left, the likest in all."""
  used = {index for chain in chains for index in chain}
  left = [index for index in range(len(frames)) if index not in used]
  ends = [chain[-1] for chain in chains]
  likeness = frames[ends] @ frames[left].T
  chosen = scipy.optimize.linear_sum_assignment(likeness, maximize=True)
  last = {int(chain): left[place] for chain, place in zip(*chosen, strict=True)}
  if len(left) > len(last):
    raise observation.Refused(
      f'{len(left) - len(last)} of {len(frames)} frames have no place in the '
      'order.'
    )
  return tuple(
    tuple([*chain, last[index]] if index in last else chain)
    for index, chain in enumerate(chains)
  )


def scaled(
  observed: observation.Observation,
  frames: Float[np.ndarray, 'frames units'],
  mean: Float[np.ndarray, ' units'] | None = None,
) -> Float[np.ndarray, 'frames units']:
  """Frames of the length that the bias's update, or their mean, says.

  With W's update equal to sum_t u_t d_t^T and the bias's to sum_t d_t, the
  lengths s_t of u_t = s_t v_t solve sum_t (s_t d_t) / s_t = sum_t d_t. Layer
  and group norms care for lengths only by their epsilon; what they leave has a
  mean square of about 1/2 after the clipped ReLU.
  """
  cfg = observed.model.ds2
  if cfg.norm in (config.Norm.LAYER, config.Norm.GROUP):
    return frames * np.sqrt(frames.shape[1] / 2)
  if mean is not None:
    parts, *_ = np.linalg.lstsq(frames.T, mean * len(frames), rcond=None)
    return frames * parts[:, None]
  update = observation.needed(observed, INPUT)
  total, known = bias_update(observed)
  parts, *_ = np.linalg.lstsq(frames.T, update, rcond=None)
  inverse, *_ = np.linalg.lstsq(parts[:, known].T, total[known], rcond=None)
  with np.errstate(divide='ignore'):
    return frames / inverse[:, None]


def layers(
  observed: observation.Observation, *, knows_mean: bool
) -> tuple[str, ...]:
  """Names of parameters whose updates `order` cannot do without."""
  cfg = observed.model.ds2
  if knows_mean or cfg.norm in (config.Norm.LAYER, config.Norm.GROUP):
    return (RECURRENT,)
  return RECURRENT, INPUT, _bias(cfg)


def _bias(cfg: config.DeepSpeech2Config) -> str:
  """Name of the bias that is added to the input's products."""
  if cfg.norm is config.Norm.BATCH:
    return 'recurrent_0/norm/bias'
  return 'recurrent_0/bias'


def bias_update(
  observed: observation.Observation,
) -> tuple[Float[np.ndarray, ' outputs'], Bool[np.ndarray, ' outputs']]:
  """sum_t d_t of the input's products, and for which outputs it is known."""
  cfg = observed.model.ds2
  total = observation.needed(observed, _bias(cfg))
  if cfg.norm is config.Norm.BATCH:
    return total * norm_slope(observed), np.ones(len(total), bool)
  known = np.ones(total.shape, bool)
  if cfg.cell is config.Cell.GRU:
    # The candidate's bias stands behind the reset gate.
    known[:, 2 * cfg.recurrent_size :] = False
  return total.ravel(), known.ravel()


def norm_slope(
  observed: observation.Observation,
) -> Float[np.ndarray, ' outputs']:
  """What batch norm with known moments multiplies each product by."""
  params = observed.params['recurrent_0']['norm']
  variance = observed.norm_state['recurrent_0']['norm']['variance']
  return np.asarray(params['scale'], np.float64) / np.sqrt(
    np.asarray(variance, np.float64) + norms.EPSILON
  )


def projected(
  observed: observation.Observation,
  frames: Float[np.ndarray, 'frames units'],
  direction: int = 0,
) -> Float[Array, 'frames gates']:
  """What the recurrence is given in that direction."""
  cfg = observed.model.ds2
  layer = observed.params['recurrent_0']
  values = jnp.asarray(frames, jnp.float32) @ layer['input_kernel']
  if cfg.norm is not config.Norm.NONE:
    values = _normalized(observed, values)
  gates = recurrence.CELLS[cfg.cell].num_gates * cfg.recurrent_size
  return values[:, direction * gates : (direction + 1) * gates]


def _normalized(
  observed: observation.Observation,
  values: Float[Array, 'frames outputs'],
) -> Float[Array, 'frames outputs']:
  cfg = observed.model.ds2
  variables = {'params': observed.params['recurrent_0']['norm']}
  if cfg.norm is config.Norm.BATCH:
    variables['norm_state'] = observed.norm_state['recurrent_0']['norm']
    norm = norms.SequenceBatchNorm(momentum=cfg.norm_momentum)
    mask = jnp.ones((1, len(values)), bool)
    return norm.apply(variables, values[None], mask, False)[0]
  groups = cfg.num_norm_groups if cfg.norm is config.Norm.GROUP else 1
  return norms.FrameNorm(num_groups=groups).apply(variables, values[None])[0]


def stepper(
  observed: observation.Observation,
  states: subspace.Subspace,
  direction: int = 0,
) -> Step:
  """For every frame as the next in that direction."""
  cfg = observed.model.ds2
  cell = recurrence.CELLS[cfg.cell]
  size = cfg.recurrent_size
  layer = observed.params['recurrent_0']
  weights, bias = (
    layer[name][direction] for name in ('recurrent_kernel', 'bias')
  )
  basis = jnp.asarray(states.basis, jnp.float32)

  @jax.jit
  def from_state(
    projected: jax.Array, state: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    recurrent = state[:size] @ weights + bias
    after = jax.vmap(cell.step, (0, None, None))(projected, recurrent, state)
    output = after[:, :size]
    outside = output - (output @ basis) @ basis.T
    norm = jnp.linalg.norm(output, axis=1)
    return after, jnp.linalg.norm(outside, axis=1) / jnp.maximum(norm, 1e-12)

  def step(
    projected: jax.Array, state: np.ndarray | None
  ) -> tuple[jax.Array, jax.Array]:
    if state is None:
      return from_state(projected, jnp.zeros(cell.num_states * size))
    return from_state(projected, state)

  return step
