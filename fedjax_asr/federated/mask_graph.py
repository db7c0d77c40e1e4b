"""Who shares masks with whom: a sparse graph, new in each round.

Bell et al. 2020 (ePrint 2020/704): in place of all pairs of clients, each has
as many neighbours as the logarithm of their number asks for, on a ring that was
shuffled.
"""

import math

import numpy as np
from jaxtyping import Int

# Probability that a round is lost because a client has too few neighbours left.
_LOST = 1e-6


def num_shares_wanted(num_neighbours: int, threshold: float) -> int:
  """More than that fraction of the neighbours, and no more than all."""
  return min(math.floor(threshold * num_neighbours) + 1, num_neighbours)


def degree(num_clients: int, threshold: float, dropout: float) -> int:
  """Neighbours of each: an even number, or all others.

  The fewest with which a round, whose clients drop out independently with the
  probability `dropout`, has all the shares that it needs but once in a million
  (a bound over its clients, by the binomial distribution); twice the binary
  logarithm of their number at least, so that the graph hangs together.
  """
  others = num_clients - 1
  least = 2 * math.ceil(math.log2(max(num_clients, 2)))
  for found in range(least, others, 2):
    wanted = num_shares_wanted(found, threshold)
    if num_clients * _below(wanted, found, 1 - dropout) <= _LOST:
      return found
  return others


def _below(count: int, trials: int, probability: float) -> float:
  """That fewer than so many of the trials succeed."""
  return sum(
    math.comb(trials, few)
    * probability**few
    * (1 - probability) ** (trials - few)
    for few in range(count)
  )


def neighbours(
  num_clients: int, degree: int, rng: np.random.Generator
) -> Int[np.ndarray, 'clients degree']:
  """Of each client, in the order of the ring; symmetric.

  All others where there are no more than `degree`, which else is even.
  """
  order = rng.permutation(num_clients)
  place = np.argsort(order)
  if degree >= num_clients - 1:
    steps = np.arange(1, num_clients)
  else:
    half = np.arange(1, degree // 2 + 1)
    steps = np.concatenate([half, -half])
  return order[(place[:, None] + steps) % num_clients]
