"""The objective of gradient matching, and what an attack is opened with."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedjax_asr import config
from fedjax_asr.attacks import client_gradient, observation, together
from fedjax_asr.attacks.matching import gradient_distance, speech_penalty
from fedjax_asr.speech import features as features_lib

# Transcripts are padded to multiples, so that many share a program.
_LABEL_QUANTUM = 32


class Problem(NamedTuple):
  """The arrays of an attack, which compiled programs are given.

  speech: the units in which guesses are optimised.
  labels, num_labels: of the declared transcripts.
  """

  start: client_gradient.Start
  target: gradient_distance.Target
  speech: features_lib.Statistics
  labels: Int[Array | np.ndarray, 'utterances labels']
  num_labels: Int[Array | np.ndarray, ' utterances']


class Settings(NamedTuple):
  """What is compiled into them. Of `observed` no large array is read."""

  observed: observation.Observation
  cfg: config.MatchingConfig
  names: tuple[str, ...]
  spoken: client_gradient.Transcripts


class Compiled:
  """Settings as a static argument: equal where they make the same program.

  Transcripts are arguments of programs; lengths are compiled into them, and
  so are the `options` of a method that is not told all by its settings.
  """

  def __init__(self, settings: Settings, options: Any = None) -> None:
    observed = settings.observed
    # Programs outlive the attack: they hold none of its arrays.
    kept = observed._replace(
      update=(), params=(), norm_state=(), norm_update=None
    )
    self.settings = settings._replace(observed=kept)
    self.options = options
    self._acoustic = observed.acoustic
    self._key = repr(
      (
        settings.cfg,
        options,
        settings.names,
        settings.spoken.num_frames.tolist(),
        observed.model,
        observed.features,
        observed.client,
        observed.observed,
        observed.num_steps,
        observed.learning_rate,
      )
    )

  def __hash__(self) -> int:
    return hash(self._key)

  def __eq__(self, other: object) -> bool:
    return (
      isinstance(other, Compiled)
      and self._key == other._key
      and self._acoustic is other._acoustic
    )


def compute(
  function: Callable[..., Any],
  static: tuple[Any, ...],
  problem: Problem,
  *own: Any,
) -> Any:
  """function(*static, problem.start, (problem without it, *own)), compiled.

  Together with like calls of a group's other attacks, whose victims have the
  same model; see `together`.
  """
  arrays = problem._replace(start=()), *own
  return together.call(
    function, static, problem.start, jax.tree.map(jnp.asarray, arrays)
  )


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
    padded(spoken.labels),
    spoken.num_labels,
  )
  return Settings(observed, cfg, names, spoken), problem


def padded(
  labels: Int[np.ndarray, 'utterances labels'],
) -> Int[np.ndarray, 'utterances padded']:
  """To one of a few lengths; what is added is behind `num_labels`."""
  return np.pad(labels, ((0, 0), (0, -labels.shape[1] % _LABEL_QUANTUM)))


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
  spoken = spoken._replace(labels=problem.labels, num_labels=problem.num_labels)
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
  of_all = config.MatchingConfig(distance=config.Distance.L2)
  settings, problem = opened(observed, of_all)
  problem = problem._replace(
    speech=standard(features.shape[-1]),
    labels=padded(spoken.labels),
    num_labels=spoken.num_labels,
  )
  compiled = Compiled(settings._replace(spoken=spoken))
  return float(compute(_residual, (compiled,), problem, features))


def _residual(
  compiled: Compiled,
  start: client_gradient.Start,
  own: tuple[Problem, Float[Array, 'frames features']],
) -> Float[Array, '']:
  problem, features = own
  problem = problem._replace(start=start)
  return objective(compiled.settings, 0.0, problem, features)
