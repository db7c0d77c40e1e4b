"""A federated round as one jitted function.

Each device scans over its blocks of clients; a block is a vmap of local
training; weighted messages are added to a running sum, so memory depends on the
block and not on the cohort. The sums are added across devices and the server
takes one optimizer step. With secure aggregation what is summed are masked
integers, and beside them the masks that the server found. A robust aggregator
needs all messages at once, which are then kept in place of the sum: memory
depends on the cohort. Which algorithm it is, and what a channel does to
messages, is nowhere asked here.
"""

import typing
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from fedjax_asr import config, streams
from fedjax_asr.federated import (
  aggregation,
  algorithm,
  algorithms,
  block,
  canary,
  channel,
  channels,
  client_report,
  cohort,
  devices,
  masks,
  norm_bound,
  optimizers,
  robust,
  secure_sum,
  server,
)
from fedjax_asr.models import model


class Rates(NamedTuple):
  """Learning rates of a round."""

  client: Float[Array, '']
  server: Float[Array, '']


class RoundMetrics(NamedTuple):
  """Means over the round's utterances (loss) and steps (gradient norm).

  num_clients: those whose messages were added up.
  num_broken: those that sent what is not finite, and were left out.
  is_broken: some of the server's state is not finite, or nobody was left.
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
  learning_rates: Rates


class Outcome(NamedTuple):
  """What a round says of itself; reports are [devices blocks clients].

  canaries: how far what the server publishes of the round goes along the
    direction of each, by layer [canaries layers]; () without any.
  """

  metrics: RoundMetrics
  reports: client_report.ClientReport
  canaries: Float[Array, 'canaries layers'] | tuple[()] = ()


class ClientMemory(NamedTuple):
  """What a client keeps from round to round; () where nothing."""

  algorithm: algorithm.Memory
  channel: channel.Memory


class _Shared(NamedTuple):
  """What every device is given whole.

  told: by the channel's side at the server.
  """

  sent: algorithm.Broadcast
  key: jax.Array
  secret: jax.Array
  round: Int[Array, '']
  told: Any


class _Local(NamedTuple):
  """What a device is given of clients; leading axes blocks and clients."""

  members: cohort.Cohort
  memories: ClientMemory


class _Kept(NamedTuple):
  """What stays a value of each client.

  messages: where they are kept; else ().
  """

  memories: ClientMemory
  reports: client_report.Sketched
  messages: algorithm.Message | tuple[()]


# Any number of arguments: the last, `scale` and `secret`, may be left out.
RoundFn = Callable[..., tuple[server.ServerState, ClientMemory, Outcome]]
# Which of what clients send by has an axis of clients.
_SENDERS: Any = channel.Sender(*typing.cast(Any, (0, 0, None)))
# What a stateless algorithm takes and gives back.
NO_MEMORIES = ClientMemory((), ())


def make_round(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
  frame_buckets: Sequence[int],
  device_list: Sequence[devices.Device],
  num_clients: int,
) -> RoundFn:
  """`round_fn(server_state, cohort, memories, key, scale=None, secret=None)`.

  Gives (server_state, memories, Outcome). Jitted; the server state and the
  memories are donated. `memories` are those of the cohort's clients, outermost
  axes devices, blocks, clients; what comes back of padding, and of a client
  that is broken (`ClientReport`), is to be thrown away. `num_clients` are in
  the population. The result does not depend on block size, number of devices or
  padding, up to the order of float32 sums. `key` is the run's; the round's
  randomness is a function of it, the round and the client. A cohort without a
  usable utterance gives a delta of exactly zero. `scale` is of the round's step
  (`optimizers.step_scale`): None and 1 give the same. `secret` is the root of
  all noise, which nobody may know who sees what the server makes of a round;
  None: `key`.
  """
  return of_algorithm(
    algorithms.make(acoustic, federated, augmentation, num_clients),
    channels.make(federated),
    federated,
    frame_buckets,
    device_list,
  )


def of_algorithm(
  method: algorithm.Algorithm,
  line: channel.Channel,
  federated: config.FederatedConfig,
  frame_buckets: Sequence[int],
  device_list: Sequence[devices.Device],
  canaries: canary.Canaries | None = None,
) -> RoundFn:
  """`make_round` of any algorithm and channel, with canaries or without."""
  round_fn = traced(
    method, line, federated, frame_buckets, device_list, canaries
  )
  return jax.jit(round_fn, donate_argnums=(0, 2))


def traced(
  method: algorithm.Algorithm,
  line: channel.Channel,
  federated: config.FederatedConfig,
  frame_buckets: Sequence[int],
  device_list: Sequence[devices.Device],
  canaries: canary.Canaries | None = None,
) -> RoundFn:
  """`of_algorithm` before it is jitted: for a program of several rounds."""
  line = norm_bound.behind(line, federated.aggregation)
  aggregate = robust.make(federated.aggregation)
  secure = secure_sum.make(federated)
  training = block.Training(method, tuple(frame_buckets))
  over_clients = devices.over_clients(
    _of_device(training, line, secure, keeps_messages=aggregate is not None),
    device_list,
    federated.device_map,
  )

  def round_fn(state, members, memories, key, scale=None, secret=None):
    secret = key if secret is None else secret
    of_client, of_server = optimizers.step_scale(federated, scale)
    optimizer = optimizers.server_optimizer(
      federated.server, federated.num_rounds, of_server
    )
    sent = server.broadcast(state, federated, of_client)
    sums, kept = over_clients(
      _Shared(sent, key, secret, state.round, line.told(state.channel_state)),
      _Local(members, memories),
    )
    if aggregate is not None:
      sums = aggregate(kept.messages, members.client_ids)
    is_abandoned = jnp.array(False)
    if secure is not None:
      is_abandoned = members.masks.recovered.is_abandoned.any()
      masked, found = typing.cast(tuple[algorithm.Sums, Any], sums)
      sums = secure.decoded(secure_sum.unmasked(masked, found), is_abandoned)
    if canaries is not None:
      sums = canaries.added(
        sums, line, line.told(state.channel_state), state.round, secret
      )
    mean = aggregation.mean(sums)
    reports = client_report.of_round(kept.reports, mean)
    noise_key = streams.of_root(
      secret, streams.Stream.SERVER_NOISE, state.round
    )
    rates = Rates(
      sent.learning_rate,
      optimizers.server_rate(federated, state.round, of_server),
    )
    sums, channel_state = line.server(sums, state.channel_state, noise_key)
    along = () if canaries is None else canaries.projections(sums.update.params)
    update, memory = method.combine(sent, sums)
    state = server.stepped(
      state,
      update,
      memory,
      optimizer,
      federated.server.ema_decay,
      channel_state,
    )
    metrics = _metrics(reports, update, state, rates, is_abandoned)
    return state, kept.memories, Outcome(metrics, reports, along)

  return round_fn


def _metrics(
  reports: client_report.ClientReport,
  update: algorithm.Update,
  state: server.ServerState,
  rates: Rates,
  is_abandoned: Bool[Array, ''],
) -> RoundMetrics:
  # Broken ones have a weight; those beyond a bound have utterances.
  took_part = (reports.totals.num_utterances > 0) & (reports.weight > 0)
  took_part &= ~reports.is_broken
  totals = jax.tree.map(
    lambda leaf: jnp.where(reports.is_broken, 0.0, leaf).sum(), reports.totals
  )
  num_clients = took_part.sum().astype(jnp.float32)
  num_broken = reports.is_broken.sum().astype(jnp.float32)
  nobody_left = (num_broken > 0) & (num_clients == 0)
  return RoundMetrics(
    loss=totals.loss / jnp.maximum(totals.num_utterances, 1),
    gradient_norm=totals.gradient_norm / jnp.maximum(totals.num_steps, 1),
    delta_norm=optax.tree.norm(update.params),
    num_utterances=totals.num_utterances,
    num_frames=totals.num_frames,
    num_infeasible=totals.num_infeasible,
    num_clients=jnp.where(is_abandoned, 0.0, num_clients),
    num_broken=num_broken,
    is_broken=nobody_left | ~client_report.is_finite(state),
    learning_rates=rates,
  )


def _of_device(
  training: block.Training,
  line: channel.Channel,
  secure: secure_sum.SecureSum | None,
  *,
  keeps_messages: bool,
):
  """`(_Shared, _Local) -> (Sums, _Kept)` over the blocks of one device.

  The sums are () where messages are kept; of a secure sum, a pair: masked, and
  the masks that were found.
  """
  finish = jax.vmap(training.method.finish, (None, 0))

  def of_block(shared: _Shared, local: _Local):
    def of_clients(root):
      return jax.vmap(
        lambda client: streams.of_root(
          root, streams.Stream.CLIENT, shared.round, client
        )
      )(local.members.client_ids)

    keys = of_clients(shared.key)
    senders = channel.Sender(keys, of_clients(shared.secret), shared.told)
    state = training(shared.sent, local.members, local.memories.algorithm, keys)
    sent, memory = finish(shared.sent, state)
    received, line_memory, was_clipped = jax.vmap(
      line.client, (0, 0, _SENDERS)
    )(sent, local.memories.channel, senders)
    memories = ClientMemory(memory, line_memory)
    reports = jax.vmap(client_report.of_client)(
      state, sent, received, memories, was_clipped
    )
    usable = aggregation.without(received, reports.report.is_broken)
    if keeps_messages:
      return (), _Kept(memories, reports, usable)
    if secure is not None:
      usable = jax.vmap(secure.encoded, (0, _SENDERS))(usable, senders)
      usable = jax.vmap(secure_sum.hidden)(usable, local.members.masks.clients)
    return aggregation.summed(usable), _Kept(memories, reports, ())

  def of_device(shared: _Shared, local: _Local):
    def add_block(sums, local):
      more, kept = of_block(shared, local)
      return jax.tree.map(jnp.add, sums, more), kept

    if keeps_messages:
      return jax.lax.scan(add_block, (), local)
    if secure is None:
      start = _nothing(training, line, None, shared, local)
      return jax.lax.scan(add_block, start, local)
    members, recovered = _without_server(local.members)
    local = local._replace(members=members)
    start = _nothing(training, line, secure, shared, local)
    sums, kept = jax.lax.scan(add_block, start, local)
    return (sums, masks.found(recovered, start.update.params)), kept

  return of_device


def _without_server(
  members: cohort.Cohort,
) -> tuple[cohort.Cohort, masks.Recovered]:
  """What has an axis of blocks, and what the server found, which has none."""
  own = members.masks
  return members._replace(masks=own._replace(recovered=())), own.recovered


def _nothing(
  training: block.Training,
  line: channel.Channel,
  secure: secure_sum.SecureSum | None,
  shared: _Shared,
  local: _Local,
) -> algorithm.Sums:
  """The sum over no client; only shapes are computed."""
  kept = jax.tree.map(lambda leaf: leaf[0, 0], local.memories)

  def idle(shared, kept):
    nobody = algorithm.Participant(jnp.int32(-1))
    start = training.method.start(shared.sent, nobody, kept.algorithm)
    sent, _ = training.method.finish(shared.sent, start)
    sender = channel.Sender(shared.key, shared.secret, shared.told)
    received, _, _ = line.client(sent, kept.channel, sender)
    return received if secure is None else secure.encoded(received, sender)

  return aggregation.nothing(jax.eval_shape(idle, shared, kept))
