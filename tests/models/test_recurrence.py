import functools

import derivatives
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.models import ds2, recurrence

FLOAT32 = jnp.dtype('float32')
SIZE = 4
by_cell = pytest.mark.parametrize('cell', list(config.Cell))


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def numpy_gru(projected, recurrent, state):
  x, h = np.split(projected, 3), np.split(recurrent, 3)
  reset, update = sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1])
  return (1 - update) * np.tanh(x[2] + reset * h[2]) + update * state


def numpy_lstm(projected, recurrent, state):
  enter, forget, output, new = np.split(projected + recurrent, 4)
  memory = sigmoid(forget) * state[SIZE:] + sigmoid(enter) * np.tanh(new)
  return np.concatenate([sigmoid(output) * np.tanh(memory), memory])


def numpy_rnn(projected, recurrent, state):
  return np.minimum(np.maximum(projected + recurrent, 0), 20)


NUMPY_STEPS = {
  config.Cell.GRU: numpy_gru,
  config.Cell.LSTM: numpy_lstm,
  config.Cell.RNN: numpy_rnn,
}


def numpy_states(cell, projected, weights, bias):
  """States of one utterance in one direction, frame by frame."""
  state = np.zeros(SIZE * recurrence.CELLS[cell].num_states)
  states = []
  for frame in projected:
    state = NUMPY_STEPS[cell](frame, state[:SIZE] @ weights + bias, state)
    states.append(state)
  return np.array(states)


def plain_scan(cell, mask, projected, weights, bias):
  """The recurrence as autodiff alone would have it."""
  spec = recurrence.CELLS[cell]

  def step(state, inputs):
    frame, real = inputs
    recurrent = jnp.einsum('dbh,dhg->dbg', state[..., :SIZE], weights)
    moved = spec.step(frame, recurrent + bias[:, None], state)
    state = jnp.where(real, moved, state)
    return state, state

  start = jnp.zeros((*projected.shape[1:3], spec.num_states * SIZE))
  return jax.lax.scan(step, start, (projected, mask))[1]


def fused_scan(cell, mask, projected, weights, bias):
  return recurrence.scan(
    recurrence.CELLS[cell], FLOAT32, mask, projected, weights, bias
  )


def operands(cell, lengths=(6, 3, 0), directions=2, seed=0):
  """(mask, (projected, weights, bias)), in the precision that is on."""
  frames, batch = max(lengths), len(lengths)
  gates = recurrence.CELLS[cell].num_gates * SIZE
  rng = np.random.default_rng(seed)
  mask = np.arange(frames)[:, None] < np.array(lengths)
  mask = np.repeat(mask[:, None, :, None], directions, axis=1)
  values = (
    rng.standard_normal((frames, directions, batch, gates)),
    rng.standard_normal((directions, SIZE, gates)) / 2,
    rng.standard_normal((directions, gates)) / 2,
  )
  return jnp.asarray(mask), jax.tree.map(jnp.asarray, values)


def loss_of(scan, cell, mask, values):
  """A scalar in which every state has its own weight."""
  states = scan(cell, mask, *values)
  weight = jnp.sin(jnp.arange(states.size, dtype=states.dtype))
  return jnp.sum(weight.reshape(states.shape) * states**2)


@functools.cache
def gradients(scan, cell):
  """Compiled, over clients: (mask, values, direction) -> (loss, first, second).

  The second is of the gradient's slope along `direction` and of its squared
  norm, which is what gradient matching differentiates.
  """

  def client(mask, values, direction):
    loss = functools.partial(loss_of, scan, cell, mask)

    def of_gradient(values):
      gradient = jax.grad(loss)(values)
      return derivatives.slope(gradient, direction) + 0.1 * derivatives.slope(
        gradient, gradient
      )

    return *jax.value_and_grad(loss)(values), jax.grad(of_gradient)(values)

  return jax.jit(jax.vmap(client, (None, 0, 0)))


def clients(cell):
  """Mask, values and directions of three clients."""
  mask, _ = operands(cell)
  seeds = [operands(cell, seed=seed)[1] for seed in range(3)]
  values = jax.tree.map(lambda *leaves: jnp.stack(leaves), *seeds)
  return mask, values, derivatives.direction_like(values)


def assert_trees_close(tree, wanted, **tolerance):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, **tolerance), tree, wanted
  )


@by_cell
def test_states_equal_a_loop_over_frames(cell):
  lengths = (6, 3, 1, 0)
  with derivatives.float64():
    mask, values = operands(cell, lengths)
    states = np.asarray(fused_scan(cell, mask, *values))
  assert states.dtype == np.float64
  projected, weights, bias = map(np.asarray, values)
  for item, length in enumerate(lengths):
    for direction in range(2):
      loop = numpy_states(
        cell,
        projected[:length, direction, item],
        weights[direction],
        bias[direction],
      )
      own = states[:, direction, item]
      if length:
        np.testing.assert_allclose(own[:length], loop, atol=1e-14)
      np.testing.assert_array_equal(
        own[length:], np.broadcast_to(own[length - 1], own[length:].shape)
      )
  np.testing.assert_array_equal(states[:, :, 3], 0)


@by_cell
@pytest.mark.parametrize('bidirectional', [False, True])
def test_layer_runs_both_ways_over_real_frames_only(cell, bidirectional):
  """Against one utterance at a time, the second direction reversed by hand."""
  model = config.DeepSpeech2Config(
    cell=cell,
    recurrent_size=SIZE,
    bidirectional=bidirectional,
    norm=config.Norm.NONE,
  )
  layer = ds2.RecurrentLayer(model)
  lengths = (7, 4, 1, 0)
  inputs = np.random.default_rng(0).standard_normal((4, 7, 5))
  inputs = jnp.asarray(inputs, jnp.float32)
  num_frames = jnp.array(lengths)
  shapes = jax.eval_shape(
    functools.partial(layer.init, train=False),
    jax.random.key(0),
    inputs,
    num_frames,
  )
  variables = derivatives.direction_like(shapes)
  outputs = jax.jit(functools.partial(layer.apply, train=False))(
    variables, inputs, num_frames
  )
  params = jax.tree.map(np.asarray, variables['params'])
  for item, length in enumerate(lengths):
    wanted = np.zeros((7, SIZE))
    projected = np.asarray(inputs)[item, :length] @ params['input_kernel']
    projected = np.split(projected, 1 + bidirectional, axis=1)
    for direction in range(1 + bidirectional):
      order = slice(None, None, -1) if direction else slice(None)
      states = numpy_states(
        cell,
        projected[direction][order],
        params['recurrent_kernel'][direction],
        params['bias'][direction],
      )
      if length:
        wanted[:length] += states[order, :SIZE]
    np.testing.assert_allclose(outputs[item], wanted, atol=2e-6)


@by_cell
def test_gradients_equal_plain_autodiff_for_clients_under_vmap(cell):
  with derivatives.float64():
    loss, first, second = gradients(fused_scan, cell)(*clients(cell))
    mask, values, directions = clients(cell)
    for client in range(len(loss)):
      own = jax.tree.map(lambda x, c=client: x[c : c + 1], (values, directions))
      wanted = gradients(plain_scan, cell)(mask, *own)
      assert all(jnp.abs(x).max() > 1e-4 for x in jax.tree.leaves(wanted))
      assert_trees_close(
        jax.tree.map(lambda x, c=client: x[c : c + 1], (loss, first, second)),
        wanted,
        rtol=1e-10,
        atol=1e-10,
      )


@by_cell
def test_gradient_equals_finite_differences(cell):
  with derivatives.float64():
    mask, values, directions = clients(cell)
    run = gradients(fused_scan, cell)
    _, first, _ = run(mask, values, directions)
    difference = derivatives.central_difference(
      lambda moved: run(mask, moved, directions)[0], values, directions
    )
    slopes = jax.vmap(derivatives.slope)(first, directions)
    np.testing.assert_allclose(slopes, difference, rtol=1e-7)


@by_cell
def test_masked_frames_reach_neither_values_nor_gradients(cell):
  with derivatives.float64():
    mask, (projected, *rest), directions = clients(cell)
    run = gradients(fused_scan, cell)
    clean = run(mask, (jnp.where(mask, projected, 0), *rest), directions)
    for garbage in (1e30, np.inf, np.nan):
      soiled = jnp.where(mask, projected, garbage)
      dirty = run(mask, (soiled, *rest), directions)
      assert_trees_close(dirty, clean, rtol=0, atol=0)
    _, (first, *_), (second, *_) = clean
    np.testing.assert_array_equal(jnp.where(mask, 0, first), 0)
    np.testing.assert_array_equal(jnp.where(mask, 0, second), 0)


@by_cell
def test_bfloat16_operands_keep_float32_states_and_gradients(cell):
  mask, values = operands(cell)
  spec = recurrence.CELLS[cell]

  def run(dtype):
    def loss(values):
      states = recurrence.scan(spec, jnp.dtype(dtype), mask, *values)
      return jnp.sum(states**2), states

    return jax.jit(jax.grad(loss, has_aux=True))(values)

  narrow, narrow_states = run('bfloat16')
  wide, states = run('float32')
  assert {leaf.dtype for leaf in (*narrow, narrow_states)} == {FLOAT32}
  np.testing.assert_allclose(narrow_states, states, atol=0.1, rtol=0.03)
  for a, b in zip(narrow, wide, strict=True):
    assert float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b)) < 0.03


def test_only_the_cell_with_a_clipped_relu_is_smoothed():
  for cell in config.Cell:
    same = recurrence.cell_spec(cell, 0.1) is recurrence.CELLS[cell]
    assert same == (cell is not config.Cell.RNN)
    assert recurrence.cell_spec(cell) is recurrence.CELLS[cell]
  step = recurrence.cell_spec(config.Cell.RNN, 0.1).step
  zero = jnp.zeros(2)
  np.testing.assert_allclose(step(zero, zero, zero), 0.1 * np.log(2), rtol=1e-5)


def test_recurrent_weights_start_orthogonal_in_each_gate():
  gates = 3
  init = recurrence.initializer(config.Cell.GRU)
  weights = init(jax.random.key(0), (2, SIZE, gates * SIZE))
  blocks = np.asarray(weights).reshape(2, SIZE, gates, SIZE)
  for direction in range(2):
    for gate in range(gates):
      block = blocks[direction, :, gate]
      np.testing.assert_allclose(block @ block.T, np.eye(SIZE), atol=1e-5)
  first, second = blocks.reshape(2, -1)
  assert not np.allclose(first, second)


@pytest.mark.slow
def test_wide_layers_start_under_jit():
  # Two layers' decompositions, mapped, waited for each other on two cores.
  init = recurrence.initializer(config.Cell.GRU)
  keys = jax.random.split(jax.random.key(0))
  both = jax.jit(lambda keys: [init(key, (2, 256, 768)) for key in keys])
  first, second = jax.block_until_ready(both(keys))
  assert first.shape == second.shape == (2, 256, 768)
  np.testing.assert_allclose(first, init(keys[0], (2, 256, 768)), atol=1e-4)


@by_cell
def test_frames_in_the_carry_change_nothing(cell, monkeypatch):
  """What CPUs do against what other devices do, gradients included."""
  mask, values = operands(cell)

  def run():
    def loss(values):
      return loss_of(fused_scan, cell, mask, values)

    return jax.jit(jax.value_and_grad(loss))(values)

  carried = run()
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  assert_trees_close(run(), carried, rtol=1e-5, atol=1e-5)
