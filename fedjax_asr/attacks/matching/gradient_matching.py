"""Second-order gradient matching: speech whose update is the observed one.

Zhu et al. 2019 and Geiping et al. 2020, for CTC: the distance between the
update of a guess and the one observed is differentiated with respect to the
guess, through the client's own gradient or through all of its local steps.

Assumes:
  observed: the updates of the layers in `cfg.layers`, all by default; of all
    that were sent, for the certificate.
  told: the parameters that the server sent, transcripts and lengths of all
    utterances; the client's optimizer, learning rate, clipping of gradients and
    number of local steps. Of public speech mean and deviation, where declared:
    the units of points, where restarts begin, and `speech_prior`.
  model: any that can be differentiated twice.
  training: without dropout and augmentation, whose draws nobody else knows;
    each local step on all utterances.
  noise: none, nor codes or clipping of the whole update: what is on its way is
    not imitated.
  refused: a transcript or length that is not declared or cannot be the
    update's, and layers whose update is zero or withheld, or a `speech_prior`
    of which no speech is declared.
"""

import functools
import hashlib
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fedjax_asr import config
from fedjax_asr.attacks import client_gradient, known_scale, observation
from fedjax_asr.attacks.matching import (
  descent,
  matching_objective,
  matching_progress,
  temporal_grid,
)
from fedjax_asr.speech import features as features_lib

# Squared distance over all layers, relative to the update's, from which a
# reconstruction is believed.
CERTIFIED = 1e-8
# Iterations in one call of the compiled program: between two of them progress
# is reported, and an interrupt heard.
CHUNK = 50
PRIOR = known_scale.PUBLIC_SPEECH

Points = Float[Array, 'restarts frames features']


class State(NamedTuple):
  """Restarts in the middle of a grid, in units of public speech.

  best, objective: the lowest that each restart has come by.
  """

  points: Points
  minimiser: Any
  best: Points
  objective: Float[Array, ' restarts']
  iteration: Int[Array, '']


class Frames(NamedTuple):
  """Which frames of the restarts are moved; the others stay on the canvas."""

  canvas: Float[Array | np.ndarray, 'restarts frames features']
  inside: Bool[Array | np.ndarray, ' frames']


# (problem, point) -> what is minimised.
Objective = Callable[[matching_objective.Problem, jax.Array], jax.Array]


class Stage(NamedTuple):
  """Compiled programs at one width of the clipped ReLU's kinks.

  begin(problem, frames, points) -> State
  advance(problem, frames, state, keys, limit) -> State, some iterations on
  objectives(problem, points) -> [restarts]
  """

  begin: Callable[..., State]
  advance: Callable[..., State]
  objectives: Callable[..., jax.Array]


class _Opened(NamedTuple):
  """An attack that is ready to go: all but where it starts."""

  settings: matching_objective.Settings
  problem: matching_objective.Problem
  stages: list[Stage]


# (iteration, of all on one grid, objectives of the restarts): told as a line.
_Line = Callable[[int, int, np.ndarray], None]


def reconstruct(
  observed: observation.Observation,
  cfg: config.MatchingConfig,
  key: jax.Array,
  report: observation.Report | None = None,
  *,
  start: Float[np.ndarray, 'restarts frames features'] | None = None,
  progress: pathlib.Path | None = None,
) -> observation.Reconstruction:
  """Speech whose update matches, of the restart that comes nearest.

  Public speech, where declared, sets the units of the optimisation, and
  without `start` what restarts start from: Gaussian noise of its mean and
  deviation, standard noise otherwise. Of several utterances the frames stand
  one after another.

  Args:
    start: in the model's input units; as many restarts, in place of noise.
    progress: a file that is written after each temporal grid and, where it
      exists, resumed from: the outcome is the same as without interruption.

  Raises:
    observation.Refused: transcript or length is not declared, or the speech
      that a prior wants is not, or the update of the layers is zero.
    observation.ObservationError: the model lacks a layer that `cfg` names.
    matching_progress.ProgressError: the file is of something else.
    config.ConfigError: grids that cannot be laid.
  """
  settings, problem = matching_objective.opened(observed, cfg)
  points = _starts(settings, problem.speech, start, key)
  opened = _Opened(settings, problem, _stages(settings))
  canvas = _over_grids(opened, points, key, progress, report or _silent)
  objectives = np.asarray(opened.stages[-1].objectives(problem, canvas))
  chosen = int(np.argmin(np.nan_to_num(objectives, nan=np.inf)))
  features = matching_objective.in_features(
    problem.speech, jnp.asarray(canvas[chosen])
  )
  return _reconstruction(settings, features, float(objectives[chosen]))


def _reconstruction(
  settings: matching_objective.Settings,
  features: Float[Array, 'frames features'],
  objective: float,
) -> observation.Reconstruction:
  """Believed where the residual over all layers is small."""
  observed = settings.observed
  residual = matching_objective.relative_residual(
    observed, settings.spoken, features
  )
  return observation.Reconstruction(
    features=client_gradient.utterances(
      np.asarray(features), settings.spoken.num_frames
    ),
    certificate={
      'objective': objective,
      'relative_squared_distance': residual,
    },
    is_certified=residual < CERTIFIED,
    is_whole=residual < CERTIFIED,
    ledger=observation.ledger(
      observed,
      settings.names,
      uses_transcript=True,
      uses_length=True,
      uses_num_utterances=True,
      prior='' if observed.declared.speech is None else PRIOR,
    ),
  )


def _silent(line: str) -> None:
  del line


def _starts(
  settings: matching_objective.Settings,
  speech: features_lib.Statistics,
  start: Float[np.ndarray, 'restarts frames features'] | None,
  key: jax.Array,
) -> Float[np.ndarray, 'restarts frames features']:
  """Where the restarts begin, in units of public speech."""
  width = settings.observed.features.num_features
  shape = (int(settings.spoken.num_frames.sum()), width)
  if start is None:
    count = settings.cfg.num_restarts
    return np.asarray(jax.random.normal(key, (count, *shape)))
  if start.ndim != 3 or start.shape[1:] != shape:
    raise ValueError(f'start of {start.shape}; want (restarts, *{shape}).')
  return matching_objective.in_speech_units(speech, start)


def _widths(cfg: config.MatchingConfig) -> tuple[float, ...]:
  """Of the smoothed clipped ReLU, one after another; the last is exact."""
  if not cfg.smoothing:
    return (0.0,)
  stages = range(cfg.smoothing_stages)
  return (*(cfg.smoothing / 2**stage for stage in stages), 0.0)


def _stages(settings: matching_objective.Settings) -> list[Stage]:
  compiled = matching_objective.Compiled(settings)

  def stage(width: float) -> Stage:
    programs = (
      functools.partial(matching_objective.compute, each, (compiled, width))
      for each in (_begin_of, _advance_of, _objectives_of)
    )
    return Stage(*programs)

  return [stage(width) for width in _widths(settings.cfg)]


def _begin_of(
  compiled: matching_objective.Compiled,
  width: float,
  start: client_gradient.Start,
  own: tuple[Any, ...],
) -> State:
  problem, *others = own
  minimiser, function = _chosen(compiled, width)
  return _begin(minimiser, function, problem._replace(start=start), *others)


def _advance_of(
  compiled: matching_objective.Compiled,
  width: float,
  start: client_gradient.Start,
  own: tuple[Any, ...],
) -> State:
  problem, *others = own
  minimiser, function = _chosen(compiled, width)
  return _advance(minimiser, function, problem._replace(start=start), *others)


def _objectives_of(
  compiled: matching_objective.Compiled,
  width: float,
  start: client_gradient.Start,
  own: tuple[Any, ...],
) -> Float[Array, ' restarts']:
  problem, points = own
  _, function = _chosen(compiled, width)
  return jax.vmap(function, (None, 0))(problem._replace(start=start), points)


def _chosen(
  compiled: matching_objective.Compiled, width: float
) -> tuple[descent.Descent, Callable[..., jax.Array]]:
  """The minimiser, and what it minimises at this width of the kinks."""
  settings = compiled.settings
  return descent.descent(settings.cfg), functools.partial(
    matching_objective.objective, settings, width
  )


def _begin(
  minimiser: descent.Descent,
  function: Objective,
  problem: matching_objective.Problem,
  frames: Frames,
  points: Points,
) -> State:
  """The minimiser is started afresh, from `points`."""

  def start(frozen: jax.Array, point: jax.Array) -> Any:
    objective = _inside(function, problem, frozen, frames.inside)
    return minimiser.start(objective, point)

  return State(
    points=points,
    minimiser=jax.vmap(start)(jnp.asarray(frames.canvas), points),
    best=points,
    objective=jnp.full(len(points), jnp.inf, points.dtype),
    iteration=jnp.zeros((), jnp.int32),
  )


def _inside(
  function: Objective,
  problem: matching_objective.Problem,
  frozen: Float[Array, 'frames features'],
  inside: Bool[Array | np.ndarray, ' frames'],
) -> descent.Objective:
  """The objective of a point that counts in some frames only."""

  def restricted(point: jax.Array) -> jax.Array:
    return function(problem, jnp.where(inside[:, None], point, frozen))

  return restricted


def _advance(
  minimiser: descent.Descent,
  function: Objective,
  problem: matching_objective.Problem,
  frames: Frames,
  state: State,
  keys: jax.Array,
  limit: Int[Array, ''],
) -> State:
  """Up to `CHUNK` iterations on; none beyond `limit`."""

  def move(
    frozen: jax.Array,
    point: jax.Array,
    minimiser_state: Any,
    key: jax.Array,
    iteration: jax.Array,
  ) -> tuple[jax.Array, Any, jax.Array]:
    restricted = _inside(function, problem, frozen, frames.inside)
    key = jax.random.fold_in(key, iteration)
    return minimiser.step(restricted, point, minimiser_state, key)

  def iterate(state: State) -> State:
    points, minimiser_state, values = jax.vmap(move, (0, 0, 0, 0, None))(
      jnp.asarray(frames.canvas),
      state.points,
      state.minimiser,
      keys,
      state.iteration,
    )
    lower = values < state.objective
    return State(
      points=points,
      minimiser=minimiser_state,
      best=jnp.where(lower[:, None, None], state.points, state.best),
      objective=jnp.where(lower, values, state.objective),
      iteration=state.iteration + 1,
    )

  def body(state: State, _: None) -> tuple[State, None]:
    going = state.iteration < limit
    return jax.lax.cond(going, iterate, lambda state: state, state), None

  return jax.lax.scan(body, state, length=CHUNK)[0]


def _over_grids(
  opened: _Opened,
  points: Float[np.ndarray, 'restarts frames features'],
  key: jax.Array,
  path: pathlib.Path | None,
  report: observation.Report,
) -> np.ndarray:
  """One grid after another, blended; resumes where the file says."""
  cfg = opened.settings.cfg
  frames = points.shape[1]
  grids = temporal_grid.grids(frames, cfg.grid_frames, cfg.grid_overlap)
  weights = temporal_grid.masks(grids, frames)
  fingerprint = _fingerprint(opened.settings, points, key)
  saved = matching_progress.load(path, fingerprint) if path else None
  first, canvas = (0, points) if saved is None else saved[:2]
  for index in range(first, len(grids)):
    part = Frames(canvas, weights[index] > 0)
    line = functools.partial(_line, report, index, len(grids))
    grid_key = jax.random.fold_in(key, index)
    found = _over_stages(opened, part, grid_key, line)
    canvas = temporal_grid.blended(canvas, found, weights, index)
    if path:
      done = matching_progress.Progress(index + 1, canvas, fingerprint)
      matching_progress.save(path, done)
  return canvas


def _line(
  report: observation.Report,
  grid: int,
  num_grids: int,
  iteration: int,
  limit: int,
  objectives: np.ndarray,
) -> None:
  report(
    f'grid {grid + 1} of {num_grids}, iteration '
    f'{min(iteration, limit)} of {limit}, objective {objectives.min():.3g}'
  )


def _over_stages(
  opened: _Opened, frames: Frames, key: jax.Array, line: _Line
) -> np.ndarray:
  """What a grid's frames come to, from the smoothest ReLU to the exact one."""
  settings, problem, stages = opened
  best = frames.canvas
  limit = -(-settings.cfg.num_iterations // len(stages))
  for index, stage in enumerate(stages):
    keys = jax.random.split(jax.random.fold_in(key, index), len(best))
    state = stage.begin(problem, frames, best)
    # One more than `limit`: it tells what the last move has come to.
    while int(state.iteration) <= limit:
      state = stage.advance(problem, frames, state, keys, limit + 1)
      iteration = index * limit + min(int(state.iteration), limit)
      line(iteration, limit * len(stages), np.asarray(state.objective))
    best = state.best
  return np.where(frames.inside[:, None], best, frames.canvas)


def _fingerprint(
  settings: matching_objective.Settings, points: np.ndarray, key: jax.Array
) -> str:
  """Of all that the outcome depends on."""
  observed, cfg, names, spoken = settings
  arrays = (observed.update, observed.params, observed.norm_state, spoken)
  digest = hashlib.sha256(repr((cfg, names, observed.model)).encode())
  local = (observed.client, observed.observed, observed.num_steps)
  digest.update(repr((*local, observed.learning_rate)).encode())
  speech = observed.declared.speech
  for leaf in jax.tree.leaves((arrays, speech, points)):
    digest.update(np.asarray(leaf).tobytes())
  digest.update(np.asarray(jax.random.key_data(key)).tobytes())
  return digest.hexdigest()
