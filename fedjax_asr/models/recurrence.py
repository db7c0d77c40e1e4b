"""Recurrent layers over masked sequences, one scan for both directions.

The input projection is hoisted out of the scan. The backward pass scans only
the cell's gradients and forms the recurrent weight's gradient in one matrix
product afterwards: plain autodiff would read and write it at every frame. It
is built of ordinary JAX operations, so it can itself be differentiated.

With bfloat16 operands the pre-activations, and their gradients, are also kept
in bfloat16 between the scan and the products beside it: a scan is bound by
what it reads and writes. States, and the gradient that goes from frame to
frame, are float32.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from fedjax_asr import config
from fedjax_asr.models import activation, product


class CellSpec(NamedTuple):
  """A recurrent cell: `step(projected, recurrent, state) -> state`.

  `projected` [..., gates * size] is the input's part of the pre-activations,
  `recurrent` the state's; a state is [..., states * size], output first.
  """

  num_gates: int
  num_states: int
  step: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def _gru_step(projected, recurrent, state):
  """Cho et al. 2014, with the reset gate after the product (cuDNN's form)."""
  x_reset, x_update, x_candidate = jnp.split(projected, 3, axis=-1)
  h_reset, h_update, h_candidate = jnp.split(recurrent, 3, axis=-1)
  reset = jax.nn.sigmoid(x_reset + h_reset)
  update = jax.nn.sigmoid(x_update + h_update)
  candidate = jnp.tanh(x_candidate + reset * h_candidate)
  return (1 - update) * candidate + update * state


def _lstm_step(projected, recurrent, state):
  """Hochreiter and Schmidhuber 1997, with forget gate."""
  _, cell = jnp.split(state, 2, axis=-1)
  gates = jnp.split(projected + recurrent, 4, axis=-1)
  enter, forget, output = (jax.nn.sigmoid(gate) for gate in gates[:3])
  cell = forget * cell + enter * jnp.tanh(gates[3])
  return jnp.concatenate([output * jnp.tanh(cell), cell], axis=-1)


def _rnn_step(projected, recurrent, state, smoothing=0.0):
  """The simple recurrence of DeepSpeech 2, f(W x + U h)."""
  del state
  return activation.clipped_relu(projected + recurrent, smoothing)


CELLS = {
  config.Cell.GRU: CellSpec(num_gates=3, num_states=1, step=_gru_step),
  config.Cell.LSTM: CellSpec(num_gates=4, num_states=2, step=_lstm_step),
  config.Cell.RNN: CellSpec(num_gates=1, num_states=1, step=_rnn_step),
}


def cell_spec(cell: config.Cell, smoothing: float = 0.0) -> CellSpec:
  """The cell; one with a clipped ReLU has it smoothed as told."""
  spec = CELLS[cell]
  if smoothing and cell is config.Cell.RNN:
    return spec._replace(step=functools.partial(_rnn_step, smoothing=smoothing))
  return spec


def _recurrent(state, weights, bias, dtype):
  """The state's part of the pre-activations."""
  projected = product.einsum('...dbh,dhg->...dbg', state, weights, dtype)
  return projected + bias[:, None]


def _masked_step(cell, real, projected, recurrent, state):
  """One frame; a padded frame leaves the state untouched.

  Its values are cleared first: NaN would reach the gradient through the branch
  not taken.
  """
  projected = jnp.where(real, projected, 0).astype(state.dtype)
  recurrent = recurrent.astype(state.dtype)
  return jnp.where(real, cell.step(projected, recurrent, state), state)


def scan(
  cell: CellSpec,
  dtype: jnp.dtype,
  mask: Bool[Array, 'frames directions batch 1'],
  projected: Float[Array, 'frames directions batch gates'],
  weights: Float[Array, 'directions size gates'],
  bias: Float[Array, 'directions gates'],
) -> Float[Array, 'frames directions batch states']:
  """States after each frame from a zero state.

  A state does not move at a masked frame, whatever `projected` holds there.
  Differentiable any number of times.
  """
  return _fused_scan(cell, dtype, mask, projected, weights, bias)


def _over_frames(step, start, frames, *, reverse=False):
  """`jax.lax.scan`, with each frame handed over in the carry on CPUs.

  There XLA fuses the slice of a scanned array into the cell and then does not
  vectorise its exponentials, which takes four times as long.
  """
  if jax.default_backend() != 'cpu':
    return jax.lax.scan(step, start, frames, reverse=reverse)
  first = -1 if reverse else 0
  shift = 1 if reverse else -1
  following = jax.tree.map(lambda leaf: jnp.roll(leaf, shift, 0), frames)

  def carried(carry, following):
    state, frame = carry
    state, output = step(state, frame)
    return (state, following), output

  carry = start, jax.tree.map(lambda leaf: leaf[first], frames)
  (state, _), outputs = jax.lax.scan(carried, carry, following, reverse=reverse)
  return state, outputs


def directed_states(
  cell: CellSpec,
  dtype: jnp.dtype,
  mask: Bool[Array, 'batch frames'],
  projected: Float[Array, 'batch frames directions gates'],
  weights: Float[Array, 'directions size gates'],
  bias: Float[Array, 'directions gates'],
) -> Float[Array, 'batch frames directions states']:
  """`scan` over batches; the second direction runs backwards in time.

  `projected` is rounded to `dtype`. Behind an utterance's end the states hold
  their last value, not zeros.
  """
  directions = projected.shape[2]
  states = scan(
    cell,
    dtype,
    _time_major(mask[:, :, None, None].repeat(directions, 2)),
    _time_major(product.operand(projected, dtype)),
    weights,
    bias,
  )
  return _batch_major(states)


def _time_major(values):
  """[batch, frames, directions, x] -> [frames, directions, batch, x]."""
  return second_reversed(values.transpose(1, 2, 0, 3))


def _batch_major(values):
  """Undoes `_time_major`."""
  return second_reversed(values).transpose(2, 0, 1, 3)


def second_reversed(
  values: Shaped[Array, 'frames directions *rest'],
) -> Shaped[Array, 'frames directions *rest']:
  """The same with the second direction, if there is one, back to front.

  Not `.at[].set`: XLA's CPU back end writes such an update over the operand
  that it still reads (docs/xla_in_place_update.md).
  """
  return jnp.concatenate([values[:, :1], values[::-1, 1:]], axis=1)


def continued(
  cell: CellSpec,
  dtype: jnp.dtype,
  mask: Bool[Array, 'batch frames'],
  projected: Float[Array, 'batch frames 1 gates'],
  weights: Float[Array, '1 size gates'],
  bias: Float[Array, '1 gates'],
  start: Float[Array, '1 batch states'],
) -> Float[Array, 'batch frames 1 states']:
  """`directed_states` of one direction from a state on; the last frame's is
  the state to go on from, since masked frames do not move it."""
  states = _scan_from(
    cell,
    dtype,
    _time_major(mask[:, :, None, None]),
    _time_major(product.operand(projected, dtype)),
    weights,
    bias,
    start,
  )
  return _batch_major(states)


def _plain_scan(cell, dtype, mask, projected, weights, bias):
  start = jnp.zeros(
    (*projected.shape[1:3], cell.num_states * weights.shape[1]),
    jnp.result_type(projected, weights, bias),
  )
  return _scan_from(cell, dtype, mask, projected, weights, bias, start)


def _scan_from(cell, dtype, mask, projected, weights, bias, start):
  size = weights.shape[1]
  # Outside: XLA would round them anew at every frame.
  rounded = product.operand(weights, dtype)

  def step(state, inputs):
    frame, real = inputs
    recurrent = _recurrent(state[..., :size], rounded, bias, dtype)
    state = _masked_step(cell, real, frame, recurrent, state)
    return state, state

  _, states = _over_frames(step, start, (projected, mask))
  return states


def _scan_forward(cell, dtype, mask, projected, weights, bias):
  states = _plain_scan(cell, dtype, mask, projected, weights, bias)
  return states, (mask, projected, weights, bias, states)


def _scan_backward(cell, dtype, residuals, gradients):
  mask, projected, weights, bias, states = residuals
  size = weights.shape[1]
  previous = jnp.concatenate([jnp.zeros_like(states[:1]), states[:-1]])
  recurrent = product.operand(
    _recurrent(previous[..., :size], weights, bias, dtype), dtype
  )
  transposed = product.operand(jnp.swapaxes(weights, 1, 2), dtype)

  def step(gradient, inputs):
    frame, frame_recurrent, state, real, arriving = inputs
    _, pull = jax.vjp(
      functools.partial(_masked_step, cell, real),
      frame,
      frame_recurrent,
      state,
    )
    d_frame, d_recurrent, d_state = pull(gradient + arriving)
    through = product.einsum('dbg,dgh->dbh', d_recurrent, transposed, dtype)
    # Not `.at[].add`: over a whole axis its scatter crashes XLA's partitioner
    # (Shardy, jaxlib 0.11) where there are several devices.
    rest = ((0, 0), (0, 0), (0, d_state.shape[-1] - size))
    return d_state + jnp.pad(through, rest), (d_frame, d_recurrent)

  inputs = (projected, recurrent, previous, mask, gradients)
  start = jnp.zeros_like(states[0])
  _, (d_projected, d_recurrent) = _over_frames(
    step, start, inputs, reverse=True
  )
  d_weights = product.einsum(
    'tdbh,tdbg->dhg', previous[..., :size], d_recurrent, dtype
  )
  d_bias = d_recurrent.sum((0, 2), dtype=bias.dtype)
  return (
    None,
    d_projected,
    d_weights.astype(weights.dtype),
    d_bias,
  )


_fused_scan = jax.custom_vjp(_plain_scan, nondiff_argnums=(0, 1))
_fused_scan.defvjp(_scan_forward, _scan_backward)


def initializer(cell: config.Cell) -> nn.initializers.Initializer:
  """Orthogonal per gate, as recurrences want it."""
  gates = CELLS[cell].num_gates

  def init(key, shape, dtype=jnp.float32):
    directions, size, _ = shape
    orthogonal = nn.initializers.orthogonal()
    keys = jax.random.split(key, (directions * gates,))
    # One after another: on CPUs, decompositions of 256 x 256 that run at once
    # under jit wait for each other for ever (seen with jaxlib 0.10.2).
    one = functools.partial(orthogonal, shape=(size, size), dtype=dtype)
    blocks = jax.lax.map(one, keys).reshape(directions, gates, size, size)
    return blocks.transpose(0, 2, 1, 3).reshape(shape)

  return init
