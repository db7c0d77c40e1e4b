"""Exposure of planted sentences (Carlini et al. 2019, 'The Secret Sharer').

A sentence is planted by giving speech that a client has a transcript of random
symbols: real speech that is said to be a sentence which nobody could guess. It
needs no synthesis, so that it works for every corpus, language and alphabet,
and no voice explains what is learnt. What the model then thinks of the planted
sentence, among random ones of the same format on the same speech, is memory.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Float, Int

from fedjax_asr import config
from fedjax_asr.corpora import dataset
from fedjax_asr.federated import partition
from fedjax_asr.models import ctc, model

# Nats of sentences, of which so many are computed at once.
_CHUNK = 256
# Of a skew-normal distribution; its limit is 0.9953.
_MOST_SKEW = 0.99


class Planted(NamedTuple):
  """A sentence, and who holds it.

  position: of the speech in the run's training set; the client has it with
    this transcript only.
  """

  client: int
  position: int
  repeats: int
  labels: Int[np.ndarray, ' symbols']


class Exposure(NamedTuple):
  """Of one sentence by one model.

  rank: 1 + how many candidates are no less likely.
  bits: log2(candidates + 1) - log2(rank): at most log2(candidates + 1), and
    1.44 on average where the model has never seen the sentence.
  extrapolated: -log2 of a skew-normal's tail at the sentence's loss, with the
    candidates' mean, variance and skewness; it goes on where `bits` ends. None
    where candidates do not differ or the tail is beyond float64.
  """

  loss: float
  rank: int
  bits: float
  extrapolated: float | None


def symbols(examples: dataset.Dataset) -> list[int]:
  """Labels of the training transcripts, without the space.

  At an end it would be lost in a text.
  """
  found = np.unique(np.concatenate(examples.labels)).tolist()
  return [each for each in found if each != examples.alphabet.space]


def sentences(
  labels: Sequence[int], length: int, count: int, rng: np.random.Generator
) -> Int[np.ndarray, 'sentences length']:
  """Uniform among those of that length without neighbours alike.

  So all need as many frames. `labels`: two or more.
  """
  size = len(labels)
  steps = rng.integers(1, size, (count, length))
  steps[:, 0] = rng.integers(0, size, count)
  return np.asarray(labels, np.int32)[steps.cumsum(1) % size]


def chosen(
  clients: Sequence[partition.Client],
  examples: dataset.Dataset,
  num_output_frames: Callable[[Any], Any],
  own: config.ExposureConfig,
  rng: np.random.Generator,
) -> list[Planted]:
  """Who holds which sentence: each client one, while there are clients.

  Raises:
    ConfigError: too little speech is long enough.
  """
  repeats = np.repeat(own.repeats, own.num_sentences)
  random = sentences(symbols(examples), own.num_symbols, len(repeats), rng)
  places = _places(clients, examples, num_output_frames, own, rng)
  if len(places) < len(repeats):
    raise config.ConfigError(
      f'config.audit.exposure.num_sentences={own.num_sentences}: '
      f'{len(repeats)} sentences, and {len(places)} utterances of at least '
      f'num_symbols={own.num_symbols} output frames; want fewer sentences or '
      'symbols.'
    )
  return [
    Planted(client, position, int(count), labels)
    for (client, position), count, labels in zip(
      places, repeats, random, strict=False
    )
  ]


def _places(clients, examples, num_output_frames, own, rng):
  """(client, utterance), every client once, then every client again."""
  rows = []
  for index in rng.permutation(len(clients)).tolist():
    utterances = rng.permutation(clients[index].utterances)
    outputs = num_output_frames(examples.num_frames[utterances])
    fitting = utterances[np.asarray(outputs) >= own.num_symbols]
    rows.append([(index, int(each)) for each in fitting])
  depth = max(map(len, rows))
  return [row[turn] for turn in range(depth) for row in rows if turn < len(row)]


def with_planted(
  clients: Sequence[partition.Client],
  examples: dataset.Dataset,
  planted: Sequence[Planted],
) -> tuple[list[partition.Client], dataset.Dataset]:
  """The population that holds them, in place of the true transcripts.

  Planted ones are the last of the training set, each once; a client has its
  own as often as it is repeated.
  """
  both = examples.said_otherwise(
    [each.position for each in planted], [each.labels for each in planted]
  )
  held = [each.utterances for each in clients]
  for index, each in enumerate(planted):
    kept = held[each.client][held[each.client] != each.position]
    copies = np.full(each.repeats, len(examples) + index)
    held[each.client] = np.concatenate([kept, copies])
  return [
    each._replace(utterances=utterances)
    for each, utterances in zip(clients, held, strict=True)
  ], both


def make_losses(acoustic: model.Model) -> Callable[..., Float[Array, ' all']]:
  """`losses(params, norm_state, features, num_frames, sentences)`, jitted.

  Nats of each sentence on one utterance [frames, features].
  """

  def losses(params, norm_state, features, num_frames, candidates):
    logits, num_outputs, _ = acoustic.apply(
      params, norm_state, features[None], num_frames[None], train=False
    )
    count, length = candidates.shape
    padded = jnp.pad(candidates, ((0, -count % _CHUNK), (0, 0)), mode='edge')

    def of_chunk(labels):
      return ctc.loss(
        jnp.repeat(logits, _CHUNK, 0),
        jnp.repeat(num_outputs, _CHUNK),
        labels,
        jnp.full(_CHUNK, length),
      )

    chunks = padded.reshape(-1, _CHUNK, length)
    return jax.lax.map(of_chunk, chunks).ravel()[:count]

  return jax.jit(losses)


def exposure(
  loss: float, candidates: Float[np.ndarray, ' candidates']
) -> Exposure:
  """Of a sentence, among others that were drawn as it was."""
  rank = 1 + int((candidates <= loss).sum())
  return Exposure(
    loss=float(loss),
    rank=rank,
    bits=float(np.log2(len(candidates) + 1) - np.log2(rank)),
    extrapolated=_extrapolated(loss, candidates),
  )


def _extrapolated(loss, candidates) -> float | None:
  """By the method of moments."""
  values = np.asarray(candidates, float)
  deviation = values.std()
  if deviation <= 0:
    return None
  skew = np.clip(scipy.stats.skew(values), -_MOST_SKEW, _MOST_SKEW)
  power = abs(skew) ** (2 / 3)
  delta = np.sqrt(np.pi / 2 * power / (power + ((4 - np.pi) / 2) ** (2 / 3)))
  delta *= np.sign(skew)
  scale = deviation / np.sqrt(1 - 2 * delta**2 / np.pi)
  place = values.mean() - scale * delta * np.sqrt(2 / np.pi)
  shape = delta / np.sqrt(1 - delta**2)
  tail = scipy.stats.skewnorm.cdf(loss, shape, place, scale)
  # Below, its quadrature is noise.
  return float(-np.log2(tail)) if tail > 1e-12 else None
