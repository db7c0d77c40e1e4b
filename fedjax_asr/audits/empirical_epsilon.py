"""The epsilon that scores of canaries prove, or point to.

Lower bounds by jax-privacy's auditing: of one run (Steinke et al. 2023,
arXiv 2305.08846), of each threshold by Clopper and Pearson (Jagielski et al.
2020), and for Gaussian differential privacy (Nasr et al. 2023). The estimate of
Andrew et al. 2023 (arXiv 2302.03098), two Gaussians as far apart as the scores'
means, is by hand: no library has it.
"""

from typing import Any

import numpy as np
from jax_privacy import auditing
from jaxtyping import Float

from fedjax_asr.federated import accountant

_NUM_RESAMPLES = 1000
_MOST = 1e3


def measured(
  scores_in: Float[np.ndarray, ' canaries'],
  scores_out: Float[np.ndarray, ' canaries'],
  delta: float,
  confidence: float,
) -> dict[str, Any]:
  """Bounds that hold with the confidence."""
  auditor = auditing.CanaryScoreAuditor(scores_in, scores_out)
  significance = 1 - confidence
  return {
    'num_in': len(scores_in),
    'num_out': len(scores_out),
    'clopper_pearson': float(
      auditor.epsilon_clopper_pearson(significance, delta)
    ),
    'one_run': float(auditor.epsilon_one_run(significance, delta)),
    'gdp': float(auditor.epsilon_from_gdp(significance, delta)),
    'auroc': float(auditor.attack_auroc()),
    'tpr_at_1_percent': float(np.ravel(auditor.tpr_at_given_fpr(fpr=0.01))[0]),
  }


def gaussian(
  scores_in: np.ndarray,
  scores_out: np.ndarray,
  delta: float,
  confidence: float,
  seed: int,
) -> dict[str, float]:
  """The estimate, of scores that are Gaussian, with a bootstrap's interval."""
  rng = np.random.default_rng(seed)
  resampled = [
    _shift(
      rng.choice(scores_in, len(scores_in)),
      rng.choice(scores_out, len(scores_out)),
    )
    for _ in range(_NUM_RESAMPLES)
  ]
  tail = (1 - confidence) / 2
  low, high = np.quantile(resampled, [tail, 1 - tail])
  mu = _shift(scores_in, scores_out)
  return {
    'mu': mu,
    'epsilon': epsilon_of_mu(mu, delta),
    'low': epsilon_of_mu(float(low), delta),
    'high': epsilon_of_mu(float(high), delta),
  }


def _shift(scores_in: np.ndarray, scores_out: np.ndarray) -> float:
  """How many deviations of the out scores the means are apart."""
  deviation = max(float(scores_out.std(ddof=1)), 1e-30)
  return float(scores_in.mean() - scores_out.mean()) / deviation


def epsilon_of_mu(mu: float, delta: float) -> float:
  """Of mu-Gaussian differential privacy; 0 for a mu of 0 or less."""
  if mu <= 0 or accountant.gaussian_delta(mu, 0.0) <= delta:
    return 0.0
  if accountant.gaussian_delta(mu, _MOST) > delta:
    return _MOST
  return accountant.root(
    lambda epsilon: accountant.gaussian_delta(mu, epsilon) - delta, 0.0, _MOST
  )
