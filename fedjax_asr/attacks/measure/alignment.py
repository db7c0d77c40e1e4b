"""The transcript from the output layer's update, given reconstructed speech.

The features say what went into the output layer, h_t, and what came out, p_t.
Then its gradient, dW = sum_t h_t (p_t - q_t)^T and db = sum_t p_t - q_t, is a
linear system in the posteriors q_t of the symbols at each frame: with no more
frames than the layer has inputs they are its solution, without db too. So the
transcript can be read whether the model has learned to recognise speech or not.

Where clipping has made the gradient smaller by an unknown factor c, the
solution is c (p_t - q_t). A symbol k that the transcript lacks has q_tk = 0
throughout: there the solution is c p_tk, which tells c.

Assumes:
  observed: the update of the output layer's kernel; of its bias where sent. And
    features of every utterance behind it, as an attack found them.
  told: the parameters that the server sent, the learning rate; neither
    transcript nor length.
  model: any whose output layer is dense under the CTC loss, without dropout, or
    what it drops is part of the residual.
  training: one gradient, or one step other than Adam's, the mean over the
    utterances; fewer output frames than the layer has inputs.
  noise: none but rounding; what is off in the features, or added to the update,
    goes into the posteriors, and shows in the residual.
  refused: several steps, Adam's delta, no features, too many frames, or the
    kernel's update withheld or zero.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fedjax_asr import config
from fedjax_asr.attacks import forward_pass, observation
from fedjax_asr.attacks.measure import labels
from fedjax_asr.decoding import greedy
from fedjax_asr.speech import alphabets

_KERNEL, _BIAS = 'output/kernel', 'output/bias'
# Directions of h under this fraction of the largest are rounding in float32.
_PRECISION = 1e-6


class Alignment(NamedTuple):
  """Posteriors that explain an update, and what they spell.

  posteriors: [outputs, vocab] of each utterance.
  texts: the likeliest symbol of each frame, merged as in greedy decoding.
  residual: norm of what of the update they leave, over its own norm; small
    where the features are right.
  layers: names of the parameters whose updates were used.
  """

  posteriors: tuple[np.ndarray, ...]
  texts: tuple[str, ...]
  residual: float
  layers: tuple[str, ...]


def align(
  features: Sequence[Float[np.ndarray, '_ features']],
  observed: observation.Observation,
) -> Alignment:
  """Solves for the posteriors of all utterances of an update at once.

  Args:
    features: of every utterance behind the update.

  Raises:
    Refused: more frames than the layer has inputs, several local steps, Adam at
      the client, nothing reconstructed, or the kernel's update withheld or
      zero.
  """
  is_delta = observed.observed is config.Observed.DELTA
  adam = observed.client.optimizer is config.ClientOptimizer.ADAM
  if observed.num_steps != 1 or (is_delta and adam):
    raise observation.Refused(
      f'alignment: {observed.num_steps} steps of '
      f'{observed.client.optimizer.value}; want one gradient.'
    )
  passes = [_forward(observed, item) for item in features if len(item)]
  if not passes:
    raise observation.Refused('alignment: no features; want a reconstruction.')
  inputs, probabilities = (
    np.concatenate(part) for part in zip(*passes, strict=True)
  )
  gradient = observation.needed(observed, _KERNEL)
  bias = observation.evidence(observed, _BIAS)
  if bias is not None:
    inputs = np.pad(inputs, ((0, 0), (0, 1)), constant_values=1)
    gradient = np.concatenate([gradient, bias[None]])
  errors, residual = _solution(inputs, gradient)
  scale = labels.gradient_scale(observed)
  if scale is None:
    factor = _lost_factor(errors, probabilities)
  else:
    factor = scale / len(passes)
  posteriors = np.clip(probabilities - errors / factor, 0, 1)
  ends = np.cumsum([len(rows) for rows, _ in passes])[:-1]
  per_utterance = iter(np.split(posteriors, ends))
  rows = tuple(
    next(per_utterance) if len(item) else np.zeros((0, gradient.shape[1]))
    for item in features
  )
  layers = (_KERNEL,) if bias is None else (_KERNEL, _BIAS)
  return Alignment(
    rows,
    tuple(_spelled(each, observed.acoustic.alphabet) for each in rows),
    residual,
    layers,
  )


def _forward(
  observed: observation.Observation, features: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Inputs and probabilities of the output layer, [outputs, ...]."""
  passed = forward_pass.forward_pass(observed, features)
  logits = passed.logits.astype(np.float64)
  powers = np.exp(logits - logits.max(1, keepdims=True))
  return passed.inputs.astype(np.float64), powers / powers.sum(1, keepdims=True)


def _solution(
  inputs: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, float]:
  """Errors p - q of least squares, and the relative residual."""
  system = inputs.T
  if system.shape[1] >= system.shape[0]:
    raise observation.Refused(
      f'alignment: {system.shape[1]} frames of output; want fewer than '
      f'{system.shape[0]}, the inputs of the output layer and its bias.'
    )
  errors, *_ = np.linalg.lstsq(system, gradient, rcond=_PRECISION)
  left = np.linalg.norm(system @ errors - gradient)
  return errors, float(left / max(np.linalg.norm(gradient), 1e-30))


def _lost_factor(errors: np.ndarray, probabilities: np.ndarray) -> float:
  """By which errors exceed p - q: of the symbol that looks most absent."""
  squares = np.maximum(np.square(probabilities).sum(0), 1e-300)
  factors = (errors * probabilities).sum(0) / squares
  left = np.linalg.norm(errors - factors * probabilities, axis=0)
  sizes = np.maximum(np.linalg.norm(errors, axis=0), 1e-300)
  misfits = np.where(factors > 0, left / sizes, np.inf)
  best = float(factors[np.argmin(misfits)])
  return best if best > 0 else 1.0


def _spelled(posteriors: np.ndarray, alphabet: alphabets.Alphabet) -> str:
  if not len(posteriors):
    return ''
  path = greedy.path(
    jnp.asarray(posteriors)[None], jnp.asarray([len(posteriors)])
  )
  return greedy.transcripts(np.asarray(path), alphabet)[0]
