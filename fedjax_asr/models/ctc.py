"""CTC loss (Graves et al. 2006), optax's, made safe for padding and bf16."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from fedjax_asr.models import convolution
from fedjax_asr.speech import alphabets


def min_frames(
  labels: Int[Array, 'batch labels'], num_labels: Int[Array, ' batch']
) -> Int[Array, ' batch']:
  """Frames that an alignment needs: labels plus adjacent repeats."""
  real = jnp.arange(1, labels.shape[1]) < num_labels[:, None]
  repeats = (labels[:, 1:] == labels[:, :-1]) & real
  return num_labels + repeats.sum(1)


def feasible(
  num_frames: Int[Array, ' batch'],
  labels: Int[Array, 'batch labels'],
  num_labels: Int[Array, ' batch'],
) -> Bool[Array, ' batch']:
  """True where there is a label and an alignment exists."""
  return (num_labels > 0) & (min_frames(labels, num_labels) <= num_frames)


def loss(
  logits: Float[Array, 'batch frames vocab'],
  num_frames: Int[Array, ' batch'],
  labels: Int[Array, 'batch labels'],
  num_labels: Int[Array, ' batch'],
) -> Float[Array, ' batch']:
  """-log p(labels | logits) of each utterance, in nats.

  Exactly zero, with zero gradient, where no alignment exists (optax alone
  gives about 1e5 and an ordinary gradient). Values in padding do not matter,
  NaN included.
  """
  usable = feasible(num_frames, labels, num_labels)
  # bfloat16 is too narrow for sums of logarithms; float64 stays.
  logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
  logits = convolution.zero_padding(logits, num_frames)
  logits = jnp.where(usable[:, None, None], logits, 0)
  frame_padding = 1.0 - convolution.frame_mask(num_frames, logits.shape[1])
  label_mask = convolution.frame_mask(num_labels, labels.shape[1])
  # A last label that is repeated in the padding would round otherwise.
  labels = jnp.where(label_mask > 0, labels, 0)
  with jax.default_matmul_precision('highest'):
    losses = optax.ctc_loss(
      logits, frame_padding, labels, 1.0 - label_mask, blank_id=alphabets.BLANK
    )
  return jnp.where(usable, losses, 0.0)
