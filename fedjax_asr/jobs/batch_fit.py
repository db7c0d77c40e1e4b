"""One batch, fitted to the limit, and what each iteration did.

The loss is the mean over utterances of the CTC loss, in nats; divided by the
number of labels, as `torch.nn.CTCLoss` does by default, it is
`loss_per_label`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fedjax_asr.federated import cohort
from fedjax_asr.models import convolution, ctc, model


class Fit(NamedTuple):
  """Parameters under way, and the outputs of the last iteration."""

  params: model.Params
  norm_state: model.NormState
  opt_state: optax.OptState
  probabilities: Float[Array, 'batch outputs vocab']


class Measured(NamedTuple):
  """Of the parameters that an iteration starts from.

  output_change: mean over real frames of the total variation distance between
    the output distributions and those of the iteration before; 1 at the first.
  path_change: fraction of real frames whose likeliest symbol is another one
    than in the iteration before.
  """

  loss: Float[Array, '']
  loss_per_label: Float[Array, '']
  gradient_norm: Float[Array, '']
  output_change: Float[Array, '']
  path_change: Float[Array, '']


class Fitting(NamedTuple):
  """start(params, norm_state, batch) -> Fit; step(fit, batch, key) -> (Fit,
  Measured), pure and to be jitted."""

  start: Callable[..., Fit]
  step: Callable[..., tuple[Fit, Measured]]


def fitting(
  acoustic: model.Model, optimizer: optax.GradientTransformation
) -> Fitting:
  """Full-batch training on one batch."""

  def start(
    params: model.Params, norm_state: model.NormState, batch: cohort.Batch
  ) -> Fit:
    logits, _, _ = jax.eval_shape(
      lambda: acoustic.apply(
        params, norm_state, batch.features, batch.num_frames, train=False
      )
    )
    return Fit(
      params, norm_state, optimizer.init(params), jnp.zeros(logits.shape)
    )

  def loss(params, norm_state, batch, key):
    logits, num_outputs, norm_state = acoustic.apply(
      params, norm_state, batch.features, batch.num_frames, train=True, key=key
    )
    losses = ctc.loss(logits, num_outputs, batch.labels, batch.num_labels)
    return losses.mean(), (losses, logits, num_outputs, norm_state)

  def step(fit: Fit, batch: cohort.Batch, key: jax.Array):
    gradient, (losses, logits, num_outputs, norm_state) = jax.grad(
      loss, has_aux=True
    )(fit.params, fit.norm_state, batch, key)
    updates, opt_state = optimizer.update(gradient, fit.opt_state, fit.params)
    probabilities = jax.nn.softmax(logits)
    measured = Measured(
      loss=losses.mean(),
      loss_per_label=(losses / batch.num_labels).mean(),
      gradient_norm=optax.tree.norm(gradient),
      **_changes(fit.probabilities, probabilities, num_outputs),
    )
    params = jax.tree.map(jnp.add, fit.params, updates)
    return Fit(params, norm_state, opt_state, probabilities), measured

  return Fitting(start, step)


def _changes(before, after, num_outputs) -> dict[str, jax.Array]:
  real = convolution.frame_mask(num_outputs, after.shape[1])
  moved = jnp.abs(after - before).sum(-1) / 2
  is_first = before.sum() == 0
  other = before.argmax(-1) != after.argmax(-1)
  return {
    'output_change': jnp.where(
      is_first, 1.0, jnp.where(real, moved, 0).sum() / real.sum()
    ),
    'path_change': jnp.where(
      is_first, 1.0, jnp.where(real, other, False).sum() / real.sum()
    ),
  }
