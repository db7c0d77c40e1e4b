"""The objective of gradient matching, and what an attack is opened with."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.attacks import client_gradient, observation
from fedjax_asr.attacks.matching import gradient_distance, speech_penalty
from fedjax_asr.speech import features as features_lib


class Problem(NamedTuple):
  """The arrays of an attack, which compiled programs are given.

  speech: the units in which guesses are optimised.
  """

  start: client_gradient.Start
  target: gradient_distance.Target
  speech: features_lib.Statistics


class Settings(NamedTuple):
  """What is compiled into them. Of `observed` no large array is read."""

  observed: observation.Observation
  cfg: config.MatchingConfig
  names: tuple[str, ...]
  spoken: client_gradient.Transcripts


def opened(
  observed: observation.Observation, cfg: config.MatchingConfig
) -> tuple[Settings, Problem]:
  """Raises what `gradient_matching.reconstruct` says."""
  names = observation.telling(observed, cfg.layers)
  speech = observed.declared.speech
  if cfg.speech_prior and speech is None:
    raise observation.Refused(
      f'speech_prior={cfg.speech_prior}, but no public speech is declared.'
    )
  spoken = client_gradient.transcripts(observed)
  chosen = matched(observed, names)
  width = observed.features.num_features
  problem = Problem(
    client_gradient.Start(observed.params, observed.norm_state),
    gradient_distance.target(chosen, cfg.top_fraction),
    speech or standard(width),
  )
  return Settings(observed, cfg, names, spoken), problem


def matched(
  observed: observation.Observation, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
  """The update of these parameters, which were sent."""
  update = observation.flat(observed.update)
  return {name: np.asarray(update[name]) for name in names}


def standard(width: int) -> features_lib.Statistics:
  """Units of features that nothing is declared of: as they are."""
  return features_lib.Statistics(
    np.zeros(width, np.float32), np.ones(width, np.float32)
  )


def in_speech_units(
  speech: features_lib.Statistics,
  features: Float[np.ndarray, '*axes features'],
) -> Float[np.ndarray, '*axes features']:
  """Undoes `in_features`, on the host."""
  return (features - speech.mean) / np.asarray(_deviation(speech))


def _deviation(speech: features_lib.Statistics) -> Float[Array, ' features']:
  return jnp.maximum(speech.std, features_lib.MIN_STD)


def in_features(
  speech: features_lib.Statistics, points: Float[Array, '*axes features']
) -> Float[Array, '*axes features']:
  """From units of public speech to those of the model's input."""
  return points * _deviation(speech) + speech.mean


def objective(
  settings: Settings,
  smoothing: float,
  problem: Problem,
  point: Float[Array, 'frames features'],
) -> Float[Array, '']:
  """Distance of a guess's update, plus penalties; differentiable again.

  `smoothing` is the width of the clipped ReLUs' kinks; 0: exact.
  """
  observed, cfg, names, spoken = settings
  features = in_features(problem.speech, point)
  batch = client_gradient.batch(features, spoken)
  update = client_gradient.update(
    observed,
    client_gradient.attacked_model(observed, smoothing),
    names,
    problem.start,
    batch,
  )
  distance = gradient_distance.distance(
    cfg.distance, update, problem.target, per_layer=cfg.per_layer
  )
  return distance + speech_penalty.penalty(
    cfg,
    problem.speech,
    jnp.asarray(batch.features),
    jnp.asarray(batch.num_frames),
  )


def relative_residual(
  observed: observation.Observation,
  spoken: client_gradient.Transcripts,
  features: Float[Array, 'frames features'],
) -> float:
  """|g - t|^2 / |t|^2 over all that was sent, whichever was matched."""
  names = observation.telling(observed, ())

  @jax.jit
  def residual(
    start: client_gradient.Start,
    target: gradient_distance.Target,
    features: jax.Array,
  ) -> jax.Array:
    batch = client_gradient.batch(features, spoken)
    acoustic = client_gradient.attacked_model(observed)
    got = client_gradient.update(observed, acoustic, names, start, batch)
    return gradient_distance.distance(
      config.Distance.L2, got, target, per_layer=False
    )

  start = client_gradient.Start(observed.params, observed.norm_state)
  target = gradient_distance.target(matched(observed, names), 1.0)
  return float(residual(start, target, features))
