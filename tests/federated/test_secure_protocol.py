"""Keys, shares and who is asked for what, on the host."""

import collections
import itertools

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.federated import (
  key_agreement,
  mask_graph,
  masks,
  secure_protocol,
  shamir,
)

SEED, ROUND = 3, 5


def test_any_shares_of_the_threshold_give_the_secret():
  rng = np.random.default_rng(0)
  secret = shamir.element(rng)
  shares = shamir.shares(secret, 6, 3, rng)
  for size in (3, 4, 6):
    for chosen in itertools.combinations(range(6), size):
      assert shamir.secret({i: shares[i] for i in chosen}) == secret
  assert shamir.secret({i: shares[i] for i in (0, 4)}) != secret


def test_fewer_shares_are_as_likely_with_every_secret(monkeypatch):
  """All polynomials of a small field, counted."""
  monkeypatch.setattr(shamir, 'PRIME', 7)
  seen = collections.defaultdict(collections.Counter)
  for secret, *others in itertools.product(range(7), repeat=3):
    drawn = iter(others)
    monkeypatch.setattr(shamir, 'element', lambda rng, d=drawn: next(d))
    shares = shamir.shares(secret, 4, 3, rng=np.random.default_rng(0))
    for pair in itertools.combinations(range(4), 2):
      seen[secret][pair, shares[pair[0]], shares[pair[1]]] += 1
  assert len(seen) == 7
  assert all(counts == seen[0] for counts in seen.values())
  # Each pair of values once: they tell nothing but themselves.
  assert set(seen[0].values()) == {1}


def test_either_of_a_pair_comes_to_the_same_seed_and_a_third_does_not():
  rng = np.random.default_rng(0)
  one, other, third = (key_agreement.private_key(rng) for _ in range(3))
  public = key_agreement.public_key
  agreed = key_agreement.agreed_seed(one, public(other))
  assert agreed == key_agreement.agreed_seed(other, public(one))
  assert agreed != key_agreement.agreed_seed(third, public(one))
  assert all(0 <= word < 2**32 for word in agreed)


def test_the_generator_generates_the_whole_group():
  order = shamir.PRIME - 1
  factors = (2, 3, 7, 19, 43, 73, 127, 337, 5419, 92737, 649657, 77158673929)
  left = order
  for factor in factors:
    while left % factor == 0:
      left //= factor
    assert pow(key_agreement.GENERATOR, order // factor, shamir.PRIME) != 1
  assert left == 1


@pytest.mark.parametrize(('count', 'degree'), [(2, 1), (7, 4), (8, 7), (50, 6)])
def test_neighbours_are_mutual_others_and_of_one_graph(count, degree):
  graph = mask_graph.neighbours(count, degree, np.random.default_rng(0))
  assert graph.shape == (count, degree)
  reached, waiting = {0}, [0]
  for row, own in enumerate(graph):
    assert len(set(own.tolist())) == degree
    assert row not in own
    assert all(row in graph[other] for other in own)
  while waiting:
    for other in graph[waiting.pop()].tolist():
      if other not in reached:
        reached.add(other)
        waiting.append(other)
  assert len(reached) == count


def test_the_degree_grows_with_the_logarithm_and_holds_what_it_says():
  assert mask_graph.degree(5, 0.5, 0.0) == 4
  found = [mask_graph.degree(n, 0.5, 0.1) for n in (100, 1000, 10_000, 100_000)]
  steps = np.diff(found)
  assert found[-1] < 60
  assert steps.min() > 0
  assert steps.max() <= 8
  rng = np.random.default_rng(0)
  degree = mask_graph.degree(1000, 0.5, 0.2)
  wanted = mask_graph.num_shares_wanted(degree, 0.5)
  graph = mask_graph.neighbours(1000, degree, rng)
  for _ in range(200):
    sends = rng.random(1000) >= 0.2
    assert sends[graph].sum(1).min() >= wanted


def simulated(drawn, senders, degree=4, threshold=0.5):
  protocol = secure_protocol.Protocol(len(drawn), len(drawn), degree, threshold)
  return secure_protocol.simulated(
    np.array(drawn), np.array(senders, int), protocol, SEED, ROUND
  )


def test_pairs_have_one_seed_and_opposite_signs():
  drawn = [11, 4, 9, 30, 2, 7]
  found = simulated(drawn, drawn)
  count = collections.defaultdict(list)
  for pairs, signs in zip(found.pairs, found.signs, strict=True):
    for seed, sign in zip(pairs, signs, strict=True):
      count[tuple(seed)].append(int(sign))
  assert len(count) == len(drawn) * 4 // 2
  assert all(sorted(s) == [masks.PLUS, masks.MINUS] for s in count.values())
  # Nobody dropped out: the server asks for self masks and nothing else.
  assert sorted(map(tuple, found.found.seeds)) == sorted(map(tuple, found.own))


def test_a_round_is_a_function_of_seed_and_round():
  drawn = list(range(8))
  one, again = simulated(drawn, drawn[:7]), simulated(drawn, drawn[:7])
  np.testing.assert_array_equal(one.pairs, again.pairs)
  np.testing.assert_array_equal(one.found.seeds, again.found.seeds)
  protocol = secure_protocol.Protocol(8, 8, 4, 0.5)
  for seed, index in ((SEED, ROUND + 1), (SEED + 1, ROUND)):
    other = secure_protocol.simulated(
      np.arange(8), np.arange(7), protocol, seed, index
    )
    assert not np.isin(other.own, one.own).any()


def test_of_nobody_both_secrets_are_told():
  drawn = list(range(9))
  found = simulated(drawn, drawn[:7], threshold=0.25)
  own_of_dropped = set(map(tuple, found.own[7:]))
  assert not own_of_dropped & set(map(tuple, found.found.seeds))
  between_senders = {
    tuple(seed)
    for row in range(7)
    for seed in found.pairs[row]
    if not (found.pairs[7:] == seed).all(-1).any()
  }
  assert not between_senders & set(map(tuple, found.found.seeds))


def test_below_the_threshold_nothing_is_recovered():
  drawn = list(range(10))
  assert simulated(drawn, drawn[:6], degree=9).found is not None
  lost = simulated(drawn, drawn[:5], degree=9)
  assert lost.found is None
  assert lost.num_dropped == 5
  # Enough of all, but too few of somebody's neighbours.
  assert simulated(drawn, drawn[:9], degree=2).found is None


@pytest.mark.parametrize('senders', [[], [4]])
def test_a_round_of_hardly_anybody_is_abandoned(senders):
  protocol = secure_protocol.Protocol(4, 4, 3, 0.5)
  found = secure_protocol.simulated(
    np.array(senders, int), np.array(senders, int), protocol, SEED, ROUND
  )
  assert found.found is None
  ids = np.full((1, 2, 2), -1)
  ids.flat[: len(senders)] = senders
  placed = secure_protocol.placed(found, ids, protocol)
  assert placed.clients.is_sender.sum() == len(senders)
  assert placed.recovered.is_abandoned.all()


def test_the_least_number_of_senders_is_more_than_the_fraction_and_than_one():
  for count, threshold, wanted in ((2, 0.5, 2), (10, 0.5, 6), (9, 0.01, 2)):
    settings = config.FederatedConfig(
      cohort_size=count,
      secure_aggregation=config.SecureAggregationConfig(
        enabled=True, threshold=threshold
      ),
    )
    protocol = secure_protocol.of_config(settings)
    assert protocol.least_senders == wanted
