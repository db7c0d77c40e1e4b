"""CTC prefix beam search, with an n-gram language model if wanted.

The search is that of the package flashlight-text, which brings KenLM.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int

from fedjax_asr import config
from fedjax_asr.decoding import language_model
from fedjax_asr.speech import alphabets

# KenLM's scores are decimal logarithms.
_NATS = math.log(10)
# In place of log 0, whose differences would be NaN.
_LEAST = -1e4


class BeamDecoder:
  """Finds the text of highest score: log p(text | logits), plus
  `language_model_weight` times log p(text) by the language model, plus
  `word_score` for each word, all in nats.

  p(text | logits) is the sum over CTC paths (Graves et al. 2006), as far as
  they stay in the beam (Hannun et al. 2014). Without a lexicon any spelling is
  possible, spaces anywhere included. With one, the text is words of it with
  one space between, and paths with more spaces count as such.
  """

  def __init__(self, cfg: config.DecodeConfig, alphabet: alphabets.Alphabet):
    """Reads the language model and the lexicon.

    Raises:
      DecodeError: a file is not what it should be, or flashlight-text is not
        installed.
    """
    language_model.check_package()
    self._alphabet = alphabet
    self._words = language_model.read_lexicon(cfg.lexicon, alphabet)
    make = _lexicon_decoder if self._words else _free_decoder
    self._decoder = make(cfg, self._words, alphabet)

  def __call__(self, log_probs: Float[np.ndarray, 'frames vocab']) -> str:
    """The text of one utterance, '' for one without frames.

    Args:
      log_probs: of its real frames, natural logarithms.

    Raises:
      DecodeError: NaN, as of a model whose training diverged.
    """
    if not len(log_probs):
      return ''
    if np.isnan(log_probs).any():
      raise language_model.DecodeError(
        'The logits are NaN; want a model whose training did not diverge.'
      )
    emissions = np.maximum(log_probs, _LEAST).astype(np.float32)
    if self._words:
      emissions = np.concatenate([emissions, _final_space(self._alphabet)])
    emissions = np.ascontiguousarray(emissions)
    best = self._decoder.decode(emissions.ctypes.data, *emissions.shape)[0]
    if self._words:
      return ' '.join(self._words[word] for word in best.words if word >= 0)
    return self._alphabet.decode(_collapsed(np.array(best.tokens)))

  def texts(
    self,
    logits: Float[np.ndarray, 'batch frames vocab'],
    num_frames: Int[np.ndarray, ' batch'],
  ) -> list[str]:
    """The text of each row's real frames."""
    return [
      self(log_softmax(np.asarray(row[:count], np.float64)))
      for row, count in zip(logits, num_frames, strict=True)
    ]


def log_softmax(logits: Float[np.ndarray, '*shape']) -> np.ndarray:
  """Logarithms of probabilities that sum to one along the last axis."""
  shifted = logits - logits.max(-1, keepdims=True)
  return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _collapsed(path: np.ndarray) -> np.ndarray:
  """Symbols of a path, runs of one merged; blanks stay."""
  is_start = np.diff(path, prepend=-1) != 0
  return path[is_start]


def _final_space(
  alphabet: alphabets.Alphabet,
) -> Float32[np.ndarray, '1 vocab']:
  """A frame that is surely a space, to end the last word.

  A word of the lexicon ends with its space; the last of an utterance has none.
  """
  frame = np.full((1, alphabet.size), _LEAST, np.float32)
  frame[0, alphabet.space] = 0.0
  return frame


def _free_decoder(
  cfg: config.DecodeConfig, _: Sequence[str], alphabet: alphabets.Alphabet
) -> Any:
  """The decoder for any spelling."""
  from flashlight.lib.text import decoder

  options = decoder.LexiconFreeDecoderOptions(
    beam_size=cfg.beam_size,
    beam_size_token=min(cfg.beam_size_token, alphabet.size),
    beam_threshold=cfg.beam_threshold,
    lm_weight=cfg.language_model_weight * _NATS,
    sil_score=0.0,
    log_add=True,
    criterion_type=decoder.CriterionType.CTC,
  )
  model = language_model.of_characters(cfg.language_model, alphabet)
  # flashlight supposes a silence before the first frame and takes a first
  # space for its repeat; with the blank for silence, a space is a letter.
  silence = alphabets.BLANK
  return decoder.LexiconFreeDecoder(
    options, model, silence, alphabets.BLANK, []
  )


def _lexicon_decoder(
  cfg: config.DecodeConfig, words: Sequence[str], alphabet: alphabets.Alphabet
) -> Any:
  """The decoder for the words of a lexicon."""
  from flashlight.lib.text import decoder

  options = decoder.LexiconDecoderOptions(
    beam_size=cfg.beam_size,
    beam_size_token=min(cfg.beam_size_token, alphabet.size),
    beam_threshold=cfg.beam_threshold,
    lm_weight=cfg.language_model_weight * _NATS,
    word_score=cfg.word_score,
    unk_score=-math.inf,
    sil_score=0.0,
    log_add=True,
    criterion_type=decoder.CriterionType.CTC,
  )
  model = language_model.of_words(cfg.language_model, words)
  trie = decoder.Trie(alphabet.size, alphabet.space)
  # While a word is spelled it is worth what the likeliest word that begins so
  # is worth without a context; at its end, what it is worth in its own.
  no_context = model.start(True)
  for index, word in enumerate(words):
    _, score = model.score(no_context, index)
    trie.insert([*alphabet.encode(word), alphabet.space], index, score)
  trie.smear(decoder.SmearingMode.MAX)
  unknown = -1
  return decoder.LexiconDecoder(
    options,
    trie,
    model,
    alphabet.space,
    alphabets.BLANK,
    unknown,
    [],
    False,
  )
