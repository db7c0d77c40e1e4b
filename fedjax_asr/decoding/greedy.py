"""Greedy CTC decoding: the text of the likeliest symbol of each frame."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedjax_asr.models import convolution
from fedjax_asr.speech import alphabets


def path(
  logits: Float[Array, 'batch frames vocab'], num_frames: Int[Array, ' batch']
) -> Int[Array, 'batch frames']:
  """The likeliest symbol of each frame where it starts, blank elsewhere.

  The non-blank entries of a row, in order, are the decoded labels.
  """
  best = jnp.argmax(logits, -1)
  best = jnp.where(
    convolution.frame_mask(num_frames, best.shape[1]), best, alphabets.BLANK
  )
  repeats = jnp.pad(best[:, 1:] == best[:, :-1], ((0, 0), (1, 0)))
  return jnp.where(repeats, alphabets.BLANK, best)


def transcripts(paths: np.ndarray, alphabet: alphabets.Alphabet) -> list[str]:
  """Text of each row of `path`."""
  return [alphabet.decode(row[row != alphabets.BLANK]) for row in paths]


def texts(
  logits: np.ndarray, num_frames: np.ndarray, alphabet: alphabets.Alphabet
) -> list[str]:
  """The text of each row's real frames."""
  paths = path(jnp.asarray(logits), jnp.asarray(num_frames))
  return transcripts(np.asarray(paths), alphabet)
