"""DeepSpeech 1 from an update with noise: the most likely speech.

Nothing refuses for noise: as it grows, the answer goes from what span inversion
finds to the mean of public speech.

1. For each length the start, and its sign, by the likelihood of the first
   layer's update with all that is sent back integrated out
   (`window_likelihood`, `length_search`).
2. The same of the first dense layers together, with what is known of inactive
   units (`gated_likelihood`): it tells the length, and is then maximised with
   gates that are made narrower step by step.
3. The same maximum, for noise and prior drawn anew (randomised maximum a
   posteriori, Bardsley et al. 2014). The mean of such is returned: where the
   update tells little it is nearer to the truth than the maximum. It is no
   measure of the error: draws about one maximum do not know of a better one.

Nothing is certified. `misfit` is how far the update is from what the estimate
makes likely; beyond `misfit_limit` the maximum is a wrong one. Within it, noise
of 1e-5 of the clip norm and more leaves room for wrong ones too.

Assumes:
  observed: the update of the first layer's kernel; its bias's tells the sign,
    those of further dense layers more.
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
from fedjax_asr.attacks import context_windows, observation
from fedjax_asr.attacks.ds1 import first_layer, span
from fedjax_asr.attacks.likelihood import (
  curved_descent,
  gated_likelihood,
  length_search,
  posterior,
  public_signals,
  received_noise,
  speech_prior,
)

PRIOR = 'public utterances with transcripts'
# Public utterances that tell how large a misfit may be.
_NUM_FITTED = 12
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
    problem = problem_of(observed, cfg, report)
    searched = length_search.likeliest(
      problem, cfg, _told(observed), rng, report
    )
    estimate = _narrowed(problem, cfg, searched, report)
    samples = _samples(problem, cfg, estimate, rng, report)
    fit = _fit(problem, cfg, estimate, rng)
  return _reconstruction(observed, problem, estimate, samples, fit)


def _told(observed: observation.Observation) -> int | None:
  lengths = observed.declared.num_frames
  return lengths[0] if lengths else None


def problem_of(
  observed: observation.Observation,
  cfg: config.AdaptiveConfig,
  report: observation.Report,
) -> posterior.Problem:
  """What is maximised; raises `observation.Refused` as `reconstruct` does."""
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
  report('what is sent back for public speech')
  names, num_frames = _layers(observed, shape, cfg.num_layers)
  signals = public_signals.fitted(observed, public, shape, names, num_frames)
  return posterior.Problem(
    layers=tuple(
      _received(observed, name, each)
      for name, each in zip(names, signals, strict=True)
    ),
    shape=shape,
    prior=speech_prior.fitted(
      [np.asarray(each.features, np.float64) for each in public]
    ),
  )


def _layers(
  observed: observation.Observation,
  shape: context_windows.Shape,
  num_layers: int,
) -> tuple[tuple[str, ...], int]:
  """Dense layers whose updates are used, and frames of public utterances.

  Those behind the first are left out from one on that is withheld, or has fewer
  inputs than there are public frames: what is sent back is not told by it.
  """
  observation.needed(observed, first_layer.KERNEL)
  num_frames = min(_PUBLIC_FRAMES, shape.capacity)
  names = ['dense_0']
  while len(names) < min(num_layers, len(observed.model.ds1.dense_sizes)):
    name = f'dense_{len(names)}'
    update = observation.evidence(observed, f'{name}/kernel')
    if update is None or len(update) < num_frames:
      break
    names.append(name)
  return tuple(names), num_frames


def _received(
  observed: observation.Observation, name: str, signals: public_signals.Signals
) -> posterior.ReceivedLayer:
  kernel = observation.needed(observed, f'{name}/kernel')
  bias = observation.evidence(observed, f'{name}/bias')
  return posterior.ReceivedLayer(
    update=kernel if bias is None else np.vstack([kernel, bias]),
    deviation=received_noise.deviation(observed, f'{name}/kernel'),
    signals=signals,
    layer=public_signals.parameters_of(observed, name)._replace(
      deviations=signals.deviations
    ),
  )


def _narrowed(
  problem: posterior.Problem,
  cfg: config.AdaptiveConfig,
  searched: list[posterior.Estimate],
  report: observation.Report,
) -> posterior.Estimate:
  """The likeliest at the narrowest gates; half go on from width to width."""
  for width in cfg.gate_widths[1:]:
    report(f'gates of width {width:g}, {len(searched)} lengths')
    objective = length_search.gates(problem, width)
    searched = [
      curved_descent.maximum(
        problem, objective, each.whitened, cfg.num_gate_iterations
      )
      for each in searched
    ]
    searched.sort(key=length_search.cost)
    searched = searched[: -(-len(searched) // 2)]
  return searched[0]


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
    updates = [_noisier(each, rng) for each in problem.layers]
    centre = rng.standard_normal(estimate.whitened.shape)
    likelihood = posterior.with_gates(problem, updates, cfg.gate_widths[-1])
    found = curved_descent.maximum(
      problem,
      posterior.with_prior(likelihood, centre),
      estimate.whitened,
      cfg.num_gate_iterations,
    )
    samples.append(found.whitened)
  return samples


def _noisier(
  received: posterior.ReceivedLayer, rng: np.random.Generator
) -> Float64[np.ndarray, 'entries units']:
  noise = rng.standard_normal(received.update.shape)
  return received.update + received.deviation * noise


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
  first = problem.first

  def misfit(
    windows: Float64[np.ndarray, 'windows taps'],
    update: Float64[np.ndarray, 'entries units'],
  ) -> float:
    layer = first.of(len(windows))
    return gated_likelihood.misfit(
      windows, update, layer, first.deviation, cfg.gate_widths[-1]
    )

  public = []
  for each in first.signals.updates[:_NUM_FITTED]:
    update = each.update[: len(first.update)]
    noise = first.deviation * rng.standard_normal(update.shape)
    public.append(misfit(each.inputs, update + noise))
  limit = np.mean(public) + 3 * np.std(public, ddof=1)
  own = misfit(posterior.windows(problem, estimate.whitened), first.update)
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
      'deviation': problem.first.deviation,
      'spread_db': float(spread),
      'log_posterior': -estimate.value,
      'misfit': fit.misfit,
      'misfit_limit': fit.limit,
    },
    is_certified=False,
    ledger=observation.ledger(
      observed,
      _used(problem),
      uses_length=observed.declared.num_frames is not None,
      uses_num_utterances=True,
      prior=PRIOR,
    ),
  )


def _used(problem: posterior.Problem) -> tuple[str, ...]:
  """Names of the parameters whose updates count."""
  names = []
  for index, each in enumerate(problem.layers):
    has_bias = len(each.update) > len(each.kernel)
    parts = ('kernel', 'bias') if has_bias else ('kernel',)
    names += [f'dense_{index}/{part}' for part in parts]
  return tuple(names)
