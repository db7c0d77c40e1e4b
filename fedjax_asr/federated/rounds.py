"""A federated round as one jitted function.

Each device scans over its blocks of clients; a block is a vmap of local
training; weighted messages are added to a running sum, so memory depends on the
block and not on the cohort. The sums are added across devices and the server
takes one optimizer step. Which algorithm it is, and what a channel does to
messages, is nowhere asked here.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from fedjax_asr import config
from fedjax_asr.federated import (
  aggregation,
  algorithm,
  algorithms,
  block,
  channel,
  cohort,
  devices,
  optimizers,
  server,
)
from fedjax_asr.models import model


class RoundMetrics(NamedTuple):
  """Means over the round's utterances (loss) and steps (gradient norm).

  num_broken: clients with a loss or a gradient that is not finite, and the
    first few of their ids, ascending; -1 behind them.
  is_broken: the loss, or some of the server's state, is not finite.
  """

  loss: Float[Array, '']
  gradient_norm: Float[Array, '']
  delta_norm: Float[Array, '']
  num_utterances: Float[Array, '']
  num_frames: Float[Array, '']
  num_infeasible: Float[Array, '']
  num_clients: Float[Array, '']
  num_broken: Float[Array, '']
  is_broken: Bool[Array, '']
  broken_clients: Int[Array, ' few']
  client_learning_rate: Float[Array, '']


class _Added(NamedTuple):
  """Running sums over clients."""

  sums: algorithm.Sums
  num_clients: Float[Array, '']
  totals: algorithm.Totals


_NUM_NAMED = 5

RoundFn = Callable[
  [server.ServerState, cohort.Cohort, jax.Array],
  tuple[server.ServerState, RoundMetrics],
]


def make_round(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
  frame_buckets: Sequence[int],
  device_list: Sequence[devices.Device],
) -> RoundFn:
  """`round_fn(server_state, cohort, key) -> (server_state, metrics)`.

  Jitted, and the server state is donated. The result does not depend on block
  size, number of devices or padding, up to the order of float32 sums. `key` is
  the run's; the round's randomness is a function of it, the round and the
  client. A cohort without a usable utterance gives a delta of exactly zero.
  """
  method = algorithms.make(acoustic, federated, augmentation)
  line = channel.make(federated.privacy, federated.compression)
  optimizer = optimizers.server_optimizer(
    federated.server, federated.num_rounds
  )
  over_clients = devices.sum_over_devices(
    _device_sums(
      block.Training(method, tuple(frame_buckets)), line, len(device_list)
    ),
    device_list,
    federated.device_map,
  )

  def round_fn(state, members, key):
    sent = server.broadcast(state, federated)
    round_key = jax.random.fold_in(key, state.round)
    added, broken = over_clients((sent, round_key), members)
    update, memory = method.combine(sent, added.sums)
    update = line.server(update, added.sums.weight, round_key)
    state = server.stepped(state, update, memory, optimizer)
    metrics = _metrics(added, update, sent.learning_rate)
    return state, metrics._replace(
      num_broken=broken.sum().astype(jnp.float32),
      is_broken=~_is_finite((metrics.loss, state)),
      broken_clients=_broken_clients(broken, members.client_ids),
    )

  return jax.jit(round_fn, donate_argnums=0)


def _metrics(added: _Added, delta: algorithm.Update, rate) -> RoundMetrics:
  totals = added.totals
  return RoundMetrics(
    loss=totals.loss / jnp.maximum(totals.num_utterances, 1),
    gradient_norm=totals.gradient_norm / jnp.maximum(totals.num_steps, 1),
    delta_norm=optax.tree.norm(delta.params),
    num_utterances=totals.num_utterances,
    num_frames=totals.num_frames,
    num_infeasible=totals.num_infeasible,
    num_clients=added.num_clients,
    num_broken=jnp.zeros(()),
    is_broken=jnp.zeros((), bool),
    broken_clients=jnp.zeros(_NUM_NAMED, jnp.int32),
    client_learning_rate=rate,
  )


def _is_finite(tree):
  return jnp.stack(
    [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
  ).all()


def _broken_clients(broken, client_ids):
  none = jnp.iinfo(jnp.int32).max
  found = jnp.where(broken > 0, client_ids, none).ravel()
  found = jnp.append(found, jnp.full(_NUM_NAMED, none))
  found = jnp.sort(found)[:_NUM_NAMED]
  return jnp.where(found == none, -1, found)


def _device_sums(training: block.Training, line: channel.Channel, num_devices):
  """`(shared, members) -> (_Added, broken)` over the blocks of one device.

  `broken` [devices, blocks, clients] counts the clients that are not finite;
  of other devices, none, so that it may be summed over them.
  """

  def of_block(sent, round_key, members):
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
      round_key, members.client_ids
    )
    state = training(sent, members, (), keys)
    messages, _ = jax.vmap(training.method.finish, (None, 0))(sent, state)
    totals = state.totals
    finite = jnp.isfinite(totals.loss) & jnp.isfinite(totals.gradient_norm)
    added = _Added(
      sums=aggregation.summed(jax.vmap(line.client)(messages, keys)),
      num_clients=(totals.num_utterances > 0).sum().astype(jnp.float32),
      totals=jax.tree.map(lambda leaf: leaf.sum(0), totals),
    )
    return added, ~finite

  def device_sums(shared, members):
    sent, round_key = shared

    def add_block(added, members):
      more, broken = of_block(sent, round_key, members)
      return jax.tree.map(jnp.add, added, more), broken

    nothing = _nothing(training.method, sent)
    added, broken = jax.lax.scan(add_block, nothing, members)
    mine = jnp.arange(num_devices) == jax.lax.axis_index(devices.AXIS)
    return added, (mine[:, None, None] & broken).astype(jnp.int32)

  return device_sums


def _nothing(method: algorithm.Algorithm, sent: algorithm.Broadcast) -> _Added:
  """The sum over no client; only shapes are computed."""

  def idle():
    nobody = algorithm.Participant(jnp.int32(-1))
    return method.finish(sent, method.start(sent, nobody, ()))

  message, _ = jax.eval_shape(idle)
  return _Added(
    sums=aggregation.nothing(message),
    num_clients=jnp.zeros(()),
    totals=algorithm.Totals(*[jnp.zeros(())] * len(algorithm.Totals._fields)),
  )
