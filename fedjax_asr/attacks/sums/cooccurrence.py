"""Whether two utterances are of one client, by the rounds that hold them.

Assumptions: the server knows how many clients there are, how many take part in
a round and how many utterances each of them uses in it, which are settings of
the training; clients are drawn alike, and utterances within a client.

SRATTA (Marchand et al. 2023, arXiv 2306.07644) groups samples by which neurons
they switch on together during local steps; windows of speech switch on
thousands at once, and recur. What is used here is when they recur: utterances
of one client need the same client to be drawn, and in rounds where it is, share
its batches.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

# In place of a chance of 0: a presence that was read wrongly is possible.
_LEAST_CHANCE = 1e-6


class Sampling(NamedTuple):
  """Who is in a round.

  num_clients, cohort_size: of the population, and of them in a round.
  num_used: utterances of a client in a round that it takes part in.
  """

  num_clients: int
  cohort_size: int
  num_used: int


class Chances(NamedTuple):
  """That a round holds both of two utterances, one of them, none."""

  both: float
  one: float
  none: float


def log_likelihood_ratios(
  presence: Bool[np.ndarray, 'rounds utterances'], sampling: Sampling
) -> Float64[np.ndarray, 'utterances utterances']:
  """Of one client against two, for each pair; 0 on the diagonal.

  How many utterances a client has is estimated from how often they recur.
  """
  present = presence.astype(np.float64)
  both = present.T @ present
  totals = present.sum(axis=0)
  one = totals[:, None] + totals - 2 * both
  none = len(presence) - both - one
  # At most once a round for each client's draw.
  rate = float(np.clip(present.mean(), 1e-9, None)) if present.size else 1e-9
  same, different = chances(rate, sampling)
  ratios = (
    both * _log_ratio(same.both, different.both)
    + one * _log_ratio(same.one, different.one)
    + none * _log_ratio(same.none, different.none)
  )
  np.fill_diagonal(ratios, 0)
  return ratios


def chances(rate: float, sampling: Sampling) -> tuple[Chances, Chances]:
  """(of one client's utterances, of two clients'), of a round.

  Args:
    rate: of rounds that hold an utterance.
  """
  clients, cohort, used = sampling
  drawn = cohort / clients
  share = min(rate / drawn, 1.0)
  # Without replacement: of a client's used / share utterances.
  held = max(used / share, 2.0)
  beside = min(max(used - 1, 0) / (held - 1), 1.0)
  another = (cohort - 1) / max(clients - 1, 1)
  return (
    _chances(drawn * share * beside, drawn * share),
    _chances(drawn * another * share**2, drawn * share),
  )


def _chances(both: float, each: float) -> Chances:
  return Chances(both, 2 * (each - both), 1 - 2 * each + both)


def _log_ratio(same: float, different: float) -> float:
  return np.log(max(same, _LEAST_CHANCE) / max(different, _LEAST_CHANCE))
