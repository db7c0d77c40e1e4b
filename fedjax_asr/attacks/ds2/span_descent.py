"""DeepSpeech 2 by descent on the span residual of its first recurrence.

1. Adam from noise, many starts at once, on `span_residual`'s objective: the
   residual and a prior on the amplitude, which goes to zero.
2. Minima are copies of the utterance shifted by whole output frames: only its
   zero-padded ends tell where it begins. The best starts are shifted to either
   side and descended again, with little prior.
3. The best of those go on for long without a prior. The residual tells right
   from wrong.
4. Where it does not close and transcript and length are declared, all layers'
   gradients are matched from there (`gradient_matching`).

A front that normalises (or has biases of zero) gives the same directions at
every scale: what is found is then certified up to its scale. That is set to
what normalisation per utterance makes it, or to that of public speech where
declared, and is arbitrary otherwise.

Assumes:
  observed: the update of the first recurrence's input kernel; of all layers in
    the polish.
  told: the parameters that the server sent. The length and the number of
    utterances where declared, otherwise the rank says how long one is; the
    transcript in the polish alone. Of public speech mean and deviation, where
    declared: the units of points, and a scale that no update tells.
  model: a DeepSpeech 2, before or after training.
  training: one utterance; convolutions as they were sent throughout, which is
    one step; something is sent back to each frame, and at least as many
    directions are left as an output frame has unknowns.
  noise: rounding alone.
  refused: another model, several utterances, Adam's delta, no update of the
    kernel, a spectrum without a drop, too many frames, or in the polish a
    transcript that cannot be that of the length.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from fedjax_asr import config
from fedjax_asr.attacks import known_scale, observation
from fedjax_asr.attacks.ds2 import front_inversion, span_residual
from fedjax_asr.attacks.matching import gradient_matching, matching_objective

# Residual under which a reconstruction is believed.
CERTIFIED = 1e-8
# Iterations in one call of the compiled program: between two of them progress
# is reported, and an interrupt heard.
_CHUNK = 100
_ADAM = optax.scale_by_adam()
# A residual that rises by no more than this part has not risen.
_SLACK = 0.01

Points = Float[Array, 'starts frames features']
Copies = Float[Array, 'copies frames features']
Best = Float[Array, 'best frames features']


class Schedule(NamedTuple):
  """A descent by Adam.

  learning_rate: at first; falls to zero along a cosine.
  amplitude_prior: at first; falls to zero along a line.
  """

  num_iterations: int | jax.Array
  learning_rate: float | jax.Array
  amplitude_prior: float | jax.Array


class State(NamedTuple):
  """Descents side by side; points in the units of `Problem.speech`."""

  points: Points
  minimiser: Any
  residuals: Float[Array, ' starts']
  iteration: Int[Array, '']


class _Found(NamedTuple):
  """features: in the model's input units."""

  features: Float[np.ndarray, 'frames features']
  residual: float
  scale_is_free: bool


def reconstruct(
  observed: observation.Observation,
  cfg: config.SpanDescentConfig,
  key: jax.Array,
  report: observation.Report | None = None,
) -> observation.Reconstruction:
  """The one utterance behind an update of DeepSpeech 2; see the module.

  Certified where the residual is under `CERTIFIED`: true to scale if the
  certificate's scale_is_free is 0. Or where the polish closes, which takes
  the transcript. Nothing promises that a descent gets there.

  Raises:
    observation.Refused: as `span_residual.opened` says, or a declared
      transcript that cannot be that of the length.
  """
  report = report or (lambda _: None)
  spanned = span_residual.space(observed)
  problem = span_residual.opened(observed, spanned)
  front = front_inversion.front(observed)
  # Highest: a GPU would round products to TF32.
  with jax.default_matmul_precision('highest'):
    points = searched(observed, cfg, problem, key, report)
    points = repaired(observed, cfg, problem, points, report)
    points, residuals = refined(front, cfg, problem, points, report)
  best = points[np.argsort(residuals)[0]]
  found, polished = _rescaled(observed, problem, best), None
  closes = found.residual < CERTIFIED
  if cfg.num_polish and not closes and _is_told(observed.declared):
    polished = _polished(observed, cfg, found.features, key, report)
    (features,) = polished.features
    residual = _measured(observed, problem, features)
    found = found._replace(features=features, residual=residual)
  result = _result(observed, found, polished)
  return result._replace(spectra=(spanned.spectrum(span_residual.LAYER),))


def _is_told(declared: observation.Declared) -> bool:
  """What the polish takes."""
  return declared.labels is not None and declared.num_frames is not None


def searched(
  observed: observation.Observation,
  cfg: config.SpanDescentConfig,
  problem: span_residual.Problem,
  key: jax.Array,
  report: observation.Report,
) -> Best:
  """The best of the descents from noise, lowest residual first."""
  schedule = Schedule(
    cfg.num_iterations, cfg.learning_rate, cfg.amplitude_prior
  )
  frames = int(problem.num_frames[0])
  shape = (cfg.num_starts, frames, observed.features.num_features)
  points, residuals = descended(
    front_inversion.front(observed),
    schedule,
    problem,
    jax.random.normal(key, shape),
    functools.partial(_say, report, 'noise'),
  )
  return points[np.argsort(residuals)[: cfg.num_shifted]]


def repaired(
  observed: observation.Observation,
  cfg: config.SpanDescentConfig,
  problem: span_residual.Problem,
  points: Points,
  report: observation.Report,
) -> Best:
  """The best of the points' shifted copies, descended; lowest first."""
  schedule = Schedule(
    cfg.num_shift_iterations,
    cfg.shift_learning_rate,
    cfg.shift_amplitude_prior,
  )
  hop = front_inversion.time_stride(observed)
  points, residuals = descended(
    front_inversion.front(observed),
    schedule,
    problem,
    shifted(points, lags(points.shape[1], hop, cfg.max_shift)),
    functools.partial(_say, report, 'shifts'),
  )
  return points[np.argsort(residuals)[: cfg.num_refined]]


def refined(
  front: front_inversion.Front,
  cfg: config.SpanDescentConfig,
  problem: span_residual.Problem,
  points: Points,
  report: observation.Report,
) -> tuple[Points, Float[np.ndarray, ' starts']]:
  """The points descended for long without a prior, and their residuals."""
  schedule = Schedule(
    cfg.num_refinement_iterations, cfg.refinement_learning_rate, 0.0
  )
  say = functools.partial(_say, report, 'refinement')
  return descended(front, schedule, problem, points, say)


def _say(
  report: observation.Report, stage: str, state: State, schedule: Schedule
) -> None:
  report(
    f'{stage}, iteration {int(state.iteration)} of '
    f'{schedule.num_iterations}, residual {np.nanmin(state.residuals):.2g}'
  )


def lags(num_frames: int, hop: int, max_shift: int) -> list[int]:
  """Shifts by whole output frames to either side, 0 among them.

  Up to `max_shift` frames, and to a third of the utterance.
  """
  most = min(max_shift // hop, num_frames // (3 * hop))
  return [hop * shift for shift in range(-most, most + 1)]


def shifted(points: Points, lags: list[int]) -> Copies:
  """Each point at each lag, lags running fastest; zeros come in.

  At lag 2 a point begins with two frames of zeros.
  """
  frames = points.shape[1]
  most = max(abs(lag) for lag in lags)
  padded = jnp.pad(points, ((0, 0), (most, most), (0, 0)))
  copies = [padded[:, most - lag : most - lag + frames] for lag in lags]
  return jnp.stack(copies, 1).reshape(-1, *points.shape[1:])


def descended(
  front: front_inversion.Front,
  schedule: Schedule,
  problem: span_residual.Problem,
  points: Points,
  say: Callable[[State, Schedule], None],
) -> tuple[Points, Float[np.ndarray, ' starts']]:
  """Where Adam comes to from each of the points, and the residuals there."""
  state = State(
    points=points,
    minimiser=_ADAM.init(points),
    residuals=jnp.full(len(points), jnp.inf, points.dtype),
    iteration=jnp.zeros((), jnp.int32),
  )
  while int(state.iteration) < schedule.num_iterations:
    state = _advanced(front, schedule, problem, state)
    say(state, schedule)
  return state.points, np.asarray(state.residuals)


@functools.partial(jax.jit, static_argnums=0)
def _advanced(
  front: front_inversion.Front,
  schedule: Schedule,
  problem: span_residual.Problem,
  state: State,
) -> State:
  """Up to `_CHUNK` iterations on."""
  slope = jax.grad(functools.partial(span_residual.objective, front), 2)
  slopes = jax.vmap(slope, (None, None, 0))

  def step(
    iteration: jax.Array, carry: tuple[jax.Array, Any]
  ) -> tuple[jax.Array, Any]:
    points, minimiser = carry
    done = iteration / schedule.num_iterations
    slopes_here = slopes(problem, schedule.amplitude_prior * (1 - done), points)
    moves, minimiser = _ADAM.update(slopes_here, minimiser)
    rate = schedule.learning_rate * (1 + jnp.cos(jnp.pi * done)) / 2
    return points - rate * jnp.asarray(moves), minimiser

  end = jnp.minimum(state.iteration + _CHUNK, schedule.num_iterations)
  points, minimiser = jax.lax.fori_loop(
    state.iteration, end, step, (state.points, state.minimiser)
  )
  residual = functools.partial(span_residual.residual, front, problem)
  return State(points, minimiser, jax.vmap(residual)(points), end)


_residual = jax.jit(span_residual.residual, static_argnums=0)


def _measured(
  observed: observation.Observation,
  problem: span_residual.Problem,
  features: Float[np.ndarray, 'frames features'],
) -> float:
  """The residual of features in the model's input units."""
  point = matching_objective.in_speech_units(problem.speech, features)
  front = front_inversion.front(observed)
  with jax.default_matmul_precision('highest'):
    return float(_residual(front, problem, jnp.asarray(point)))


def _rescaled(
  observed: observation.Observation,
  problem: span_residual.Problem,
  point: Float[Array, 'frames features'],
) -> _Found:
  """Of the scale that is known beforehand, where the span tells none."""
  measure = functools.partial(_measured, observed, problem)
  features = np.asarray(matching_objective.in_features(problem.speech, point))
  residual = measure(features)
  highest = max(CERTIFIED, (1 + _SLACK) * residual)
  is_free = measure(2 * features) <= highest
  known = known_scale.of_features(observed)
  if is_free and known:
    features = known_scale.scaled(known, features)
    residual = measure(features)
  return _Found(features, residual, is_free)


def _polished(
  observed: observation.Observation,
  cfg: config.SpanDescentConfig,
  features: Float[np.ndarray, 'frames features'],
  key: jax.Array,
  report: observation.Report,
) -> observation.Reconstruction:
  """All layers' gradients matched by their squared distance."""
  matching = config.MatchingConfig(
    distance=config.Distance.L2,
    learning_rate=cfg.polish_learning_rate,
    halve_every=-(-cfg.num_polish // 4),
    num_iterations=cfg.num_polish,
  )
  return gradient_matching.reconstruct(
    observed, matching, key, report, start=features[None]
  )


def _result(
  observed: observation.Observation,
  found: _Found,
  polished: observation.Reconstruction | None,
) -> observation.Reconstruction:
  """`polished` is None where there was no polish."""
  declared = observed.declared
  is_polished = polished is not None
  certificate = {
    'residual': found.residual,
    'scale_is_free': float(found.scale_is_free),
  }
  layers, matches = (span_residual.LAYER,), False
  if polished is not None:
    certificate |= polished.certificate
    layers, matches = polished.ledger.layers, polished.is_certified
  return observation.Reconstruction(
    features=(found.features,),
    certificate=certificate,
    is_certified=bool(matches or found.residual < CERTIFIED),
    is_whole=bool(matches or found.residual < CERTIFIED),
    ledger=observation.ledger(
      observed,
      layers,
      uses_transcript=is_polished,
      uses_length=declared.num_frames is not None,
      uses_num_utterances=is_polished or declared.num_utterances is not None,
      prior=_prior(observed, found),
    ),
  )


def _prior(observed: observation.Observation, found: _Found) -> str:
  """All knowledge of speech that went into it, one after another."""
  speech = observed.declared.speech
  used = [gradient_matching.PRIOR] if speech is not None else []
  known = known_scale.of_features(observed)
  if found.scale_is_free and known:
    used.append(known.source)
  return ', '.join(dict.fromkeys(used))
