"""Greedy CTC decoding."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedjax_asr.models import convolution
from fedjax_asr.speech import text


def greedy_path(
  logits: Float[Array, 'batch frames vocab'], num_frames: Int[Array, ' batch']
) -> Int[Array, 'batch frames']:
  """The likeliest symbol of each frame where it starts, blank elsewhere.

  The non-blank entries of a row, in order, are the decoded labels.
  """
  best = jnp.argmax(logits, -1)
  best = jnp.where(
    convolution.frame_mask(num_frames, best.shape[1]), best, text.BLANK
  )
  repeats = jnp.pad(best[:, 1:] == best[:, :-1], ((0, 0), (1, 0)))
  return jnp.where(repeats, text.BLANK, best)


def transcripts(paths: np.ndarray) -> list[str]:
  """Text of each row of `greedy_path`."""
  return [text.decode(row[row != text.BLANK]) for row in paths]
