"""What reads logits as the config says: greedily, or by beam search."""

import functools
from collections.abc import Callable

import numpy as np

from fedjax_asr import config
from fedjax_asr.decoding import beam, greedy
from fedjax_asr.speech import alphabets

# (logits [batch, frames, vocab], num_frames [batch]) -> a text for each row.
TextDecoder = Callable[[np.ndarray, np.ndarray], list[str]]


def chosen(
  cfg: config.DecodeConfig, alphabet: alphabets.Alphabet
) -> TextDecoder:
  """What reads logits as `config.decode` says; frames behind an utterance's
  end change nothing, and an utterance without frames is ''.

  Raises:
    DecodeError: the beam's package, language model or lexicon cannot be used.
  """
  if cfg.method is config.Decoder.GREEDY:
    return functools.partial(greedy.texts, alphabet=alphabet)
  return beam.BeamDecoder(cfg, alphabet).texts
