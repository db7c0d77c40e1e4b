"""DeepSpeech 1 from an update with noise: the most likely speech.

Nothing refuses for noise: as it grows, the answer goes from what span inversion
finds to the mean of public speech.

1. Length, start and sign by the likelihood of the first layer's update with all
   that is sent back integrated out (`window_likelihood`), from the utterance
   that is least outside of the noisy span (`capon_start`).
2. The same with what is known of inactive units (`gated_likelihood`), the gates
   made narrower step by step.
3. The same maximum, for noise and prior drawn anew (randomised maximum a
   posteriori, Bardsley et al. 2014). The mean of such is returned: where the
   update tells little it is nearer to the truth than the maximum. It is no
   measure of the error: draws about one maximum do not know of a better one.

Nothing is certified. `misfit` is how far the update is from what the estimate
makes likely; beyond `misfit_limit` the maximum is a wrong one. Within it, noise
of 1e-4 of the clip norm and more leaves room for wrong ones too.

Assumes:
  observed: the update of the first layer's kernel; its bias's tells the sign.
  told: that it is one utterance; neither transcript nor length.
  model: DeepSpeech 1 without stride; its parameters are the declared ones.
  training: one step, or several that stay in the windows' span.
  noise: Gaussian of the deviation that the ledger has, or a code's rounding.
  refused: Adam's deltas, several utterances, codes whose error is no noise
    (signs, the largest entries), no public speech with transcripts.
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float64

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.ds1 import first_layer, span
from fedjax_asr.attacks.likelihood import (
  annealed_descent,
  capon_start,
  gated_likelihood,
  posterior,
  public_signals,
  received_noise,
  speech_prior,
)

PRIOR = 'public utterances with transcripts'
_LAYER = 'dense_0'
_LAYERS = (first_layer.KERNEL, first_layer.BIAS)
# Iterations by which the better sign of a start shows, and those by which
# lengths are compared, in steps coarse to fine of which each is taken so often.
_SIGN_ITERATIONS = 15
_LENGTH_ITERATIONS = 60
_LENGTH_STEPS = (4, 2, 1)
_MAX_CLIMBS = 3
# Lengths with starts of their own: so many at most, and so far from the rank on
# at least.
_NUM_LENGTHS = 12
_NUM_NEAR = 3
# Public utterances that tell how large a misfit may be.
_NUM_FITTED = 12
# Deviation of whitened speech that a descent through noise starts from.
_FAINT = 0.1
# Frames of public utterances that signals are taken from.
_PUBLIC_FRAMES = 160


def reconstruct(
  observed: observation.Observation,
  cfg: config.AdaptiveConfig,
  key: jax.Array,
  report: observation.Report | None = None,
) -> observation.Reconstruction:
  """The likeliest utterance, as the mean of draws about it.

  `certificate` has the noise that was reckoned with, `misfit`, `misfit_limit`
  and how far draws stay together (`spread_db`). Never certified.

  Raises:
    observation.Refused: not a DeepSpeech 1 without stride, several utterances,
      an update of Adam or of a code whose error is no noise, no public speech.
  """
  import threadpoolctl  # Here, because it takes long to import.

  report = report or (lambda _: None)
  rng = span.generator(key)
  # Its matrices are small: threads would wait for each other.
  with threadpoolctl.threadpool_limits(1):
    problem = _problem(observed, cfg, report)
    searched = _searched(problem, observed, cfg, rng, report)
    report('gates')
    gated = [_gated(problem, cfg, each) for each in searched]
    estimate = min(gated, key=_cost)
    samples = _samples(problem, cfg, estimate, rng, report)
    fit = _fit(problem, cfg, estimate, rng)
  return _reconstruction(observed, problem, estimate, samples, fit)


def _problem(
  observed: observation.Observation,
  cfg: config.AdaptiveConfig,
  report: observation.Report,
) -> posterior.Problem:
  shape = first_layer.window_shape(observed)
  public = (observed.declared.public or ())[: cfg.num_public]
  if not public:
    raise observation.Refused('no public speech is declared.')
  if observed.declared.num_utterances != 1:
    raise observation.Refused(
      f'{observed.declared.num_utterances} utterances; want 1.'
    )
  if shape.stride != 1:
    raise observation.Refused(f'time_stride {shape.stride}; want 1.')
  kernel = observation.needed(observed, first_layer.KERNEL)
  bias = observation.evidence(observed, first_layer.BIAS)
  deviation = received_noise.deviation(observed, first_layer.KERNEL)
  report('what is sent back for public speech')
  signals = public_signals.fitted(
    observed, public, shape, _LAYER, min(_PUBLIC_FRAMES, shape.capacity)
  )
  return posterior.Problem(
    update=kernel if bias is None else np.vstack([kernel, bias]),
    deviation=deviation,
    shape=shape,
    prior=speech_prior.fitted(
      [np.asarray(each.features, np.float64) for each in public]
    ),
    signals=signals,
    layer=public_signals.layer_of(observed, _LAYER, signals),
  )


def _searched(
  problem: posterior.Problem,
  observed: observation.Observation,
  cfg: config.AdaptiveConfig,
  rng: np.random.Generator,
  report: observation.Report,
) -> list[posterior.Estimate]:
  """The likeliest few of all lengths that are tried and both signs."""
  objective = posterior.with_prior(posterior.flat(problem))
  told = observed.declared.num_frames
  found = []
  for count in told or _lengths(problem, rng):
    report(f'{count} frames?')
    start = _signed(problem, count, rng)
    found.append(posterior.maximum(objective, start, _LENGTH_ITERATIONS))
  found.sort(key=_cost)
  for index in range(cfg.num_annealed):
    report(f'noise that falls, {index + 1} of {cfg.num_annealed}')
    shape = found[index % len(found)].whitened.shape
    start = annealed_descent.descended(
      lambda point, deviation: posterior.with_prior(
        posterior.flat(problem._replace(deviation=deviation))
      )(point),
      _FAINT * rng.standard_normal(shape),
      problem.deviation,
      cfg.num_annealing_steps,
    )
    found.append(posterior.maximum(objective, start, _LENGTH_ITERATIONS))
  best = sorted(found, key=_cost)[: cfg.num_kept]
  if not told:
    best[0] = _climbed(problem, objective, best[0], report)
  return [
    posterior.maximum(objective, each.whitened, cfg.num_iterations)
    for each in best
  ]


def _cost(estimate: posterior.Estimate) -> float:
  """By which lengths compare: each unknown costs one nat (Akaike 1974)."""
  return estimate.value + estimate.whitened.size


def _lengths(problem: posterior.Problem, rng: np.random.Generator) -> list[int]:
  """From what is seen in the noise to what public updates say is behind it."""
  seen = max(capon_start.effective_rank(problem.kernel, problem.deviation), 2)
  most = min(
    max(_guessed_length(problem, rng), seen + _NUM_NEAR),
    max(problem.shape.capacity, seen),
  )
  counts = np.linspace(seen, most, min(_NUM_LENGTHS, most - seen + 1))
  return sorted({round(float(count)) for count in counts})


def _guessed_length(
  problem: posterior.Problem, rng: np.random.Generator
) -> int:
  """From how many directions of public updates stand out of such noise."""
  seen = capon_start.effective_rank(problem.kernel, problem.deviation)
  ratios = []
  for public in problem.signals.updates:
    kernel = public.update[:-1]
    noise = problem.deviation * rng.standard_normal(kernel.shape)
    rank = capon_start.effective_rank(kernel + noise, problem.deviation)
    ratios.append(len(public.windows) / max(rank, 1))
  guess = round(float(np.median(ratios)) * max(seen, 1))
  return int(np.clip(guess, max(seen, 2), max(problem.shape.capacity, seen, 2)))


def _climbed(
  problem: posterior.Problem,
  objective: posterior.Objective,
  best: posterior.Estimate,
  report: observation.Report,
) -> posterior.Estimate:
  """To a length from which no step is likelier.

  Lengths are compared after as many iterations, all from the best so far: where
  starts of their own end differs by more.
  """

  for step in _LENGTH_STEPS:
    for _ in range(_MAX_CLIMBS):
      count = len(best.whitened)
      report(f'{count} frames?')
      tried = [
        posterior.maximum(
          objective, _resized(best.whitened, other), _LENGTH_ITERATIONS
        )
        for other in (count, count - step, count + step)
        if 2 <= other <= max(problem.shape.capacity, count)
      ]
      best = min(tried, key=_cost)
      if len(best.whitened) == count:
        break
  return best


def _resized(
  whitened: posterior.Whitened, count: int
) -> Float64[np.ndarray, '{count} features']:
  """Cut, or with frames behind of which nothing is known."""
  missing = max(count - len(whitened), 0)
  return np.pad(whitened[:count], ((0, missing), (0, 0)))


def _signed(
  problem: posterior.Problem, count: int, rng: np.random.Generator
) -> posterior.Whitened:
  """The start of the sign that is the likelier after a few iterations."""
  start = capon_start.utterance(
    problem.kernel, problem.deviation, problem.shape, count, rng
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


def _gated(
  problem: posterior.Problem,
  cfg: config.AdaptiveConfig,
  estimate: posterior.Estimate,
) -> posterior.Estimate:
  for width in cfg.gate_widths:
    objective = posterior.with_prior(
      posterior.with_gates(problem, problem.update, width)
    )
    estimate = posterior.maximum(
      objective, estimate.whitened, cfg.num_gate_iterations
    )
  return estimate


def _samples(
  problem: posterior.Problem,
  cfg: config.AdaptiveConfig,
  estimate: posterior.Estimate,
  rng: np.random.Generator,
  report: observation.Report,
) -> list[posterior.Whitened]:
  """Maxima under other noise and another prior mean, from the same start."""
  samples = []
  for index in range(cfg.num_samples):
    report(f'sample {index + 1} of {cfg.num_samples}')
    noise = problem.deviation * rng.standard_normal(problem.update.shape)
    centre = rng.standard_normal(estimate.whitened.shape)
    likelihood = posterior.with_gates(
      problem, problem.update + noise, cfg.gate_widths[-1]
    )
    found = posterior.maximum(
      posterior.with_prior(likelihood, centre),
      estimate.whitened,
      cfg.num_gate_iterations,
    )
    samples.append(found.whitened)
  return samples


class Fit(NamedTuple):
  """How far the update is from what the estimate makes likely.

  limit: what public utterances, under such noise, stay below at their own
    windows, by three deviations.
  """

  misfit: float
  limit: float


def _fit(
  problem: posterior.Problem,
  cfg: config.AdaptiveConfig,
  estimate: posterior.Estimate,
  rng: np.random.Generator,
) -> Fit:
  def misfit(
    windows: Float64[np.ndarray, 'windows taps'],
    update: Float64[np.ndarray, 'entries units'],
  ) -> float:
    return gated_likelihood.misfit(
      windows, update, problem.layer, problem.deviation, cfg.gate_widths[-1]
    )

  public = []
  for each in problem.signals.updates[:_NUM_FITTED]:
    update = each.update[: len(problem.update)]
    noise = problem.deviation * rng.standard_normal(update.shape)
    public.append(misfit(each.windows, update + noise))
  limit = np.mean(public) + 3 * np.std(public, ddof=1)
  own = misfit(posterior.windows(problem, estimate.whitened), problem.update)
  return Fit(own, float(limit))


def _reconstruction(
  observed: observation.Observation,
  problem: posterior.Problem,
  estimate: posterior.Estimate,
  samples: list[posterior.Whitened],
  fit: Fit,
) -> observation.Reconstruction:
  drawn = np.stack([problem.prior.speech(each) for each in samples])
  mean = drawn.mean(axis=0)
  variance = drawn.var(axis=0, ddof=1)
  spread = 10 * np.log10(np.mean(mean**2) / np.mean(variance))
  return observation.Reconstruction(
    features=(mean.astype(np.float32),),
    certificate={
      'deviation': problem.deviation,
      'spread_db': float(spread),
      'log_posterior': -estimate.value,
      'misfit': fit.misfit,
      'misfit_limit': fit.limit,
    },
    is_certified=False,
    ledger=observation.ledger(
      observed,
      _LAYERS[: 1 + (len(problem.update) > len(problem.layer.kernel))],
      uses_length=observed.declared.num_frames is not None,
      uses_num_utterances=True,
      prior=PRIOR,
    ),
  )
