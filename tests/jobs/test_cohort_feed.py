import threading

import jax
import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import devices
from fedjax_asr.jobs import cohort_feed


@pytest.fixture
def feed():
  chosen = devices.select(population.PLAIN)
  examples = population.examples(population.uneven())
  return cohort_feed.CohortFeed(
    examples, population.PLAIN, population.SEED, chosen
  )


def test_cohorts_ahead_are_those_of_their_rounds(feed):
  rounds = [2, 3, 4]
  for index, fed in zip(rounds, feed.ahead(rounds), strict=True):
    wanted = feed(index)
    np.testing.assert_array_equal(fed.frames, wanted.frames)
    jax.tree.map(np.testing.assert_array_equal, fed.members, wanted.members)
  assert list(feed.ahead([])) == []


def test_shapes_are_those_of_every_cohort(feed):
  members = feed(3).members
  for got, wanted in zip(
    jax.tree.leaves(feed.shapes), jax.tree.leaves(members), strict=True
  ):
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    assert got.sharding == wanted.sharding


def test_the_next_cohort_and_no_more_is_assembled_meanwhile(feed, monkeypatch):
  assembled, started = [], threading.Event()
  call = cohort_feed.CohortFeed.__call__

  def recorded(self, index):
    assembled.append((index, threading.current_thread().name))
    if index == 1:
      started.set()
    return call(self, index)

  monkeypatch.setattr(cohort_feed.CohortFeed, '__call__', recorded)
  cohorts = feed.ahead(range(5))
  next(cohorts)
  assert started.wait(60)
  cohorts.close()
  assert [index for index, _ in assembled] == [0, 1]
  assert all(name.startswith('cohort_feed') for _, name in assembled)


def test_what_goes_wrong_in_the_thread_is_raised_where_it_is_used(
  feed, monkeypatch
):
  def fails(self, index):
    raise OSError(f'round {index}')

  monkeypatch.setattr(cohort_feed.CohortFeed, '__call__', fails)
  with pytest.raises(OSError, match='round 0'):
    next(feed.ahead(range(2)))


def test_steps_that_leave_none_for_the_body_are_one_line():
  settings = population.federated(
    algorithm=config.AlgorithmName.FEDREP,
    fedrep=config.FedRepConfig(head_steps=4),
  )
  # The largest client has seven utterances, in batches of two.
  with pytest.raises(config.ConfigError) as caught:
    cohort_feed.CohortFeed(
      population.examples(population.uneven()),
      settings,
      population.SEED,
      devices.select(settings),
    )
  assert str(caught.value).startswith(
    'config.federated.fedrep.head_steps=4; want fewer than the 4 steps'
  )


SECURE = population.federated(
  weighting=config.Weighting.UNIFORM,
  privacy=config.PrivacyConfig(clip_norm=1.0),
  systems=config.SystemsConfig(dropout=0.3),
  secure_aggregation=config.SecureAggregationConfig(
    enabled=True, threshold=0.3
  ),
  num_devices=2,
)


def secure_feed():
  return cohort_feed.CohortFeed(
    population.examples(population.uneven()),
    SECURE,
    population.SEED,
    devices.select(SECURE),
  )


def test_masks_are_those_of_the_round_whoever_asks_and_of_one_shape():
  """A resumed run has those that it would have had."""
  feed, again = secure_feed(), secure_feed()
  list(feed.ahead(range(3)))
  seen = set()
  for index in range(4):
    fed = feed(index)
    other = again(index)
    jax.tree.map(np.testing.assert_array_equal, fed.members, other.members)
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), fed.members)
    assert shapes == jax.tree.map(
      lambda leaf: (leaf.shape, leaf.dtype), feed.shapes
    )
    # Those who drop out agreed on masks, too.
    assert len(fed.secure.client_ids) == 5
    is_sender = np.asarray(fed.members.masks.clients.is_sender)
    np.testing.assert_array_equal(is_sender, fed.client_ids >= 0)
    assert fed.secure.num_dropped == 5 - is_sender.sum()
    seen.add(fed.secure.own.tobytes())
  assert len(seen) == 4
