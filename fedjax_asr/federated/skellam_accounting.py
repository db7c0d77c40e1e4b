"""What the sum of all clients' Skellam noise guarantees.

Renyi differential privacy of integer orders (Agarwal, Kairouz and Liu 2021,
arXiv 2110.04995, section 3), amplified by Poisson sampling of clients with a
bound for any mechanism (Zhu and Wang 2019, Theorem 5), added up over rounds and
converted by dp_accounting. Neighbours are runs with a client and runs in which
it sends zeros and noise; the noise is that of the least number of senders, none
of whom tells its own.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedjax_asr import config
from fedjax_asr.federated import secure_protocol, secure_sum

# Integers, as the bound is for; all below an order enter amplification.
ORDERS = (*range(2, 129), 160, 192, 256, 384, 512, 1024)


class Noise(NamedTuple):
  """In units of the integers that are summed up.

  l1, l2: norms by which one client moves the sum, at most.
  variance: of the noise on each number of it, at least.
  """

  l1: float
  l2: float
  variance: float


def of_config(federated: config.FederatedConfig, num_params: int) -> Noise:
  """Of a round of `privacy.mechanism=distributed`.

  The norm of an encoded update is that of `clip_norm`, rounding included
  (`fixed_point.encoded`). Of integers the sum of magnitudes is no more than
  that of squares.

  Raises:
    ValueError: there is no such noise.
  """
  found = secure_sum.make(federated)
  if found is None or not found.share_variance:
    raise ValueError('want secure aggregation with distributed noise.')
  l2 = 2.0**found.form.bits
  least = secure_protocol.of_config(federated).least_senders
  return Noise(
    l1=min(math.sqrt(num_params) * l2, l2**2),
    l2=l2,
    variance=found.share_variance * least,
  )


def skellam_rdp(order: int, noise: Noise) -> float:
  """Renyi divergence of that order between sums with and without a client.

  An upper bound, for an integer order of 2 or more; its first term is the
  Gaussian mechanism's.
  """
  squared = noise.l2**2
  fine = ((2 * order - 1) * squared + 6 * noise.l1) / (4 * noise.variance**2)
  coarse = 3 * noise.l1 / (2 * noise.variance)
  return order * squared / (2 * noise.variance) + min(fine, coarse)


def amplified_rdp(
  order: int, rdp: Float[np.ndarray, ' orders'], sampling_rate: float
) -> float:
  """Of a mechanism on a Poisson sample, for any mechanism.

  `rdp[i]` is the mechanism's own at the order `i + 2`, up to `order`. No larger
  than the mechanism's own.
  """
  own = float(rdp[order - 2])
  if sampling_rate >= 1:
    return own
  if sampling_rate <= 0:
    return 0.0
  log_in, log_out = math.log(sampling_rate), math.log1p(-sampling_rate)
  terms = [
    (order - 1) * log_out + math.log(order * sampling_rate - sampling_rate + 1)
  ]
  for count in range(2, order + 1):
    term = _log_binomial(order, count) + count * log_in
    term += (order - count) * log_out + (count - 1) * float(rdp[count - 2])
    terms.append(term + (math.log(3) if count > 2 else 0.0))
  total = float(np.logaddexp.reduce(terms)) / (order - 1)
  return min(max(total, 0.0), own)


def _log_binomial(trials: int, count: int) -> float:
  return (
    math.lgamma(trials + 1)
    - math.lgamma(count + 1)
    - math.lgamma(trials - count + 1)
  )


def epsilon(
  noise: Noise,
  sampling_rate: float,
  num_rounds: int,
  delta: float,
  orders: Sequence[int] = ORDERS,
) -> float:
  """Of so many rounds, each with every client by itself with that probability.

  An upper bound; infinite for a delta of 0. A `sampling_rate` of 1 is right for
  any way of choosing clients that is not secret.
  """
  # Not on top: it takes a second to import.
  from dp_accounting.rdp import rdp_privacy_accountant

  own = np.array(
    [skellam_rdp(order, noise) for order in range(2, max(orders) + 1)]
  )
  rdp = [
    num_rounds * amplified_rdp(order, own, sampling_rate) for order in orders
  ]
  found, _ = rdp_privacy_accountant.compute_epsilon(list(orders), rdp, delta)
  return float(found)
