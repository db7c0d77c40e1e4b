"""A federated round as one jitted function.

Each device scans over its blocks of clients; a block is a vmap of local
training; weighted deltas are added to a running sum, so memory depends on the
block and not on the cohort. The sums are added across devices and the server
takes one optimizer step.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from fedjax_asr import config
from fedjax_asr.federated import (
  cohort,
  devices,
  local_update,
  optimizers,
  privacy,
)
from fedjax_asr.models import model


class ServerState(NamedTuple):
  """All that a checkpoint holds; `round` counts the rounds behind it."""

  params: model.Params
  norm_state: model.NormState
  opt_state: optax.OptState
  round: Int[Array, '']


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


class _Sums(NamedTuple):
  """Running sums over clients."""

  update: local_update.Update
  weight: Float[Array, '']
  num_clients: Float[Array, '']
  totals: local_update.Totals


_NUM_NAMED = 5

RoundFn = Callable[
  [ServerState, cohort.Cohort, jax.Array], tuple[ServerState, RoundMetrics]
]


def initial_state(
  acoustic: model.Model, federated: config.FederatedConfig, key: jax.Array
) -> ServerState:
  """Freshly initialised parameters and server optimizer."""
  params, norm_state = acoustic.init(key)
  optimizer = optimizers.server_optimizer(
    federated.server, federated.num_rounds
  )
  return ServerState(
    params, norm_state, optimizer.init(params), jnp.zeros((), jnp.int32)
  )


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
  training = local_update.local_training(
    acoustic, federated.client, augmentation, federated.weighting
  )
  server = optimizers.server_optimizer(federated.server, federated.num_rounds)
  client_rate = optimizers.schedule(
    federated.client.schedule,
    federated.client.learning_rate,
    federated.num_rounds,
  )
  cohort_sums = devices.sum_over_devices(
    _device_sums(training, federated, tuple(frame_buckets), len(device_list)),
    device_list,
    federated.device_map,
  )

  def round_fn(state, members, key):
    rate = jnp.asarray(client_rate(state.round), jnp.float32)
    round_key = jax.random.fold_in(key, state.round)
    shared = (state.params, state.norm_state, round_key, rate)
    sums, broken = cohort_sums(shared, members)
    scale = 1.0 / jnp.where(sums.weight > 0, sums.weight, 1.0)
    delta = jax.tree.map(lambda leaf: leaf * scale, sums.update)
    delta = delta._replace(
      params=privacy.of_server(
        delta.params, sums.weight, federated.privacy, round_key
      )
    )
    updates, opt_state = server.update(
      delta.params, state.opt_state, state.params
    )
    state = ServerState(
      params=jax.tree.map(jnp.add, state.params, updates),
      norm_state=jax.tree.map(jnp.subtract, state.norm_state, delta.norm_state),
      opt_state=opt_state,
      round=state.round + 1,
    )
    metrics = _metrics(sums, delta, rate)
    return state, metrics._replace(
      num_broken=broken.sum().astype(jnp.float32),
      is_broken=~_is_finite((metrics.loss, state)),
      broken_clients=_broken_clients(broken, members.client_ids),
    )

  return jax.jit(round_fn, donate_argnums=0)


def _metrics(sums: _Sums, delta: local_update.Update, rate) -> RoundMetrics:
  totals = sums.totals
  return RoundMetrics(
    loss=totals.loss / jnp.maximum(totals.num_utterances, 1),
    gradient_norm=totals.gradient_norm / jnp.maximum(totals.num_steps, 1),
    delta_norm=optax.tree.norm(delta.params),
    num_utterances=totals.num_utterances,
    num_frames=totals.num_frames,
    num_infeasible=totals.num_infeasible,
    num_clients=sums.num_clients,
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


def _device_sums(training, federated, frame_buckets, num_devices):
  """`(shared, members) -> (_Sums, broken)` over the blocks of one device.

  `broken` [devices, blocks, clients] counts the clients that are not finite;
  of other devices, none, so that it may be summed over them.
  """

  def device_sums(shared, members):
    params, norm_state, round_key, rate = shared

    def add_block(sums, block):
      keys = jax.vmap(jax.random.fold_in, (None, 0))(
        round_key, block.client_ids
      )
      start = training.start(params, norm_state, rate)
      state = _train_block(training, frame_buckets, start, block, keys, rate)
      added = _block_sums(training, federated, params, norm_state, state, keys)
      totals = state.totals
      finite = jnp.isfinite(totals.loss) & jnp.isfinite(totals.gradient_norm)
      return jax.tree.map(jnp.add, sums, added), ~finite

    zeros = _zero_sums(params, norm_state)
    sums, broken = jax.lax.scan(add_block, zeros, members)
    mine = jnp.arange(num_devices) == jax.lax.axis_index(devices.AXIS)
    return sums, (mine[:, None, None] & broken).astype(jnp.int32)

  return device_sums


def _zero_sums(params, norm_state):
  zero = jnp.zeros(())
  update = jax.tree.map(jnp.zeros_like, local_update.Update(params, norm_state))
  totals = local_update.Totals(*[zero] * len(local_update.Totals._fields))
  return _Sums(update, zero, zero, totals)


def _train_block(training, frame_buckets, start, block, keys, rate):
  """Local training of a block of clients, all its steps.

  In the first step all have the server's parameters, so it runs on the shared
  weights: `start` has no client axis, and what multiplies weights is one
  product for all clients. Where it is the only step, that is FedSGD.
  """

  def advance(state, inputs, *, is_first):
    index, bucket, batch = inputs
    step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, index)
    step = jax.vmap(training.step, (None if is_first else 0, 0, 0, None))

    def at_length(frames):
      def run(state, batch, step_keys):
        features = batch.features[..., :frames, :]
        return step(state, batch._replace(features=features), step_keys, rate)

      return run

    def skipped(state, batch, step_keys):
      return _repeated(state, len(keys)) if is_first else state

    branches = [skipped, *map(at_length, frame_buckets)]
    return jax.lax.switch(bucket, branches, state, batch, step_keys)

  num_steps = len(block.bucket)
  inputs = (jnp.arange(num_steps), block.bucket, block.batches)
  if not _shares_first_step(num_steps):
    state, first = _repeated(start, len(keys)), 0
  else:
    state = advance(
      start, jax.tree.map(lambda leaf: leaf[0], inputs), is_first=True
    )
    first = 1
  if first == num_steps:
    return state
  return jax.lax.scan(
    lambda state, inputs: (advance(state, inputs, is_first=False), None),
    state,
    jax.tree.map(lambda leaf: leaf[first:], inputs),
  )[0]


def _shares_first_step(num_steps: int) -> bool:
  """Whether it is compiled by itself, which doubles what is compiled.

  On CPUs weights need not travel, and one step of several gains less than its
  compilation takes.
  """
  return num_steps == 1 or jax.default_backend() != 'cpu'


def _repeated(tree, count):
  return jax.tree.map(
    lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), tree
  )


def _block_sums(training, federated, params, norm_state, state, keys):
  """Weighted sum of a block's deltas, as the server gets them."""
  weights = jax.vmap(training.weigh)(state.totals)

  def weighted(deltas):
    # Highest: a GPU would round deltas to TF32.
    return jnp.tensordot(weights, deltas, 1, precision='highest')

  server = local_update.Update(params, norm_state)
  local = local_update.Update(state.params, state.norm_state)
  deltas = jax.tree.map(jnp.subtract, server, local)
  sent = jax.vmap(local_update.sent, (0, None, 0))(
    deltas.params, federated, keys
  )
  return _Sums(
    update=jax.tree.map(weighted, deltas._replace(params=sent)),
    weight=weights.sum(),
    num_clients=(state.totals.num_utterances > 0).sum().astype(jnp.float32),
    totals=jax.tree.map(lambda leaf: leaf.sum(0), state.totals),
  )
