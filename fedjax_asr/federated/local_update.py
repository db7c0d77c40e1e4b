"""What one client does with one batch, and what it sends in the end.

Written for one client; `round` maps it over a block of them.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.federated import compression, optimizers, privacy
from fedjax_asr.models import ctc, model
from fedjax_asr.speech import augment


class Totals(NamedTuple):
  """Sums over what a client trained on; utterances without alignment count
  in `num_infeasible` only."""

  loss: Float[Array, '']
  gradient_norm: Float[Array, '']
  num_steps: Float[Array, '']
  num_utterances: Float[Array, '']
  num_frames: Float[Array, '']
  num_infeasible: Float[Array, '']


class ClientState(NamedTuple):
  """A client in the middle of its local steps."""

  params: model.Params
  norm_state: model.NormState
  opt_state: optax.OptState
  totals: Totals


class Update(NamedTuple):
  """What a client sends: delta = server's values - local values.

  Exactly zero when no step was real.
  """

  params: model.Params
  norm_state: model.NormState


class LocalTraining(NamedTuple):
  """Local training as pure functions of one client.

  gradient(params, norm_state, batch, key) -> (gradient, (norm_state, totals))
    of the mean loss over the batch's usable utterances
  start(params, norm_state, learning_rate) -> ClientState
  step(state, batch, key, learning_rate) -> ClientState; a batch without a
    usable utterance returns the state as it was, but for the counts
  weigh(totals) -> the weight of the client's delta in the round's mean
  """

  gradient: Callable[..., tuple[model.Params, Any]]
  start: Callable[..., ClientState]
  step: Callable[..., ClientState]
  weigh: Callable[[Totals], jax.Array]


def local_training(
  acoustic: model.Model,
  client: config.ClientConfig,
  augmentation: config.AugmentConfig,
  weighting: config.Weighting,
) -> LocalTraining:
  """Local SGD of a client (McMahan et al. 2017, Algorithm 1)."""

  def start(params, norm_state, learning_rate):
    optimizer = optimizers.client_optimizer(client, learning_rate)
    zero = jnp.zeros(())
    totals = Totals(*[zero] * len(Totals._fields))
    return ClientState(params, norm_state, optimizer.init(params), totals)

  def gradient(params, norm_state, batch, key):
    augment_key, model_key = jax.random.split(key)
    batch = _augmented(batch, augment_key, augmentation)
    loss = functools.partial(batch_loss, acoustic)
    return jax.grad(loss, has_aux=True)(params, norm_state, batch, model_key)

  def step(state, batch, key, learning_rate):
    slope, (norm_state, totals) = gradient(
      state.params, state.norm_state, batch, key
    )
    optimizer = optimizers.client_optimizer(client, learning_rate)
    updates, opt_state = optimizer.update(slope, state.opt_state, state.params)
    params = jax.tree.map(jnp.add, state.params, updates)
    real = totals.num_utterances > 0
    counted = totals._replace(
      gradient_norm=jnp.where(real, optax.tree.norm(slope), 0.0),
      num_steps=real.astype(jnp.float32),
    )
    moved = ClientState(params, norm_state, opt_state, counted)
    kept = jax.tree.map(
      lambda new, old: jnp.where(real, new, old), moved, state
    )
    return kept._replace(totals=jax.tree.map(jnp.add, state.totals, counted))

  return LocalTraining(
    gradient, start, step, functools.partial(_weight, weighting)
  )


def sent(
  delta: model.Params, federated: config.FederatedConfig, key: jax.Array
) -> model.Params:
  """The parameters' delta as the server gets it: clipped, noised, coded.

  In this order, so that a code is made of what is already private. `key` is
  the client's in the round; streams of it are used that no step has. The delta
  itself where nothing is configured. `norm_state` is not given: it is sent as
  it is.
  """
  delta = privacy.of_client(delta, federated.privacy, key)
  return compression.compressed(delta, federated.compression, key)


def _augmented(batch, key, augmentation):
  keys = jax.random.split(key, len(batch.num_frames))
  features = jax.vmap(augment.spec_augment, (0, 0, 0, None))(
    batch.features, batch.num_frames, keys, augmentation
  )
  return batch._replace(features=features)


def _weight(weighting: config.Weighting, totals: Totals) -> jax.Array:
  match weighting:
    case config.Weighting.UTTERANCES:
      return totals.num_utterances
    case config.Weighting.FRAMES:
      return totals.num_frames
    case config.Weighting.UNIFORM:
      return (totals.num_utterances > 0).astype(jnp.float32)


def batch_loss(acoustic, params, norm_state, batch, key):
  """Mean CTC loss over the batch's usable utterances, and (state, totals)."""
  logits, num_outputs, norm_state = acoustic.apply(
    params,
    norm_state,
    batch.features,
    batch.num_frames,
    train=True,
    key=key,
  )
  losses = ctc.loss(logits, num_outputs, batch.labels, batch.num_labels)
  usable = ctc.feasible(num_outputs, batch.labels, batch.num_labels)
  count = usable.sum().astype(jnp.float32)
  real = batch.num_frames > 0
  totals = Totals(
    loss=losses.sum(),
    gradient_norm=jnp.zeros(()),
    num_steps=jnp.zeros(()),
    num_utterances=count,
    num_frames=jnp.where(usable, batch.num_frames, 0).sum().astype(jnp.float32),
    num_infeasible=(real & ~usable).sum().astype(jnp.float32),
  )
  return losses.sum() / jnp.maximum(count, 1), (norm_state, totals)
