"""Hessian-free gradient matching (Dang et al. 2021, arXiv 2104.07815).

Random search on 1 - cosine between the gradients of the last layer: of many
random unit directions, each of which perturbs one frame, those that improve
the guess are added up. No second derivative, and no gradient of the layers
below, is computed.

Assumes:
  observed: the updates of the layers in `cfg.layers`, the last by default; of
    all that were sent, for the certificate.
  told: the parameters that the server sent, transcripts and lengths of all
    utterances; the client's optimizer, learning rate, clipping of gradients and
    number of local steps.
  model: any.
  training: without dropout and augmentation, whose draws nobody else knows;
    each local step on all utterances.
  noise: none, nor codes or clipping of the whole update: what is on its way is
    not imitated.
  refused: a transcript or length that is not declared or cannot be the
    update's, and layers whose update is zero or withheld.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fedjax_asr import config
from fedjax_asr.attacks import client_gradient, observation
from fedjax_asr.attacks.matching import (
  gradient_matching,
  matching_objective,
)

# Iterations in one call of the compiled program.
CHUNK = 50


class Search(NamedTuple):
  """Where the search stands; `objective` is that of `point`.

  reference: the objective when the radius was last judged.
  """

  point: Float[Array, 'frames features']
  objective: Float[Array, '']
  reference: Float[Array, '']
  radius: Float[Array, '']
  iteration: Int[Array, '']


Objective = Callable[[jax.Array], jax.Array]


def reconstruct(
  observed: observation.Observation,
  cfg: config.HessianFreeConfig,
  key: jax.Array,
  report: observation.Report | None = None,
) -> observation.Reconstruction:
  """The search from uniform noise in [-1, 1], in the model's input units.

  Its objective never rises. Of several utterances the frames stand one after
  another.

  Raises:
    observation.Refused: transcript or length is not declared, or the update of
      the layers is zero.
    observation.ObservationError: the model lacks a layer that `cfg` names.
  """
  settings, problem = _opened(observed, cfg)
  spoken = settings.spoken
  shape = (int(spoken.num_frames.sum()), observed.features.num_features)
  start_key, search_key = jax.random.split(key)
  point = jax.random.uniform(start_key, shape, minval=-1.0, maxval=1.0)
  static = (matching_objective.Compiled(settings, cfg),)
  search = matching_objective.compute(_begin, static, problem, point)
  while is_going(search, cfg):
    search = matching_objective.compute(
      _advance, static, problem, search, search_key
    )
    if report:
      report(
        f'iteration {int(search.iteration)} of at most '
        f'{cfg.max_iterations}, radius {float(search.radius):.3g}, objective '
        f'{float(search.objective):.3g}'
      )
  return _reconstruction(settings, search)


def _opened(
  observed: observation.Observation, cfg: config.HessianFreeConfig
) -> tuple[matching_objective.Settings, matching_objective.Problem]:
  """With units of features as they are, whatever is known of speech."""
  whole = config.MatchingConfig(
    layers=cfg.layers, distance=config.Distance.COSINE
  )
  settings, problem = matching_objective.opened(observed, whole)
  width = observed.features.num_features
  plain = problem._replace(speech=matching_objective.standard(width))
  return settings, plain


def _begin(
  compiled: matching_objective.Compiled,
  start: client_gradient.Start,
  own: tuple[matching_objective.Problem, jax.Array],
) -> Search:
  problem, point = own
  objective = _objective(compiled, problem._replace(start=start))
  return started(objective, point, compiled.options)


def _advance(
  compiled: matching_objective.Compiled,
  start: client_gradient.Start,
  own: tuple[matching_objective.Problem, Search, jax.Array],
) -> Search:
  problem, search, key = own
  objective = _objective(compiled, problem._replace(start=start))
  return advanced(objective, search, key, compiled.options)


def _objective(
  compiled: matching_objective.Compiled, problem: matching_objective.Problem
) -> Objective:
  """1 - cosine of a guess's update and the observed one."""
  return functools.partial(
    matching_objective.objective, compiled.settings, 0.0, problem
  )


def started(
  objective: Objective,
  point: Float[Array, 'frames features'],
  cfg: config.HessianFreeConfig,
) -> Search:
  """At a point, with the widest radius."""
  value = objective(point)
  radius = jnp.asarray(cfg.radius, point.dtype)
  return Search(point, value, value, radius, jnp.zeros((), jnp.int32))


def is_going(search: Search, cfg: config.HessianFreeConfig) -> bool:
  """Neither too narrow nor at the last iteration."""
  return bool(_going(search, cfg))


def _going(search: Search, cfg: config.HessianFreeConfig) -> Bool[Array, '']:
  wide = search.radius >= cfg.min_radius
  return wide & (search.iteration < cfg.max_iterations)


def advanced(
  objective: Objective,
  search: Search,
  key: jax.Array,
  cfg: config.HessianFreeConfig,
) -> Search:
  """`CHUNK` iterations on, or as many as are left."""

  def body(search: Search, _: None) -> tuple[Search, None]:
    def iterate(search: Search) -> Search:
      now = jax.random.fold_in(key, search.iteration)
      return judged(moved(objective, search, now, cfg), cfg)

    going = _going(search, cfg)
    return jax.lax.cond(going, iterate, lambda search: search, search), None

  return jax.lax.scan(body, search, length=CHUNK)[0]


def directions(
  key: jax.Array, count: int, num_frames: int, num_features: int
) -> Float[Array, 'directions frames features']:
  """Random unit vectors, each in one random frame."""
  frame_key, value_key = jax.random.split(key)
  frames = jax.random.randint(frame_key, (count,), 0, num_frames)
  values = jax.random.normal(value_key, (count, num_features))
  values = values / jnp.linalg.norm(values, axis=1, keepdims=True)
  place = jax.nn.one_hot(frames, num_frames)
  return place[:, :, None] * values[:, None, :]


def moved(
  objective: Objective,
  search: Search,
  key: jax.Array,
  cfg: config.HessianFreeConfig,
) -> Search:
  """By the sum of all steps that improve, if it improves, or the best of them.

  Steps that help one by one can hurt together; the published description
  leaves open what then happens, and this never goes up.
  """
  units = directions(key, cfg.num_directions, *search.point.shape)
  steps = search.radius * units
  values = jax.vmap(lambda step: objective(search.point + step))(steps)
  improves = values < search.objective
  together = jnp.where(improves[:, None, None], steps, 0).sum(0)
  best = jnp.nanargmin(jnp.where(jnp.isnan(values), jnp.inf, values))
  candidates = jnp.stack([jnp.zeros_like(together), together, steps[best]])
  reached = jnp.stack(
    [search.objective, objective(search.point + together), values[best]]
  )
  # The sum goes before the best of its parts wherever it improves.
  chosen = jnp.where(
    reached[1] < search.objective, 1, jnp.where(improves[best], 2, 0)
  )
  return search._replace(
    point=search.point + candidates[chosen],
    objective=reached[chosen],
    iteration=search.iteration + 1,
  )


def judged(search: Search, cfg: config.HessianFreeConfig) -> Search:
  """Halves the radius where `patience` iterations gained under `min_gain`.

  The gain is relative to the objective before them.
  """
  due = search.iteration % cfg.patience == 0
  poor = search.objective > (1 - cfg.min_gain) * search.reference
  return search._replace(
    reference=jnp.where(due, search.objective, search.reference),
    radius=jnp.where(due & poor, search.radius / 2, search.radius),
  )


def _reconstruction(
  settings: matching_objective.Settings, search: Search
) -> observation.Reconstruction:
  observed, _, names, spoken = settings
  residual = matching_objective.relative_residual(
    observed, spoken, search.point
  )
  return observation.Reconstruction(
    features=client_gradient.utterances(
      np.asarray(search.point), spoken.num_frames
    ),
    certificate={
      'objective': float(search.objective),
      'relative_squared_distance': residual,
      'iterations': int(search.iteration),
    },
    is_certified=residual < gradient_matching.CERTIFIED,
    is_whole=residual < gradient_matching.CERTIFIED,
    ledger=observation.ledger(
      observed,
      names,
      uses_transcript=True,
      uses_length=True,
      uses_num_utterances=True,
    ),
  )
