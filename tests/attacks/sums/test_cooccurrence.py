"""Chances of rounds against counting, and what they say of planted clients."""

import itertools

import numpy as np
import pytest

from fedjax_asr.attacks.sums import cooccurrence, linked_clients


def _counted(num_clients, cohort_size, num_held, num_used):
  """(both, one, none) of one client's pair and of two clients', by listing
  every cohort and every choice of utterances."""
  same, different, total = np.zeros(3), np.zeros(3), 0
  choices = list(itertools.combinations(range(num_held), num_used))
  for cohort in itertools.combinations(range(num_clients), cohort_size):
    for first, second in itertools.product(choices, choices):
      total += 1
      a, b = (0 in cohort and item in first for item in (0, 1))
      c = 1 in cohort and 0 in second
      same[2 - (a + b)] += 1
      different[2 - (a + c)] += 1
  return same / total, different / total


@pytest.mark.parametrize(
  ('clients', 'cohort', 'held', 'used'),
  [(5, 2, 4, 2), (4, 3, 3, 1), (4, 2, 3, 3)],
)
def test_chances_are_those_of_all_cohorts_and_batches(
  clients, cohort, held, used
):
  sampling = cooccurrence.Sampling(clients, cohort, used)
  found = cooccurrence.chances(cohort / clients * used / held, sampling)
  for chances, wanted in zip(
    found, _counted(clients, cohort, held, used), strict=True
  ):
    np.testing.assert_allclose(chances, wanted, atol=1e-12)


def _population(rng, num_rounds, num_clients, cohort, held, used):
  owners = np.repeat(np.arange(num_clients), held)
  presence = np.zeros((num_rounds, len(owners)), bool)
  for row in presence:
    for client in rng.permutation(num_clients)[:cohort]:
      row[rng.permutation(held)[:used] + client * held] = True
  return presence, owners


def test_utterances_that_always_come_together_are_linked():
  rng = np.random.default_rng(0)
  presence, owners = _population(rng, 30, 10, 3, 4, 4)
  ratios = cooccurrence.log_likelihood_ratios(
    presence, cooccurrence.Sampling(10, 3, 4)
  )
  found = linked_clients.clients(ratios, 10)
  linked = linked_clients.compared(found, owners.tolist(), owners.tolist())
  assert linked.precision == linked.recall == 1.0


def test_more_rounds_tell_more():
  scores = []
  for num_rounds in (20, 400):
    rng = np.random.default_rng(1)
    presence, owners = _population(rng, num_rounds, 8, 3, 4, 2)
    ratios = cooccurrence.log_likelihood_ratios(
      presence, cooccurrence.Sampling(8, 3, 2)
    )
    rows, columns = np.triu_indices(len(owners), 1)
    same = owners[rows] == owners[columns]
    values = ratios[rows, columns]
    scores.append(np.mean(values[same][:, None] > values[~same]))
  assert scores[0] < scores[1] > 0.99


def test_of_clients_that_use_one_utterance_no_two_come_together():
  presence = np.zeros((10, 2), bool)
  presence[3] = True
  presence[4, 0] = True
  ratios = cooccurrence.log_likelihood_ratios(
    presence, cooccurrence.Sampling(5, 2, 1)
  )
  assert ratios[0, 1] < -5


def test_rounds_drawn_without_clients_link_nothing():
  """Utterances that recur by themselves: what is claimed is little."""
  rng = np.random.default_rng(2)
  presence = rng.random((60, 24)) < 0.15
  ratios = cooccurrence.log_likelihood_ratios(
    presence, cooccurrence.Sampling(8, 3, 2)
  )
  found = linked_clients.clients(ratios, 8)
  rows, columns = np.triu_indices(24, 1)
  assert np.mean(found[rows] == found[columns]) < 0.1


def test_pairs_are_counted():
  found = np.array([0, 0, 0, 1])
  linked = linked_clients.compared(found, [5, 5, 6, 6], [5, 5, 6, 6, 6])
  # Three claimed, of which (0, 1) is right; two there, four were sent.
  assert linked == linked_clients.Linked(6, 2, 3, 1, 4)
  assert linked.precision == pytest.approx(1 / 3)
  assert linked.recall == pytest.approx(1 / 4)
  assert linked.chance == pytest.approx(1 / 3)


@pytest.mark.parametrize('count', [0, 1])
def test_a_single_utterance_has_nobody_to_be_linked_with(count):
  found = linked_clients.clients(np.zeros((count, count)), 5)
  linked = linked_clients.compared(found, [0] * count, [0] * count)
  assert linked.num_pairs == 0
  assert linked.precision is linked.recall is linked.chance is None
