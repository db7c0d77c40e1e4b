"""From logits to text: greedy CTC decoding, and the choice of a decoder."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedjax_asr import config
from fedjax_asr.models import beam, convolution
from fedjax_asr.speech import text

# (logits [batch, frames, vocab], num_frames [batch]) -> a text for each row.
TextDecoder = Callable[[np.ndarray, np.ndarray], list[str]]


def text_decoder(cfg: config.DecodeConfig) -> TextDecoder:
  """What reads logits as `config.decode` says; frames behind an utterance's
  end change nothing, and an utterance without frames is ''.

  Raises:
    DecodeError: the beam's package, language model or lexicon cannot be used.
  """
  if cfg.method is config.Decoder.GREEDY:
    return _greedy_texts
  return beam.BeamDecoder(cfg).texts


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


def _greedy_texts(logits: np.ndarray, num_frames: np.ndarray) -> list[str]:
  path = greedy_path(jnp.asarray(logits), jnp.asarray(num_frames))
  return transcripts(np.asarray(path))
