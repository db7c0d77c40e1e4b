"""What the update of the output layer says about the transcript.

With p_t the model's distribution at output frame t and q_t the posterior of
the symbols there, given the transcript, the gradients of the CTC loss in the
output layer's bias and kernel are (Graves et al. 2006, equation 16)

  db_k = sum_t p_tk - q_tk,    dW_k = sum_t h_t (p_tk - q_tk).

A symbol that the transcript lacks has q_tk = 0, so its db_k is positive: the
characters whose entries are negative do occur. That holds for untrained and
trained models, batches, any number of steps of SGD, and momentum and Adam,
whose first moments are positive sums of gradients; not with noise. It misses
what the model expects as often as it occurs.

More than that takes how often the model emits each symbol, p: then the
occupancy o_k = sum_t p_tk - db_k is known. Without the speech, p is taken as
constant in time, which it nearly is before training and is not after it.

Assumes:
  observed: the updates of the output layer's bias and kernel; of the kernel
    alone where the layer's inputs have one sign, as DeepSpeech 1's have.
  told: the alphabet; for counts the client's optimizer, learning rate, clipping
    and number of steps, the number of utterances (one where undeclared), and
    lengths where declared.
  model: an output layer with a bias, under the CTC loss. Counts also take its
    distribution to be constant in time, as it nearly is before training.
  training: any steps for characters; for counts those of SGD, unclipped, or a
    gradient.
  noise: none, as one entry's sign is believed.
  refused: both updates withheld or zero, or the bias's where the layer's inputs
    have both signs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.speech import alphabets

_KERNEL, _BIAS = 'output/kernel', 'output/bias'
# Of the symbols, so many at least are taken to be absent from a transcript.
_NUM_ABSENT = 4
# Their estimates of the number of frames agree to this factor, or are nothing.
_MAX_SPREAD = 1.5
_NUM_REFINEMENTS = 6
# Expected occurrences in the batch from which a character is believed to occur.
_PRESENT = 0.5


class LabelEstimate(NamedTuple):
  """What transcripts hold; numbers are means over the batch's utterances.

  certain: characters that occur, by the sign of their update alone.
  characters: those that are believed to, among them the certain ones; of a
    batch of undeclared size, those that half of it holds.
  counts: expected occurrences of each symbol, 0 of the blank.
  num_labels: their sum.
  num_outputs: frames of output that this rests on.
  layers: names of the parameters whose updates say so.

  Counts, their sum and the number of frames are None where the update's scale
  is lost (client optimizers other than SGD, clipping), where the number of
  frames is not to be had, or where a layer was withheld.
  """

  certain: tuple[str, ...]
  characters: tuple[str, ...]
  counts: Float64[np.ndarray, ' vocab'] | None
  num_labels: float | None
  num_outputs: float | None
  layers: tuple[str, ...] = (_BIAS, _KERNEL)


class LabelScore(NamedTuple):
  """An estimate against the transcripts.

  precision, recall: of `characters`; the certain ones' have a prefix.
  length_error: |num_labels - true| / true.
  count_error: sum_k |counts_k - true_k| / true number of labels.
  """

  precision: float
  recall: float
  certain_precision: float
  certain_recall: float
  length_error: float | None
  count_error: float | None


def estimate(observed: observation.Observation) -> LabelEstimate:
  """Characters and length of the transcripts behind an update.

  Counts follow from occupancies where p is constant in time: a label k then
  holds 1 / (1 - p_k x) frames and the blank p_0 x / (1 - p_0 x) at each of its
  places, by the saddle point x of the paths' generating function; the number
  of labels and x solve a quadratic.

  p is what the kernel's update says, good before training only; the frames of
  output are those of the declared frames, or else estimated.

  Raises:
    Refused: the output layer's updates are withheld or zero, or the bias's is
      and the layer's inputs have both signs.
  """
  bias = observation.evidence(observed, _BIAS)
  kernel = observation.evidence(observed, _KERNEL)
  if bias is None:
    return _of_signs(observed, _present_by_kernel(observed), (_KERNEL,))
  alphabet = observed.acoustic.alphabet
  certain = bias < 0
  certain[alphabets.BLANK] = False
  scale = gradient_scale(observed)
  if scale is None or kernel is None:
    return _of_signs(observed, certain, (_BIAS,))
  scale *= observed.num_steps
  counts, num_outputs = _counts(observed, bias / scale, kernel / scale)
  if counts is None:
    return _of_signs(observed, certain, (_BIAS,))
  num_utterances = observed.declared.num_utterances or 1
  return LabelEstimate(
    certain=_characters(certain, alphabet),
    characters=_characters(
      certain | (counts * num_utterances > _PRESENT), alphabet
    ),
    counts=counts,
    num_labels=float(counts.sum()),
    num_outputs=num_outputs,
  )


def _of_signs(
  observed: observation.Observation,
  certain: np.ndarray,
  layers: tuple[str, ...],
) -> LabelEstimate:
  characters = _characters(certain, observed.acoustic.alphabet)
  return LabelEstimate(
    certain=characters,
    characters=characters,
    counts=None,
    num_labels=None,
    num_outputs=None,
    layers=layers,
  )


def _present_by_kernel(observed: observation.Observation) -> np.ndarray:
  """Symbols that occur, where nothing is known of the bias's update."""
  if observed.model.architecture is not config.Architecture.DS1:
    observation.needed(observed, _BIAS)
  kernel = np.asarray(observation.needed(observed, _KERNEL))
  return (kernel < 0).any(axis=0) & (
    np.arange(kernel.shape[1]) != alphabets.BLANK
  )


def compare(
  estimated: LabelEstimate,
  labels: Sequence[Int[np.ndarray, '_']],
  alphabet: alphabets.Alphabet,
) -> LabelScore:
  """Scores an estimate by the labels of all utterances behind the update."""
  counts = np.bincount(np.concatenate(labels), minlength=alphabet.size)
  counts = counts / len(labels)
  true = set(_characters(counts > 0, alphabet))
  length_error = count_error = None
  if estimated.counts is not None and estimated.num_labels is not None:
    total = counts.sum()
    length_error = float(abs(estimated.num_labels - total) / total)
    count_error = float(np.abs(estimated.counts - counts).sum() / total)
  precision, recall = _rates_of_hits(set(estimated.characters), true)
  certain_precision, certain_recall = _rates_of_hits(
    set(estimated.certain), true
  )
  return LabelScore(
    precision=precision,
    recall=recall,
    certain_precision=certain_precision,
    certain_recall=certain_recall,
    length_error=length_error,
    count_error=count_error,
  )


def gradient_scale(observed: observation.Observation) -> float | None:
  """By which an update exceeds the sum of its steps' gradients; None where
  that is lost."""
  client = observed.client
  if client.clip_norm or observed.treatment.clip_norm:
    return None
  if observed.observed is config.Observed.GRADIENT:
    return 1.0
  if client.optimizer is config.ClientOptimizer.SGD:
    return observed.learning_rate
  return None


def _counts(
  observed: observation.Observation, bias: np.ndarray, kernel: np.ndarray
) -> tuple[np.ndarray | None, float | None]:
  rates = _rates_in_update(observed, bias, kernel)
  num_outputs = _declared_outputs(observed)
  if num_outputs is None:
    num_outputs = _num_outputs(bias, rates)
    if num_outputs is None:
      return None, None
  occupancies = np.maximum(num_outputs * rates - bias, 0)
  return _occurrences(occupancies, rates), num_outputs


def _occurrences(
  occupancies: Float64[np.ndarray, ' vocab'],
  rates: Float64[np.ndarray, ' vocab'],
) -> Float64[np.ndarray, ' vocab']:
  """n_k = o_k (1 - p_k x), with o_0 (1 - p_0 x) = (1 + sum_k n_k) p_0 x."""
  held, p = (
    np.delete(occupancies, alphabets.BLANK),
    np.delete(rates, alphabets.BLANK),
  )
  o_blank, p_blank = occupancies[alphabets.BLANK], rates[alphabets.BLANK]
  square = p_blank * (held @ p)
  linear = p_blank * (1 + held.sum() + o_blank)
  # The smaller root, in the form that does not cancel.
  root = np.sqrt(max(linear**2 - 4 * square * o_blank, 0))
  x = 2 * o_blank / (linear + root)
  counts = np.maximum(occupancies * (1 - rates * x), 0)
  counts[alphabets.BLANK] = 0
  return counts


def _rates_in_update(
  observed: observation.Observation, bias: np.ndarray, kernel: np.ndarray
) -> Float64[np.ndarray, ' vocab']:
  """p at the mean input of the output layer, which the columns of absent
  symbols are multiples of: dW_k = db_k h."""
  weights, offset = (
    np.asarray(observed.params['output'][name], np.float64)
    for name in ('kernel', 'bias')
  )
  rates = _softmax(offset)
  for _ in range(_NUM_REFINEMENTS):
    absent = _absent(bias, rates)
    mean_input = kernel[:, absent].sum(1) / bias[absent].sum()
    rates = _softmax(mean_input @ weights + offset)
  return rates


def _num_outputs(bias: np.ndarray, rates: np.ndarray) -> float | None:
  """Absent symbols have db_k = num_outputs * p_k, others less; None where
  those that seem to be absent disagree."""
  absent = _absent(bias, rates)
  ratios = bias[absent] / np.maximum(rates[absent], 1e-30)
  if ratios.min() <= 0 or ratios.max() > _MAX_SPREAD * ratios.min():
    return None
  return float(ratios.mean())


def _absent(bias: np.ndarray, rates: np.ndarray) -> np.ndarray:
  ratios = bias / np.maximum(rates, 1e-30)
  ratios[alphabets.BLANK] = -np.inf
  return np.argsort(ratios)[-_NUM_ABSENT:]


def _declared_outputs(observed: observation.Observation) -> float | None:
  frames = observed.declared.num_frames
  if frames is None:
    return None
  return float(
    np.mean([observed.acoustic.num_output_frames(n) for n in frames])
  )


def _softmax(values: np.ndarray) -> np.ndarray:
  powers = np.exp(values - values.max())
  return powers / powers.sum()


def _characters(
  present: np.ndarray, alphabet: alphabets.Alphabet
) -> tuple[str, ...]:
  return tuple(alphabet.symbols[label] for label in np.flatnonzero(present))


def _rates_of_hits(found: set[str], true: set[str]) -> tuple[float, float]:
  """Precision, 1 where nothing was claimed, and recall."""
  hits = len(found & true)
  return hits / len(found) if found else 1.0, hits / len(true)
