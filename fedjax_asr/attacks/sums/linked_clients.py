"""Utterances grouped into clients, and how right that is.

Evidence of any kind comes as log-likelihood ratios of pairs, one client against
two, and may be added up where the kinds are independent.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int


class Linked(NamedTuple):
  """Of all pairs of utterances.

  num_pairs, num_same: that were found; those that are of one client in truth.
  num_claimed, num_right: called one client's; and rightly.
  num_same_sent: pairs of one client among all utterances that were sent,
    found or not.
  """

  num_pairs: int
  num_same: int
  num_claimed: int
  num_right: int
  num_same_sent: int

  @property
  def precision(self) -> float | None:
    return self.num_right / self.num_claimed if self.num_claimed else None

  @property
  def recall(self) -> float | None:
    """Of the pairs that were sent: what was not found counts as missed."""
    return self.num_right / self.num_same_sent if self.num_same_sent else None

  @property
  def chance(self) -> float | None:
    """The precision of pairs that are named at random."""
    return self.num_same / self.num_pairs if self.num_pairs else None


def clients(
  ratios: Float64[np.ndarray, 'utterances utterances'],
  num_clients: int,
) -> Int[np.ndarray, ' utterances']:
  """A number for each utterance, the same for those of one client.

  Groups are joined, the most likely first, as long as the mean evidence of
  their pairs is for one client after the prior: of two utterances, 1 chance in
  `num_clients`.
  """
  import scipy.cluster.hierarchy
  import scipy.spatial.distance

  count = len(ratios)
  if count < 2:
    return np.arange(count)
  odds = (ratios + ratios.T) / 2 - np.log(max(num_clients - 1, 1))
  # Distances have to be positive; where they begin changes no tree.
  highest = float(odds.max())
  distances = highest - odds
  np.fill_diagonal(distances, 0)
  condensed = scipy.spatial.distance.squareform(distances, checks=False)
  tree = scipy.cluster.hierarchy.linkage(condensed, 'average')
  return scipy.cluster.hierarchy.fcluster(tree, highest, 'distance') - 1


def compared(
  found: Int[np.ndarray, ' utterances'],
  truth: Sequence[int],
  sent: Sequence[int],
) -> Linked:
  """Groups beside the clients that said it.

  Args:
    found: the group of each utterance that was found.
    truth: its client.
    sent: the client of each utterance that was sent in any round.
  """
  rows, columns = np.triu_indices(len(found), 1)
  claimed = found[rows] == found[columns]
  same = np.asarray(truth)[rows] == np.asarray(truth)[columns]
  sizes = np.unique(np.asarray(sent), return_counts=True)[1]
  return Linked(
    num_pairs=len(rows),
    num_same=int(same.sum()),
    num_claimed=int(claimed.sum()),
    num_right=int((claimed & same).sum()),
    num_same_sent=int((sizes * (sizes - 1) // 2).sum()),
  )
