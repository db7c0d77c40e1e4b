"""Trial of GRU kernels that keep each client's recurrent weights on chip.

  python benchmarks/persistent_recurrence.py RESULT.json [--clients=64]
      [--sizes=512,256,128] [--frames=150] [--splits=8,16,32] [--warps=4,8]
      [--columns=8] [--resident=132] [--repeats=10] [--interpret]

Forward passes over batches of 8, every (client, direction) pair with its own
recurrent weights in bfloat16, by
  scan        `lax.scan`, which reads all weights at each frame
  persistent  a pair's hidden units split over `splits` programs, each of which
              holds its weights over all frames and meets the others at a
              barrier per frame; the pairs are taken in waves that fit at once
  streaming   one program per pair, which reads the pair's weights by tiles at
              each frame; no barrier between programs
Each row has the largest difference from scan's states, and seconds where that
is small. `warps` are tried for each split; `columns` is the batch as the
products see it (more than 8 repeats it: 16 if the compiler refuses 8).
`resident` programs run at once, at most the GPU's multiprocessors. With
--interpret, kernels are interpreted (on CPU; `splits` must be 1).
"""

import dataclasses
import functools
import json
import pathlib
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import main_job
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

BATCH = 8
DIRECTIONS = 2
# Polls of a pair's counter that a program may spend in a wave, some hundred
# times what it needs: programs that are not resident together would otherwise
# wait for each other forever. With none left it goes on, to a wrong result.
POLLS = 200_000
WRONG = 0.05


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  record = {
    'command': ' '.join(['persistent_recurrence.py', 'RESULT.json', *argv[2:]]),
    'machine': main_job.machine(),
  }
  path = pathlib.Path(argv[1])
  for part in measured(options(argv[2:])):
    # Kept from the first row on: a later one may not fit.
    record |= part
    path.write_text(json.dumps(record, indent=1) + '\n')
  return 0


def options(flags: list[str]) -> dict:
  chosen = {
    'clients': '64',
    'sizes': '512,256,128',
    'frames': '150',
    'splits': '8,16,32',
    'warps': '4,8',
    'columns': '8',
    'resident': '132',
    'repeats': '10',
    'interpret': '',
  }
  for flag in flags:
    name, _, value = flag.lstrip('-').partition('=')
    if name not in chosen:
      raise SystemExit(f'error: {flag}; want one of {", ".join(chosen)}.')
    chosen[name] = value or 'yes'
  return chosen


def measured(chosen: dict):
  """Yields parts of the record, `rows` growing."""
  from fedjax_asr import environment

  yield {'versions': environment.versions(), **chosen}
  repeats = int(chosen['repeats'])
  rows = []
  for size in _numbers(chosen['sizes']):
    arguments = inputs(int(chosen['clients']), int(chosen['frames']), size)
    expected = jax.block_until_ready(jax.jit(scan)(*arguments))
    for name, function in variants(chosen, size):
      try:
        row = _row(jax.jit(function), arguments, expected, repeats)
      except Exception as error:
        message = ' '.join(f'{type(error).__name__}: {error}'.split())
        row = {'failed': message[:400]}
      rows.append({'size': size, **name, **row})
      print(json.dumps(rows[-1]), flush=True)
      yield {'rows': rows, **main_job.memory()}


def variants(chosen: dict, size: int):
  """Yields (its part of the row, function) of each variant."""
  yield {'variant': 'scan'}, scan
  interpret = bool(chosen['interpret'])
  columns = int(chosen['columns'])
  all_warps = _numbers(chosen['warps'])
  for splits in _numbers(chosen['splits']):
    for warps in all_warps:
      name = {'variant': 'persistent', 'splits': splits, 'warps': warps}
      tile = Tile(size, size // splits, columns, warps, interpret)
      yield (
        name,
        functools.partial(
          persistent, tile=tile, resident=int(chosen['resident'])
        ),
      )
  for warps in all_warps:
    # 64 kB of weights at a time.
    tile = Tile(size, min(size, 8192 // size), columns, warps, interpret)
    name = {'variant': 'streaming', 'units': tile.units, 'warps': warps}
    yield name, functools.partial(streaming, tile=tile)


def inputs(clients: int, frames: int, size: int) -> tuple:
  """(weights, bias, projected) at random."""
  keys = jax.random.split(jax.random.key(size), 3)
  leading = clients, DIRECTIONS
  scale = size**-0.5
  weights = scale * jax.random.normal(keys[0], (*leading, size, 3 * size))
  bias = 0.1 * jax.random.normal(keys[1], (*leading, 3 * size))
  shape = frames, *leading, BATCH, 3 * size
  projected = jax.random.normal(keys[2], shape)
  return weights.astype(jnp.bfloat16), bias, projected


def scan(weights, bias, projected):
  """States [frames, clients, directions, batch, size], one frame at a time."""

  def step(state, frame):
    recurrent = jnp.einsum(
      'ndbh,ndhg->ndbg',
      state.astype(jnp.bfloat16),
      weights,
      preferred_element_type=jnp.float32,
    )
    recurrent = recurrent + bias[:, :, None]
    parts = (jnp.split(value, 3, -1) for value in (frame, recurrent))
    state = _cell(*parts, state)
    return state, state

  shape = *projected.shape[1:-1], projected.shape[-1] // 3
  return jax.lax.scan(step, jnp.zeros(shape), projected)[1]


def _cell(projected, recurrent, state):
  """`recurrence._gru_step`, of the three gates apart."""
  reset = jax.nn.sigmoid(projected[0] + recurrent[0])
  update = jax.nn.sigmoid(projected[1] + recurrent[1])
  candidate = jnp.tanh(projected[2] + reset * recurrent[2])
  return (1 - update) * candidate + update * state


@dataclasses.dataclass(frozen=True)
class Tile:
  """The hidden units that a program computes together, of one pair.

  Products are transposed, weights^T [units, size] @ state^T [size, columns], so
  that the batch is the short side, of which the tensor cores of an H100 (wgmma)
  take 8 and more, and of the long side 64 rows; they read both from shared
  memory, where the compiler puts weights that are loaded before a loop once.
  With fewer units than 64 the gates are packed into one matrix, with a fourth
  of zeros: sizes have to be powers of two.
  """

  size: int
  units: int
  columns: int
  warps: int
  interpret: bool

  @property
  def packed(self) -> bool:
    return self.units < 64

  def weights(self, ref, pair, first) -> list[jax.Array]:
    """The units' matrices [gates * units, size], `first` being their first."""
    from_unit = jnp.arange(self.size)[:, None]
    if not self.packed:
      units = first + jnp.arange(self.units)[None]
      columns = [gate * self.size + units for gate in range(3)]
      return [ref[pair, from_unit, column].T for column in columns]
    row = jnp.arange(4 * self.units)[None]
    # Not // and %, whose care for signs hides from the compiler that
    # neighbours lie side by side.
    gate = jax.lax.div(row, jnp.full_like(row, self.units))
    unit = first + jax.lax.rem(row, jnp.full_like(row, self.units))
    tile = plgpu.load(
      ref.at[pair, from_unit, gate * self.size + unit],
      mask=jnp.broadcast_to(gate < 3, (self.size, 4 * self.units)),
      other=0.0,
    )
    return [tile.T]

  def bias(self, ref, pair, first) -> list[jax.Array]:
    """Of each gate, [units, 1]."""
    unit = first + jnp.arange(self.units)
    return [ref[pair, gate * self.size + unit][:, None] for gate in range(3)]

  def projected(self, ref, frame, pair, first) -> list[jax.Array]:
    """Of each gate, [units, columns]."""
    unit = first + jnp.arange(self.units)[None]
    return [
      ref[frame, pair, self._batch(), gate * self.size + unit].T
      for gate in range(3)
    ]

  def recurrent(self, weights, bias, state) -> list[jax.Array]:
    """Of each gate, [units, columns], of a whole state [size, columns]."""
    products = [plgpu.dot(matrix, state) for matrix in weights]
    if self.packed:
      products = jnp.split(products[0], 4)
    return [product + b for product, b in zip(products, bias, strict=False)]

  def whole_state(self, ref, frame, pair) -> jax.Array:
    """The state before `frame`, [size, columns] in bfloat16.

    Volatile, as it was written since the kernel's start by other programs or
    threads: it is read where it is told to, and not from this multiprocessor's
    own cache.
    """
    return self._before(ref, frame, pair, 0, self.size).astype(jnp.bfloat16)

  def own_state(self, ref, frame, pair, first) -> jax.Array:
    """The units' state before `frame`, [units, columns]."""
    return self._before(ref, frame, pair, first, self.units)

  def store(self, ref, frame, pair, first, state):
    # Repeated columns write the same values to the same place.
    unit = first + jnp.arange(self.units)[None]
    ref[frame, pair, self._batch(), unit] = state.T

  def sync(self):
    """Meets the program's other threads."""
    if not self.interpret:
      plgpu.debug_barrier()

  def add(self, ref, at, amount):
    """Adds to a counter for all programs to see; its value before."""
    if not self.interpret:
      return plgpu.atomic_add(ref, (at,), amount)
    before = ref[at]
    ref[at] = before + amount
    return before

  def _before(self, ref, frame, pair, first, count):
    unit = first + jnp.arange(count)[None]
    at = ref.at[jnp.maximum(frame - 1, 0), pair, self._batch(), unit]
    return jnp.where(frame > 0, plgpu.load(at, volatile=True).T, 0.0)

  def _batch(self):
    column = jnp.arange(self.columns)
    return jax.lax.rem(column, jnp.full_like(column, BATCH))[:, None]


def persistent(weights, bias, projected, *, tile, resident, exchange=None):
  """`scan`; `exchange` tells whether states pass through memory at all."""
  splits = tile.size // tile.units
  pairs = weights.shape[0] * weights.shape[1]
  at_once = min(pairs, resident // splits)
  waves = pl.cdiv(pairs, at_once)
  kernel = functools.partial(
    _persistent_kernel,
    tile=tile,
    splits=splits,
    waves=waves,
    exchange=splits > 1 if exchange is None else exchange,
  )
  counters = jnp.zeros(waves * at_once, jnp.int32)
  flat, states = _flat(weights, bias, projected)
  states, _ = pl.pallas_call(
    kernel,
    grid=(at_once, splits),
    out_shape=(states, jax.ShapeDtypeStruct(counters.shape, counters.dtype)),
    input_output_aliases={3: 1},
    interpret=tile.interpret,
    # One stage: with more, loads may be moved a frame ahead of the barrier.
    compiler_params=plgpu.CompilerParams(num_warps=tile.warps, num_stages=1),
  )(*flat, counters)
  return _unflat(states, projected)


def _persistent_kernel(
  weights,
  bias,
  projected,
  zeros,
  states,
  counters,
  *,
  tile,
  splits,
  waves,
  exchange,
):
  """The waves of pairs of one place in the grid.

  All programs of a pair have to run at once, so the grid is no larger than what
  is resident and the waves are a loop in the kernel, not in the grid. A pair's
  counter only grows, by `splits` a frame.
  """
  del zeros  # They are in `counters`.
  first = pl.program_id(1) * tile.units
  place, at_once = pl.program_id(0), pl.num_programs(0)

  def wave_body(wave, _):
    counter = wave * at_once + place
    # Places behind the last pair repeat it, with a counter of their own.
    pair = jnp.minimum(counter, weights.shape[0] - 1)
    held = tile.weights(weights, pair, first)
    held_bias = tile.bias(bias, pair, first)

    def frame_body(frame, carry):
      state, polls = carry
      # Asked for first, so that it is on the way during the wait.
      inputs = tile.projected(projected, frame, pair, first)
      if exchange:
        polls = _wait(tile, counters, counter, splits * frame, polls)
        tile.sync()
        whole = tile.whole_state(states, frame, pair)
      else:
        whole = state.astype(jnp.bfloat16)
      recurrent = tile.recurrent(held, held_bias, whole)
      state = _cell(inputs, recurrent, state)
      tile.store(states, frame, pair, first, state)
      if exchange:
        tile.sync()
        tile.add(counters, counter, 1)
      return state, polls

    start = jnp.zeros((tile.units, tile.columns), jnp.float32)
    carry = start, jnp.int32(POLLS)
    jax.lax.fori_loop(0, projected.shape[0], frame_body, carry)

  jax.lax.fori_loop(0, waves, wave_body, None)


def _wait(tile, counters, counter, target, polls):
  """Polls until the counter is at `target`; how many polls are left.

  What is relied on: Pallas' Triton atomics acquire and release at the scope of
  the GPU. A program's threads store their states and meet (`sync`), then one of
  them adds to the counter; a thread that later reads that sum by an atomic of
  its own (adding 0) and meets its program's other threads orders their loads
  behind those stores. A state's place in memory is written once and read after
  that only, apart from the zeroth frame's, whose value is then not used.
  """

  def unmet(carry):
    seen, polls = carry
    return (seen < target) & (polls > 0)

  def poll(carry):
    _, polls = carry
    return tile.add(counters, counter, 0), polls - 1

  return jax.lax.while_loop(unmet, poll, (jnp.int32(0), polls))[1]


def streaming(weights, bias, projected, *, tile):
  """`scan`, a program per pair."""
  flat, states = _flat(weights, bias, projected)
  states = pl.pallas_call(
    functools.partial(_streaming_kernel, tile=tile),
    grid=(weights.shape[0] * weights.shape[1],),
    out_shape=states,
    interpret=tile.interpret,
    compiler_params=plgpu.CompilerParams(num_warps=tile.warps, num_stages=2),
  )(*flat)
  return _unflat(states, projected)


def _streaming_kernel(weights, bias, projected, states, *, tile):
  """All frames of a pair; the state passes through memory."""
  pair = pl.program_id(0)

  def frame_body(frame, _):
    whole = tile.whole_state(states, frame, pair)

    def tile_body(index, _):
      first = index * tile.units
      recurrent = tile.recurrent(
        tile.weights(weights, pair, first), tile.bias(bias, pair, first), whole
      )
      inputs = tile.projected(projected, frame, pair, first)
      state = tile.own_state(states, frame, pair, first)
      tile.store(states, frame, pair, first, _cell(inputs, recurrent, state))

    jax.lax.fori_loop(0, tile.size // tile.units, tile_body, None)
    tile.sync()

  jax.lax.fori_loop(0, projected.shape[0], frame_body, None)


def _flat(weights, bias, projected):
  """The arguments with clients and directions as one axis, and the states."""
  frames, clients, directions, batch, gates = projected.shape
  pairs = clients * directions
  shape = frames, pairs, batch, gates // 3
  flat = (
    weights.reshape(pairs, *weights.shape[2:]),
    bias.reshape(pairs, gates),
    projected.reshape(frames, pairs, batch, gates),
  )
  return flat, jax.ShapeDtypeStruct(shape, jnp.float32)


def _unflat(states, projected):
  return states.reshape(*projected.shape[:-1], states.shape[-1])


def _row(function, arguments, expected, repeats: int) -> dict:
  """Seconds, and the error before and after."""
  started = time.perf_counter()
  compiled = function.lower(*arguments).compile()
  row = {'compile_seconds': round(time.perf_counter() - started, 1)}
  error = _error(compiled(*arguments), expected)
  if not error < WRONG:
    return row | {'failed': f'wrong states, by {error}'}
  taken = []
  for _ in range(repeats):
    started = time.perf_counter()
    states = jax.block_until_ready(compiled(*arguments))
    taken.append(time.perf_counter() - started)
  row['max_error'] = max(error, _error(states, expected))
  row['milliseconds'] = {
    'min': round(1e3 * min(taken), 3),
    'median': round(1e3 * statistics.median(taken), 3),
    'max': round(1e3 * max(taken), 3),
  }
  return row


@jax.jit
def _largest_difference(states, expected):
  return jnp.max(jnp.abs(states - expected))


def _error(states, expected) -> float:
  return float(_largest_difference(states, expected))


def _numbers(values: str) -> list[int]:
  return [int(value) for value in values.split(',')]


if __name__ == '__main__':
  sys.exit(main(sys.argv))
