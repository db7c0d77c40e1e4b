"""To where a posterior is greatest, in the metric of its curvature."""

from fedjax_asr.attacks.likelihood import curvature, posterior

# Iterations after which the metric is taken anew.
_ITERATIONS = 50
# Nats that a metric has to gain for another one to be worth while.
_GAIN = 0.1


def maximum(
  problem: posterior.Problem,
  objective: posterior.Objective,
  start: posterior.Whitened,
  num_iterations: int,
) -> posterior.Estimate:
  """No worse than the start; `num_iterations` at most.

  `objective` is of the problem, with gates or without.
  """
  value, _ = objective(start)
  found = posterior.Estimate(start, value)
  while num_iterations > 0:
    before = found
    found = posterior.maximum(
      objective,
      before.whitened,
      min(num_iterations, _ITERATIONS),
      curvature.root(problem, before.whitened),
    )
    num_iterations -= _ITERATIONS
    if before.value - found.value < _GAIN:
      break
  return found
