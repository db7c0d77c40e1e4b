"""The gradient of one local step, as a client computes it."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fedjax_asr import config
from fedjax_asr.federated import algorithm, cohort
from fedjax_asr.models import ctc, model
from fedjax_asr.speech import augment

# (params, norm_state, batch, key) -> (gradient, (norm_state, Totals)).
GradientFn = Callable[..., tuple[model.Params, Any]]


def local_gradient(
  acoustic: model.Model, augmentation: config.AugmentConfig
) -> GradientFn:
  """`gradient(params, norm_state, batch, key)` of the mean loss over a batch.

  Gives (gradient, (norm_state, totals)); totals of this batch, but for the
  gradient's norm and the number of steps, which are zero. `key` draws the
  augmentation and dropout's masks.
  """

  def gradient(params, norm_state, batch, key):
    augment_key, model_key = jax.random.split(key)
    batch = _augmented(batch, augment_key, augmentation)
    loss = functools.partial(batch_loss, acoustic)
    return jax.grad(loss, has_aux=True)(params, norm_state, batch, model_key)

  return gradient


def batch_loss(
  acoustic: model.Model,
  params: model.Params,
  norm_state: model.NormState,
  batch: cohort.Batch,
  key: jax.Array | None,
):
  """Mean CTC loss over the batch's usable utterances, and (state, totals)."""
  logits, num_outputs, norm_state = acoustic.apply(
    params,
    norm_state,
    batch.features,
    batch.num_frames,
    train=True,
    key=key,
  )
  labels = jnp.asarray(batch.labels), jnp.asarray(batch.num_labels)
  losses = ctc.loss(logits, num_outputs, *labels)
  usable = ctc.feasible(num_outputs, *labels)
  count = usable.sum().astype(jnp.float32)
  real = batch.num_frames > 0
  totals = algorithm.Totals(
    loss=losses.sum(),
    gradient_norm=jnp.zeros(()),
    num_steps=jnp.zeros(()),
    num_utterances=count,
    num_frames=jnp.where(usable, batch.num_frames, 0).sum().astype(jnp.float32),
    num_infeasible=(real & ~usable).sum().astype(jnp.float32),
  )
  return losses.sum() / jnp.maximum(count, 1), (norm_state, totals)


def _augmented(batch, key, augmentation):
  keys = jax.random.split(key, len(batch.num_frames))
  features, num_frames = jax.vmap(augment.augmented, (0, 0, 0, None))(
    batch.features, batch.num_frames, keys, augmentation
  )
  return batch._replace(features=features, num_frames=num_frames)
