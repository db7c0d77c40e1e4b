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
