"""The likeliest utterance of any length that a noisy update leaves open.

Lengths that the update's spectrum lets expect are each given a start of their
own (`capon_start`); the likeliest go on until they have converged, which takes
many iterations: windows that are filtered over time span nearly the same, so
that the objective is flat in some directions. The best then grows and shrinks
at either end while that is likelier.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.likelihood import (
  annealed_descent,
  capon_start,
  length_evidence,
  posterior,
)

# Iterations by which the better sign of a start shows, and those by which
# lengths and starts are compared.
_SIGN_ITERATIONS = 15
_LENGTH_ITERATIONS = 300
# Frames that are added or taken away at once, coarse to fine, how often at
# most, and iterations by which such a move is compared.
_STEPS = (4, 2, 1)
_MAX_MOVES = 4
_MOVE_ITERATIONS = 100
# Nats by which maxima differ that are two.
_SAME = 1.0
# Lengths with starts of their own: so many at most, within so many deviations
# of what the spectrum says.
_NUM_LENGTHS = 10
_NUM_DEVIATIONS = 2.0
# Deviation of whitened speech that a descent through noise starts from.
_FAINT = 0.1


def likeliest(
  problem: posterior.Problem,
  cfg: config.AdaptiveConfig,
  told: int | None,
  rng: np.random.Generator,
  report: observation.Report,
) -> list[posterior.Estimate]:
  """The best `cfg.num_kept` of all starts, the likeliest first.

  `told`: the number of frames, where it is declared.
  """
  objective = posterior.with_prior(posterior.flat(problem))
  found = []
  for count in [told] if told else _lengths(problem, rng):
    report(f'{count} frames?')
    start = _signed(problem, count, rng)
    found.append(posterior.maximum(objective, start, _LENGTH_ITERATIONS))
  found.sort(key=cost)
  for index in range(cfg.num_annealed):
    report(f'noise that falls, {index + 1} of {cfg.num_annealed}')
    shape = found[index % len(found)].whitened.shape
    start = _through_noise(problem, shape, cfg.num_annealing_steps, rng)
    found.append(posterior.maximum(objective, start, _LENGTH_ITERATIONS))
  kept = _halved(objective, found, cfg, report)
  if not told:
    kept = [
      posterior.maximum(
        objective,
        _moved(problem, objective, each, report).whitened,
        cfg.num_iterations,
      )
      for each in _distinct(kept)
    ]
  return _distinct(kept)


def _halved(
  objective: posterior.Objective,
  found: list[posterior.Estimate],
  cfg: config.AdaptiveConfig,
  report: observation.Report,
) -> list[posterior.Estimate]:
  """The best `num_kept`, at their maxima, by successive halving.

  Costs after a few hundred iterations are off by more than what lengths differ
  by, so that half goes on each time, for twice as long.
  """
  found = sorted(found, key=cost)
  num_iterations = _LENGTH_ITERATIONS
  while len(found) > cfg.num_kept:
    found = found[: max(-(-len(found) // 2), cfg.num_kept)]
    report(f'the best {len(found)}, {num_iterations} iterations more')
    found = [
      posterior.maximum(objective, each.whitened, num_iterations)
      for each in found
    ]
    found.sort(key=cost)
    num_iterations *= 2
  report(f'the best {len(found)} to their maxima')
  return [
    posterior.maximum(objective, each.whitened, cfg.num_iterations)
    for each in found
  ]


def _distinct(found: list[posterior.Estimate]) -> list[posterior.Estimate]:
  """The likeliest first; one of those that came to the same maximum."""
  kept: list[posterior.Estimate] = []
  for each in sorted(found, key=cost):
    is_new = all(
      len(each.whitened) != len(other.whitened)
      or each.value - other.value > _SAME
      for other in kept
    )
    if is_new:
      kept.append(each)
  return kept


def cost(estimate: posterior.Estimate) -> float:
  """By which lengths compare: each unknown costs one nat (Akaike 1974)."""
  return estimate.value + estimate.whitened.size


def _lengths(problem: posterior.Problem, rng: np.random.Generator) -> list[int]:
  """No fewer than stand out of the noise; about what the spectrum says."""
  first = problem.first
  seen = capon_start.effective_rank(first.kernel, first.deviation)
  evidence = length_evidence.of_spectrum(
    first.kernel, first.signals.updates, first.deviation, rng
  )
  least, most = evidence.within(_NUM_DEVIATIONS)
  low = max(round(least), seen, 2)
  high = max(min(round(most), problem.shape.capacity), low)
  counts = np.linspace(low, high, min(_NUM_LENGTHS, high - low + 1))
  return sorted({round(float(count)) for count in counts})


def _signed(
  problem: posterior.Problem, count: int, rng: np.random.Generator
) -> posterior.Whitened:
  """The start of the sign that is the likelier after a few iterations."""
  first = problem.first
  start = capon_start.utterance(
    first.kernel, first.deviation, problem.shape, count, rng
  )
  size = np.sqrt(np.mean(np.sum(problem.prior.root**2, axis=1)))
  objective = posterior.with_prior(posterior.flat(problem))
  tried = [
    posterior.maximum(
      objective, problem.prior.whitened(sign * size * start), _SIGN_ITERATIONS
    )
    for sign in (1, -1)
  ]
  return min(tried, key=lambda each: each.value).whitened


def _through_noise(
  problem: posterior.Problem,
  shape: tuple[int, ...],
  num_steps: int,
  rng: np.random.Generator,
) -> posterior.Whitened:
  """From hardly anything, while the noise that is supposed falls."""
  return annealed_descent.descended(
    lambda point, deviation: posterior.with_prior(
      posterior.flat(problem, deviation)
    )(point),
    _FAINT * rng.standard_normal(shape),
    problem.first.deviation,
    num_steps,
  )


class _Move(NamedTuple):
  """Frames that are added, or where negative taken away, at either end."""

  front: int
  back: int


def _moved(
  problem: posterior.Problem,
  objective: posterior.Objective,
  best: posterior.Estimate,
  report: observation.Report,
) -> posterior.Estimate:
  """From where neither end is likelier one frame further or less far.

  Without it an utterance is often found a frame late, with one too many ahead
  of it, which costs little likelihood and nearly all of the SNR.
  """
  for step in _STEPS:
    for _ in range(_MAX_MOVES):
      report(f'{len(best.whitened)} frames, {step} more or less?')
      tried = [
        posterior.maximum(
          objective,
          _resized(problem, best.whitened, move),
          _MOVE_ITERATIONS,
        )
        for move in _moves(problem, len(best.whitened), step)
      ]
      found = min([best, *tried], key=cost)
      if found is best:
        break
      best = found
  return best


def _moves(problem: posterior.Problem, count: int, step: int) -> list[_Move]:
  """Those that leave a length there can be; the utterance later, or sooner."""
  moves = [_Move(step, 0), _Move(0, step), _Move(-step, 0), _Move(0, -step)]
  moves += [_Move(step, -step), _Move(-step, step)]
  most = max(problem.shape.capacity, count)
  return [each for each in moves if 2 <= count + each.front + each.back <= most]


def _resized(
  problem: posterior.Problem, whitened: posterior.Whitened, move: _Move
) -> Float64[np.ndarray, 'resized features']:
  """Cut, or with frames of which nothing is known."""
  speech = problem.prior.speech(whitened)
  ends = [np.tile(problem.prior.mean, (max(count, 0), 1)) for count in move]
  inside = speech[max(-move.front, 0) : len(speech) - max(-move.back, 0)]
  return problem.prior.whitened(np.concatenate([ends[0], inside, ends[1]]))
