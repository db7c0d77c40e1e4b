"""Linear regression in place of a recogniser, through the real round.

A published update rule is then worked by hand: losses are squares, and a client
holds a few rows. `Simulation` compiles the round that users run, on such a
model, and keeps the memories of clients between rounds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fedjax_asr import config
from fedjax_asr.federated import (
  algorithm,
  channel,
  cohort,
  devices,
  optimizers,
  rounds,
  server,
)

# Frames of the only bucket: a row of x is the one frame of an utterance.
BUCKETS = (1,)


class Data(NamedTuple):
  """What one client holds; its local steps go over `batches` in order.

  batches: of each step, rows (x, y) with x [features] and y an integer.
  """

  batches: Sequence[Sequence[tuple[Sequence[float], int]]]


# Two clients with unequal data and numbers of steps.
UNEQUAL = (
  Data([[((1.0, 2.0), 3), ((0.5, -1.0), 1)], [((2.0, 0.0), -1)]]),
  Data([[((-1.0, 1.0), 2)]]),
)
# (block_size, num_devices): all at once, one by one, and with padding clients.
LAYOUTS = ((0, 1), (1, 1), (1, 2), (4, 1))


def gradient(params, norm_state, batch, key):
  """As `local_gradient`: of the mean of half squares over a batch's rows."""
  del key
  x, y = batch.features[:, 0], batch.labels[:, 0].astype(jnp.float32)
  real = (batch.num_frames > 0).astype(jnp.float32)
  count = real.sum()

  def loss(params):
    # Of a model in two parts, each predicts by itself.
    predicted = sum(x @ w for w in jax.tree.leaves(params))
    squares = 0.5 * jnp.square(predicted - y) * real
    return squares.sum() / jnp.maximum(count, 1), squares.sum()

  slope, total = jax.grad(loss, has_aux=True)(params)
  zero = jnp.zeros(())
  totals = algorithm.Totals(
    loss=total,
    gradient_norm=zero,
    num_steps=zero,
    num_utterances=count,
    num_frames=count,
    num_infeasible=zero,
  )
  return slope, (norm_state, totals)


def slope_by_hand(w, rows):
  """The same in NumPy, float64."""
  w = np.asarray(w, float)
  return np.mean([(np.dot(x, w) - y) * np.array(x) for x, y in rows], axis=0)


def loss_by_hand(w, rows):
  return np.mean([0.5 * (np.dot(x, w) - y) ** 2 for x, y in rows])


def sgd_by_hand(w, client: Data, rate, correct=lambda slope, w: slope):
  """Where a client's steps lead from `w`; each gradient is corrected."""
  w = np.array(w, float)
  for rows in client.batches:
    w -= rate * correct(slope_by_hand(w, rows), w)
  return w


def members(
  clients: Sequence[Data],
  client_ids: Sequence[int],
  block_size: int = 0,
  num_devices: int = 1,
  staleness: Sequence[int] | None = None,
) -> cohort.Cohort:
  """The cohort of these clients, padded as the real ones are."""
  taken = [clients[index] for index in client_ids]
  num_steps = max(len(client.batches) for client in clients)
  batch_size = max(len(b) for client in clients for b in client.batches)
  width = len(clients[0].batches[0][0][0])
  block_size = block_size or len(taken)
  num_blocks = -(-len(taken) // (block_size * num_devices))
  places = (num_devices, num_blocks, block_size)
  shape = (*places, num_steps * batch_size)
  # Garbage behind the real rows: padding may change nothing.
  x = np.full((*shape, 1, width), 7.0, np.float32)
  y = np.full((*shape, 1), 9, np.int32)
  num_frames = np.zeros(shape, np.int32)
  indices = np.full((*places, num_steps, batch_size), -1, np.int32)
  ids = np.full(places, -1, np.int32)
  stale = np.zeros_like(ids)
  for place, (index, client) in enumerate(zip(client_ids, taken, strict=True)):
    block, rest = divmod(place, num_devices * block_size)
    device, row = divmod(rest, block_size)
    ids[device, block, row] = index
    stale[device, block, row] = staleness[place] if staleness else 0
    for step, rows in enumerate(client.batches):
      for column, (values, target) in enumerate(rows):
        own = step * batch_size + column
        at = device, block, row, own
        x[at], y[at], num_frames[at] = values, target, 1
        indices[device, block, row, step, column] = own
  indices = indices.swapaxes(2, 3)
  return cohort.Cohort(
    utterances=cohort.Batch(x, num_frames, y, num_frames),
    indices=indices,
    bucket=(indices.max((3, 4)) >= 0).astype(np.int32),
    client_ids=ids,
    staleness=stale,
  )


class Simulation:
  """Rounds of an algorithm on linear clients, by the compiled round."""

  def __init__(
    self,
    method: algorithm.Algorithm,
    federated: config.FederatedConfig,
    clients: Sequence[Data] = UNEQUAL,
    line: channel.Channel | None = None,
    block_size: int = 0,
    num_devices: int = 1,
    params: dict | None = None,
  ):
    """`params`: zero weights by default."""
    self.clients = clients
    self.layout = {'block_size': block_size, 'num_devices': num_devices}
    self.devices = jax.local_devices()[:num_devices]
    line = line or channel.chain([])
    self.round_fn = rounds.of_algorithm(
      method, line, federated, BUCKETS, self.devices
    )
    params = params or {'w': jnp.zeros(len(clients[0].batches[0][0][0]))}
    optimizer = optimizers.server_optimizer(
      federated.server, federated.num_rounds
    )
    state = server.ServerState(
      params=params,
      norm_state={},
      opt_state=optimizer.init(params),
      round=jnp.zeros((), jnp.int32),
      memory=method.init_server(params, {}),
      channel_state=line.init_server(params) if line.init_server else (),
    )
    self.state = devices.replicate(state, self.devices)
    memory = rounds.ClientMemory(
      method.init_client(params, {}), line.init(params) if line.init else ()
    )
    self.memories = [jax.device_get(memory) for _ in clients]

  @property
  def w(self) -> np.ndarray:
    return np.asarray(self.state.params['w'])

  def round(
    self,
    client_ids: Sequence[int] | None = None,
    staleness: Sequence[int] | None = None,
    secret: jax.Array | None = None,
  ) -> rounds.Outcome:
    """One round of these clients; all of them by default, and none stale."""
    if client_ids is None:
      client_ids = range(len(self.clients))
    drawn = members(
      self.clients, list(client_ids), **self.layout, staleness=staleness
    )
    memories = jax.tree.map(
      lambda *leaves: np.stack(leaves).reshape(
        *drawn.client_ids.shape, *np.shape(leaves[0])
      ),
      *[self.memories[index] for index in drawn.client_ids.ravel()],
    )
    self.state, memories, outcome = self.round_fn(
      self.state,
      devices.spread(drawn, self.devices),
      devices.spread(memories, self.devices),
      jax.random.key(0),
      None,
      secret,
    )
    memories, outcome = jax.device_get((memories, outcome))
    for place, index in np.ndenumerate(drawn.client_ids):
      # As the run does: of who was left out nothing is kept.
      if index >= 0 and not outcome.reports.is_broken[place]:
        self.memories[index] = jax.tree.map(
          lambda leaf, place=place: leaf[place], memories
        )
    return outcome
