"""What a client would send, as a differentiable function of its speech."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.federated import (
  algorithm,
  algorithms,
  client,
  cohort,
)
from fedjax_asr.federated.algorithms import fedavg
from fedjax_asr.models import ctc, model

# Adam divides by the root of squared gradients, which has no derivative at 0.
# Entries under this count as this: the step moves by 1e-7 of itself.
_ADAM_FLOOR = 1e-15


class Transcripts(NamedTuple):
  """What the declared labels and lengths come to, as arrays."""

  num_frames: np.ndarray
  labels: np.ndarray
  num_labels: np.ndarray


class Start(NamedTuple):
  """The values that a client starts from."""

  params: model.Params
  norm_state: model.NormState


def transcripts(observed: observation.Observation) -> Transcripts:
  """The declared labels and lengths.

  Raises:
    observation.Refused: they are not declared, or cannot be those of the
      update.
  """
  declared = observed.declared
  if declared.labels is None:
    raise observation.Refused('the transcript is not declared.')
  if declared.num_frames is None:
    raise observation.Refused('the length is not declared.')
  count = len(declared.labels)
  for what, other in (
    ('lengths', len(declared.num_frames)),
    ('utterances', declared.num_utterances),
  ):
    if other is not None and other != count:
      raise observation.Refused(f'{other} {what} but {count} transcripts.')
  num_labels = np.array([len(item) for item in declared.labels], np.int32)
  labels = np.zeros((count, max(1, *num_labels)), np.int32)
  for row, item in zip(labels, declared.labels, strict=True):
    row[: len(item)] = item
  num_frames = np.array(declared.num_frames, np.int32)
  spoken = Transcripts(num_frames, labels, num_labels)
  _check_alignment(observed.acoustic, spoken)
  return spoken


def _check_alignment(acoustic: model.Model, spoken: Transcripts) -> None:
  """A client leaves out utterances that CTC cannot align."""
  outputs = jnp.asarray(acoustic.num_output_frames(spoken.num_frames))
  labels = jnp.asarray(spoken.labels)
  num_labels = jnp.asarray(spoken.num_labels)
  usable = ctc.feasible(outputs, labels, num_labels)
  needed = ctc.min_frames(labels, num_labels)
  for index in np.flatnonzero(~np.asarray(usable)):
    raise observation.Refused(
      f'the transcript of utterance {index} has {num_labels[index]} labels, '
      f'which need {max(1, needed[index])} output frames; it has '
      f'{outputs[index]}.'
    )


def batch(
  features: Float[Array, 'frames features'], spoken: Transcripts
) -> cohort.Batch:
  """The utterances that stand one after another in `features`."""
  longest = int(spoken.num_frames.max())
  ends = np.cumsum(spoken.num_frames)
  place = (ends - spoken.num_frames)[:, None] + np.arange(longest)
  real = np.arange(longest) < spoken.num_frames[:, None]
  padded = features[np.where(real, place, 0)]
  return cohort.Batch(
    jnp.where(real[..., None], padded, 0),
    jnp.asarray(spoken.num_frames),
    jnp.asarray(spoken.labels),
    jnp.asarray(spoken.num_labels),
  )


def utterances(
  features: np.ndarray, num_frames: Sequence[int] | np.ndarray
) -> tuple[np.ndarray, ...]:
  """Undoes `batch`: each utterance's frames."""
  return tuple(np.split(features, np.cumsum(num_frames)[:-1]))


def attacked_model(
  observed: observation.Observation, smoothing: float = 0.0
) -> model.Model:
  """The client's model without dropout, whose masks nobody else knows.

  `smoothing` is the width of its clipped ReLUs' kinks; 0: exact.
  """
  if not (smoothing or observed.model.chosen.dropout):
    return observed.acoustic
  # The caller's own record is not touched.
  cfg = config.from_dict(config.ModelConfig, config.as_dict(observed.model))
  cfg.chosen.dropout = 0.0
  return model.acoustic(
    cfg,
    observed.features.num_features,
    observed.acoustic.alphabet,
    smoothing,
  )


def update(
  observed: observation.Observation,
  acoustic: model.Model,
  names: tuple[str, ...],
  start: Start,
  spoken: cohort.Batch,
) -> dict[str, jax.Array]:
  """These parameters' part of what the client sends; {name: values}.

  `client.message` of the algorithm that the round, and with it
  `victim.make_send`, has for these settings. What is left out of the round is
  what nobody else can repeat or differentiate: dropout, augmentation, and the
  channel behind the message (clipping of the whole update, noise, codes), whose
  settings are in `Observation.treatment`. Of `observed` only settings are read,
  so that its arrays do not become constants of a compiled program. The model
  trains as the client's does, with batch norm's statistics of the batch; every
  local step is on all of `spoken`. Differentiable with respect to `start` and
  to the features any number of times, client Adam included.
  """
  broadcast = algorithm.Broadcast(
    start.params, start.norm_state, (), jnp.float32(observed.learning_rate)
  )
  steps = jax.tree.map(
    lambda leaf: jnp.broadcast_to(leaf, (observed.num_steps, *leaf.shape)),
    spoken,
  )
  message, _ = client.message(
    _algorithm(observed, acoustic),
    broadcast,
    algorithm.Participant(jnp.int32(0)),
    (),
    steps,
    # Nothing is drawn: there is no augmentation and no dropout.
    jax.random.key(0),
  )
  leaves = observation.flat(message.update.params)
  return {name: leaves[name] for name in names}


def _algorithm(
  observed: observation.Observation, acoustic: model.Model
) -> algorithm.Algorithm:
  """That of the round; how clients are weighed there is not in an update."""
  federated = config.FederatedConfig(client=observed.client)
  augmentation = config.AugmentConfig()
  match observed.observed:
    case config.Observed.GRADIENT:
      return algorithms.of_gradient(acoustic, federated, augmentation)
    case config.Observed.DELTA:
      parts = algorithms.Parts(acoustic, federated, augmentation, 1)
      return parts.fedavg(_correction(observed.client))


def _correction(client_config: config.ClientConfig) -> fedavg.Correct | None:
  if client_config.optimizer is not config.ClientOptimizer.ADAM:
    return None
  return lambda gradient, state, broadcast: jax.tree.map(_floored, gradient)


def _floored(gradient: jax.Array) -> jax.Array:
  return jnp.where(jnp.abs(gradient) < _ADAM_FLOOR, _ADAM_FLOOR, gradient)
