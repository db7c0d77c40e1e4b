"""The likeliest utterance of any length that a noisy update leaves open.

Each length has a start of its own (`capon_start`), as it is and with its sign
reversed, and a maximum of the flat likelihood next to it. Under much noise that
likelihood is hardly greater at the true length than at others, so that lengths
compare by their maxima once it counts which units are inactive: some in steps
first, then all about the best of these. Wide gates often take a frame too many
for likelier, which shifts the utterance by one: what they leave is compared
again as they are narrowed.
"""

from collections.abc import Callable, Iterable

import numpy as np

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.likelihood import (
  capon_start,
  curved_descent,
  length_evidence,
  posterior,
)

# Lengths are within so many deviations of what the spectrum says, and beyond,
# where the best of them is the last. A step is as many frames, but no less than
# what leaves so many lengths.
_NUM_DEVIATIONS = 2.0
_STEP = 3
_MAX_LENGTHS = 20
# So few are all tried.
_FEW = 6
# Iterations after which lengths compare by the likelihood with gates.
_COMPARED_ITERATIONS = 20
# Nats by which the flat likelihood alone rules a sign or a length out.
_CLEAR_SIGN = 100.0
_CLEAR_LENGTH = 1000.0
# (count of frames) -> cost.
_Costs = dict[int, float]


def likeliest(
  problem: posterior.Problem,
  cfg: config.AdaptiveConfig,
  told: int | None,
  rng: np.random.Generator,
  report: observation.Report,
) -> list[posterior.Estimate]:
  """The best `cfg.num_kept` lengths, the likeliest first, at the widest gates.

  `told`: the number of frames, where it is declared.
  """
  gated = gates(problem, cfg.gate_widths[0])
  flat: dict[int, list[posterior.Estimate]] = {}
  best: dict[int, posterior.Estimate] = {}

  def costs(counts: Iterable[int]) -> _Costs:
    new = [count for count in counts if count not in flat]
    for count in new:
      report(f'{count} frames?')
      flat[count] = _flat(problem, cfg, count, rng)
    least = min(cost(each[0]) for each in flat.values())
    for count in new:
      if cost(flat[count][0]) < least + _CLEAR_LENGTH:
        report(f'{count} frames, with gates?')
        best[count] = _best(problem, gated, flat[count])
    return {count: cost(each) for count, each in best.items()}

  if told:
    costs([told])
  else:
    _searched(costs, *_range(problem, rng))
  return sorted(best.values(), key=cost)[: cfg.num_kept]


def gates(problem: posterior.Problem, width: float) -> posterior.Objective:
  """Minus the log posterior with gates, of the updates as received."""
  updates = [each.update for each in problem.layers]
  return posterior.with_prior(posterior.with_gates(problem, updates, width))


def cost(estimate: posterior.Estimate) -> float:
  """By which lengths compare: each unknown costs one nat (Akaike 1974)."""
  return estimate.value + estimate.whitened.size


def starts(
  problem: posterior.Problem, count: int, rng: np.random.Generator
) -> list[posterior.Whitened]:
  """Of a length: that of either sign, as large as speech is."""
  first = problem.first
  start = capon_start.utterance(
    first.kernel, first.deviation, problem.shape, count, rng
  )
  size = np.sqrt(np.mean(np.sum(problem.prior.root**2, axis=1)))
  return [problem.prior.whitened(sign * size * start) for sign in (1, -1)]


def _flat(
  problem: posterior.Problem,
  cfg: config.AdaptiveConfig,
  count: int,
  rng: np.random.Generator,
) -> list[posterior.Estimate]:
  """Maxima of the likelier sign first, and of the other unless that is out."""
  objective = posterior.with_prior(posterior.flat(problem))
  found = [
    curved_descent.maximum(problem, objective, each, cfg.num_iterations)
    for each in starts(problem, count, rng)
  ]
  found.sort(key=cost)
  return [each for each in found if cost(each) < cost(found[0]) + _CLEAR_SIGN]


def _best(
  problem: posterior.Problem,
  gated: posterior.Objective,
  flat: list[posterior.Estimate],
) -> posterior.Estimate:
  return min(
    (
      curved_descent.maximum(
        problem, gated, each.whitened, _COMPARED_ITERATIONS
      )
      for each in flat
    ),
    key=cost,
  )


def _range(
  problem: posterior.Problem, rng: np.random.Generator
) -> tuple[int, int, int, int]:
  """(least there can be, least and most to be expected, most there can be)."""
  first = problem.first
  seen = capon_start.effective_rank(first.kernel, first.deviation)
  evidence = length_evidence.of_spectrum(
    first.kernel, first.signals.updates, first.deviation, rng
  )
  least = max(seen, 2)
  most = max(problem.shape.capacity, least)
  expected = evidence.within(_NUM_DEVIATIONS)
  low, high = (min(max(round(each), least), most) for each in expected)
  return least, low, high, most


def _searched(
  costs: Callable[[Iterable[int]], _Costs],
  least: int,
  low: int,
  high: int,
  most: int,
) -> None:
  """Asks for lengths until none beside the best is better."""
  wide = high - low >= _FEW
  step = max(_STEP, -(-(high - low) // _MAX_LENGTHS)) if wide else 1
  found = costs(range(low, high + 1, step))
  while True:
    best = min(found, key=found.__getitem__)
    near = [best - step, best + step]
    found = costs(each for each in near if least <= each <= most)
    if min(found, key=found.__getitem__) != best:
      continue
    if step == 1:
      break
    step = -(-step // 2)
