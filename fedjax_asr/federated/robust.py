"""One update of messages of which some may be anything.

All messages of a round are needed at once: memory grows with the cohort times
the model. Each client counts once, whatever it says that it weighs: a weight is
as easily forged as an update. One of weight zero (padding, nothing usable, left
out as not finite) does not count at all.

The rules do not depend on the order of the clients.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from fedjax_asr import config
from fedjax_asr.federated import algorithm

# (updates, client_ids, is_real) -> (update, whether there is one).
Rule = Callable[..., tuple[PyTree, Bool[Array, '']]]
# (messages, client_ids) -> the sums of one message of weight 1, or of none.
Aggregate = Callable[[algorithm.Message, Any], algorithm.Sums]


def make(aggregation: config.AggregationConfig) -> Aggregate | None:
  """What the config names; None for the mean, which needs no messages."""
  match aggregation.method:
    case config.Aggregator.MEAN:
      return None
    case config.Aggregator.MEDIAN:
      rule = median
    case config.Aggregator.TRIMMED_MEAN:
      rule = trimmed_mean(aggregation.trimmed_fraction)
    case config.Aggregator.KRUM:
      rule = krum(aggregation.num_byzantine, aggregation.num_selected)
  return lambda messages, client_ids: _aggregated(rule, messages, client_ids)


def _aggregated(rule: Rule, messages: algorithm.Message, client_ids):
  """Messages and clients are [devices, blocks, clients, ...].

  Raises:
    ValueError: the algorithm sends something besides, of which only a sum is
      defined.
  """
  if jax.tree.leaves(messages.extra):
    raise ValueError('messages with an extra; want a sum of them.')
  updates, weight, ids = jax.tree.map(
    lambda leaf: leaf.reshape(-1, *leaf.shape[3:]),
    (messages.update, messages.weight, client_ids),
  )
  update, is_there = rule(updates, ids, weight > 0)
  return algorithm.Sums(
    update=jax.tree.map(lambda leaf: jnp.where(is_there, leaf, 0), update),
    extra=messages.extra,
    weight=is_there.astype(jnp.float32),
  )


def median(
  updates: PyTree,
  client_ids: Int[Array, ' clients'],
  is_real: Bool[Array, ' clients'],
) -> tuple[PyTree, Bool[Array, '']]:
  """Of each number by itself (Yin et al. 2018, definition 1).

  Of an even count, the mean of the two in the middle.
  """
  del client_ids
  count = is_real.sum()

  def middle(leaf):
    ordered = _ordered(leaf, is_real)
    # Halved first: their sum may overflow.
    return ordered[(count - 1) // 2] / 2 + ordered[count // 2] / 2

  return jax.tree.map(middle, updates), count > 0


def trimmed_mean(fraction: float) -> Rule:
  """Of each number without its extremes (Yin et al. 2018, definition 2).

  Of n clients, floor(fraction * n) are left out at either end.
  """

  def rule(updates, client_ids, is_real):
    del client_ids
    count = is_real.sum()
    places = len(is_real)
    table = [_num_trimmed(fraction, n) for n in range(places + 1)]
    num_trimmed = jnp.asarray(table)[count]
    rank = jnp.arange(places)
    kept = (rank >= num_trimmed) & (rank < count - num_trimmed)
    return jax.tree.map(
      lambda leaf: _mean_where(kept, _ordered(leaf, is_real)), updates
    ), count > 0

  return rule


def _num_trimmed(fraction: float, count: int) -> int:
  """At either end; somebody is left of a count that is not 0."""
  # In spite of rounding, 0.29 * 100 is 29.
  return min(math.floor(fraction * count + 1e-9), max(count - 1, 0) // 2)


def krum(num_byzantine: int, num_selected: int) -> Rule:
  """The mean of those closest to others (Blanchard et al. 2017, section 4).

  A client's score is the sum of its n - f - 2 smallest squared distances to
  others, over all that is sent; `num_selected` of the lowest scores, at most
  n - f, are averaged. Of equal scores, the client of the lower index. Nothing
  is said of n <= 2 f + 2 clients, and nothing is taken of them: the model stays
  as it is.
  """

  def rule(updates, client_ids, is_real):
    count = is_real.sum()
    places = len(is_real)
    is_pair = is_real[:, None] & is_real & ~jnp.eye(places, dtype=bool)
    squares = jnp.where(is_pair, _squared_distances(updates), jnp.inf)
    is_near = jnp.arange(places) < count - num_byzantine - 2
    scores = jnp.where(is_near, jnp.sort(squares, 1), 0.0).sum(1)
    scores = jnp.where(is_real, scores, jnp.inf)
    order = jnp.lexsort((client_ids, scores, ~is_real))
    limit = jnp.minimum(num_selected, count - num_byzantine)
    chosen = jnp.arange(places) < limit
    mean = jax.tree.map(lambda leaf: _mean_where(chosen, leaf[order]), updates)
    return mean, count > 2 * num_byzantine + 2

  return rule


def _ordered(
  leaf: Float[Array, 'clients *shape'], is_real: Bool[Array, ' clients']
) -> Float[Array, 'clients *shape']:
  """Each number's values in ascending order, those that count first."""
  return jnp.sort(jnp.where(_column(is_real, leaf), leaf, jnp.inf), 0)


def _mean_where(is_in: Bool[Array, ' clients'], leaf: jax.Array) -> jax.Array:
  total = jnp.where(_column(is_in, leaf), leaf, 0).sum(0)
  return total / jnp.maximum(is_in.sum(), 1)


def _column(values: jax.Array, leaf: jax.Array) -> jax.Array:
  """With as many axes as the leaf has."""
  return values.reshape(-1, *[1] * (leaf.ndim - 1))


def _squared_distances(updates: PyTree) -> Float[Array, 'clients clients']:
  """By differences: of a product of large norms, little would be left.

  One client at a time, so that no more than one copy of all is made.
  """
  leaves = jax.tree.leaves(updates)

  def of_one(index):
    squares = [jnp.square(leaf - leaf[index]) for leaf in leaves]
    return sum(each.reshape(len(each), -1).sum(1) for each in squares)

  return jax.lax.map(of_one, jnp.arange(len(leaves[0])))
