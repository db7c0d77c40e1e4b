"""Who fills FedBuff's buffer, and when: by hand on the clock."""

import itertools

import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import (
  buffered,
  cohort,
  partition,
  schedule,
  speeds,
  systems,
)

SEED = population.SEED
EXAMPLES = population.examples(population.uneven())
CLIENTS = partition.partition(
  EXAMPLES.speakers, EXAMPLES.texts, population.federated(), SEED
)
BUFFER = config.AlgorithmName.FEDBUFF


def simulated(seconds, count, since=None, until=None, limits=None, **fedbuff):
  """Rounds of a buffer of two; a client's work takes so many seconds."""
  size = len(seconds)
  found = systems.Population(
    speeds=speeds.Speeds(
      client=np.arange(size),
      seconds_per_step=np.array(seconds, float) / 2,
      since=np.array(since or [0.0] * size),
      until=np.array(until or [np.inf] * size),
    ),
    num_steps=np.full(size, 2),
    systems=config.SystemsConfig(**(limits or {})),
  )
  federated = config.FederatedConfig(
    algorithm=BUFFER,
    cohort_size=2,
    fedbuff=config.FedBuffConfig(**{'concurrency': size} | fedbuff),
  )
  timings = buffered.rounds(found, federated, SEED)
  return [
    (
      {
        int(client): int(staleness)
        for client, staleness in zip(
          timing.working.client_ids, timing.working.staleness, strict=True
        )
      },
      timing.end,
      timing.num_lost,
    )
    for timing in itertools.islice(timings, count)
  ]


def test_the_buffer_fills_while_a_slow_client_works():
  # All three are always at work, or wait in the buffer.
  assert simulated([2, 3, 10], 5, max_staleness=3) == [
    ({0: 0, 1: 0}, 3.0, 0),
    ({0: 0, 1: 0}, 6.0, 0),
    ({0: 0, 1: 0}, 9.0, 0),
    ({2: 3, 0: 0}, 11.0, 0),
    ({1: 1, 0: 0}, 13.0, 0),
  ]


def test_what_is_too_stale_is_lost():
  assert simulated([2, 3, 10], 4, max_staleness=2) == [
    ({0: 0, 1: 0}, 3.0, 0),
    ({0: 0, 1: 0}, 6.0, 0),
    ({0: 0, 1: 0}, 9.0, 0),
    # Client 2 came at second 10.
    ({0: 0, 1: 0}, 12.0, 1),
  ]


def test_more_than_a_buffer_of_one_moment_are_two_steps():
  found = simulated([4, 4, 4, 4], 4)
  # Nobody starts between the two.
  assert [end for _, end, _ in found] == [4.0, 4.0, 8.0, 8.0]
  assert [set(sent.values()) for sent, *_ in found] == [{0}, {1}, {0}, {1}]
  for (first, *_), (second, *_) in (found[:2], found[2:]):
    assert first.keys() | second.keys() == {0, 1, 2, 3}


def test_a_client_that_is_not_there_is_not_drawn_and_one_that_goes_is_lost():
  found = simulated(
    [2, 3, 1],
    2,
    since=[0.0, 0.0, 4.0],
    until=[np.inf, 2.5, np.inf],
  )
  # Client 0 is done at 2, client 1 gone at 2.5, client 2 there from 4 to 5.
  assert found == [({0: 0, 2: 0}, 5.0, 1), ({2: 0, 0: 0}, 7.0, 0)]


def test_work_that_is_given_up_at_the_deadline_frees_its_place():
  found = simulated([2, 3, 9], 2, limits={'deadline': 5.0})
  assert found == [({0: 0, 1: 0}, 3.0, 0), ({0: 0, 1: 0}, 6.0, 1)]
  partial = simulated(
    [2, 3, 9],
    2,
    limits={'deadline': 5.0, 'late_work': config.LateWork.PARTIAL},
  )
  # A step of 4.5 seconds fits; at second 5 clients 0 and 2 end.
  assert partial[1] == ({2: 1, 0: 0}, 5.0, 0)


def test_nobody_left_is_one_line():
  with pytest.raises(config.ConfigError, match='after 6 virtual seconds'):
    simulated([2, 3], 9, until=[6.0, 6.0])


def settings(num_rounds, speed_spread, **fields):
  return population.federated(
    algorithm=BUFFER,
    num_rounds=num_rounds,
    client={'local_steps': 2},
    systems=config.SystemsConfig(
      speeds=config.Speeds.LOG_NORMAL, speed_spread=speed_spread, dropout=0.0
    ),
    **fields,
  )


def test_equal_clients_as_many_as_the_buffer_are_the_cohorts_of_fedavg():
  federated = settings(4, 0.0)
  for index, timing in enumerate(schedule.rounds(CLIENTS, federated, SEED)):
    assert timing.end == 2.0 * (index + 1)
    plain = cohort.draw(CLIENTS, EXAMPLES.num_frames, federated, SEED, index)
    drawn = cohort.draw(
      CLIENTS, EXAMPLES.num_frames, federated, SEED, index, timing.working
    )
    for left, right in zip(plain, drawn, strict=True):
      np.testing.assert_array_equal(left, right)


def test_rounds_are_a_function_of_the_seed_and_not_of_how_many_follow():
  many = [partition.Client(f'c{index}', np.arange(3)) for index in range(30)]
  fedbuff = config.FedBuffConfig(concurrency=12, max_staleness=3)

  def rounds(count, seed=SEED):
    federated = settings(count, 1.0, fedbuff=fedbuff)
    return schedule.rounds(many, federated, seed)

  short, long = rounds(5), rounds(40)
  for left, right in zip(short, long, strict=False):
    assert left.end == right.end
    for mine, theirs in zip(left.working, right.working, strict=True):
      np.testing.assert_array_equal(mine, theirs)
  staleness = np.concatenate([each.working.staleness for each in long])
  assert set(staleness) == {0, 1, 2, 3}
  assert sum(each.num_lost for each in long) > 0
  assert all(len(set(each.working.client_ids)) == 5 for each in long)
  # Nobody is staler than the server is old.
  assert all(max(each.working.staleness) <= i for i, each in enumerate(long))
  ends = [each.end for each in long]
  assert ends == sorted(ends)
  assert [each.end for each in rounds(5, SEED + 1)] != ends[:5]


def test_more_clients_at_work_than_there_are_is_one_line():
  fedbuff = config.FedBuffConfig(concurrency=8)
  federated = settings(2, 0.0, fedbuff=fedbuff)
  with pytest.raises(config.ConfigError, match=r'concurrency=8; .* of 7'):
    schedule.rounds(CLIENTS, federated, SEED)
