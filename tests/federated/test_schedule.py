"""Clients that are slow, late, gone or drop out, by hand on the clock."""

import jax
import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import cohort, partition, schedule, speeds

SEED = population.SEED
EXAMPLES = population.examples(population.uneven())
# Clients 0 to 6 have 1, 1, 2, 2, 3, 3 and 4 steps.
CLIENTS = partition.partition(
  EXAMPLES.speakers, EXAMPLES.texts, population.federated(), SEED
)
STEPS = [1, 1, 2, 2, 3, 3, 4]
# Of each client, under which they finish after 4, 3, 4, 2, 3, 6, 8 seconds.
PACE = [4.0, 3.0, 2.0, 1.0, 1.0, 2.0, 2.0]


def settings(cohort_size=7, num_rounds=4, **systems):
  return population.federated(
    cohort_size=cohort_size,
    num_rounds=num_rounds,
    systems=config.SystemsConfig(**systems),
  )


@pytest.fixture
def traced(tmp_path):
  """`traced(lines, ...)`: rounds by a trace of these windows."""

  def rounds(windows=None, **fields):
    path = tmp_path / 'trace.csv'
    lines = ['client,seconds_per_step']
    lines += [f's{index},{pace}' for index, pace in enumerate(PACE)]
    if windows is not None:
      lines = ['client,seconds_per_step,available_from,available_until']
      lines += [','.join(map(str, window)) for window in windows]
    path.write_text('\n'.join(lines))
    federated = settings(speeds=config.Speeds.TRACE, trace=str(path), **fields)
    return schedule.rounds(CLIENTS, federated, SEED)

  return rounds


def sent(timing):
  """{client: steps}."""
  working = timing.working
  return dict(
    zip(working.client_ids.tolist(), working.num_steps.tolist(), strict=True)
  )


def test_a_round_lasts_until_its_slowest_client(traced):
  first, second, *_ = traced()
  assert sent(first) == dict(enumerate(STEPS))
  assert (first.start, first.end, first.num_lost) == (0.0, 8.0, 0)
  assert (second.start, second.end) == (8.0, 16.0)


def test_the_first_that_finish_are_taken_of_more_that_are_drawn(traced):
  for timing in traced(cohort_size=3, num_drawn=7):
    # After 2, 3 and 3 seconds.
    assert sent(timing) == {3: 2, 1: 1, 4: 3}
    assert timing.end - timing.start == 3.0
    assert timing.num_lost == 0


def test_stragglers_are_left_out_at_the_deadline(traced):
  first, *_ = traced(deadline=4.0)
  assert sent(first) == {0: 1, 1: 1, 2: 2, 3: 2, 4: 3}
  assert (first.end, first.num_lost) == (4.0, 2)
  # All that are drawn are known before the deadline.
  first, *_ = traced(deadline=9.0)
  assert (first.end, first.num_lost) == (8.0, 0)
  # Enough have finished before it.
  first, *_ = traced(cohort_size=3, num_drawn=7, deadline=5.0)
  assert (first.end, first.num_lost) == (3.0, 2)


def test_partial_work_is_the_steps_that_fit(traced):
  first, *_ = traced(deadline=3.5, late_work=config.LateWork.PARTIAL)
  # Client 0 takes 4 seconds for its only step.
  assert sent(first) == {1: 1, 2: 1, 3: 2, 4: 3, 5: 1, 6: 1}
  assert (first.end, first.num_lost) == (3.5, 1)


def test_steps_that_end_at_the_deadline_fit_in_spite_of_rounding(tmp_path):
  federated = settings(
    speeds=config.Speeds.LOG_NORMAL,
    median_seconds_per_step=0.1,
    speed_spread=0.0,
    deadline=0.3,
    late_work=config.LateWork.PARTIAL,
  )
  # 0.3 // 0.1 is 2.
  first, *_ = schedule.rounds(CLIENTS, federated, SEED)
  assert sent(first) == {index: min(n, 3) for index, n in enumerate(STEPS)}


def test_only_who_is_there_is_drawn_and_who_goes_is_lost(traced):
  windows = [(f's{index}', 1.0, 10, 1000) for index in range(5)]
  # Done after 3 seconds, gone after 2; there from second 100 on.
  windows += [('s5', 1.0, 0, 2), ('s5', 2.0, 100, 1000)]
  windows += [('s6', 1.0, 100, 1000)]
  first, second, *_ = traced(windows)
  assert sent(first) == {}
  assert (first.start, first.end, first.num_lost) == (0.0, 2.0, 1)
  # Until somebody is there; the third of a second window takes its speed.
  assert sent(second) == dict(enumerate(STEPS[:5]))
  assert (second.start, second.end) == (2.0, 13.0)
  late = traced([(f's{index}', 2.0, 5, 1000) for index in range(7)])[0]
  assert (late.start, late.end) == (0.0, 13.0)


def test_nobody_left_is_one_line_before_anything_is_trained(traced):
  windows = [(f's{index}', 1.0, 0, 9) for index in range(7)]
  with pytest.raises(config.ConfigError, match=r'trace=.* after 12 virtual'):
    traced([*windows[:6], ('s6', 1.0, 0, 12)])


def test_who_drops_out_is_missing_and_drawn_by_chance():
  federated = settings(dropout=0.3, num_rounds=400)
  timings = schedule.rounds(CLIENTS, federated, SEED)
  counts = np.array([len(timing.working.client_ids) for timing in timings])
  lost = np.array([timing.num_lost for timing in timings])
  assert (counts + lost == 7).all()
  # Five standard deviations of a binomial.
  assert abs(lost.sum() - 840) < 5 * np.sqrt(2800 * 0.3 * 0.7)
  assert all(timing.end == 0.0 for timing in timings)
  # More are drawn to make up for them.
  more = settings(4, 400, dropout=0.3, num_drawn=6)
  taken = schedule.rounds(CLIENTS, more, SEED)
  assert np.mean([len(each.working.client_ids) == 4 for each in taken]) > 0.7
  assert max(len(each.working.client_ids) for each in taken) == 4


def test_rounds_are_a_function_of_the_seed_and_not_of_how_many_follow():
  fields = {
    'dropout': 0.2,
    'num_drawn': 6,
    'speeds': config.Speeds.LOG_NORMAL,
  }
  short, long = (
    schedule.rounds(CLIENTS, settings(4, count, **fields), SEED)
    for count in (3, 9)
  )
  assert len(long) == 9
  for left, right in zip(short, long, strict=False):
    assert sent(left) == sent(right)
    assert (left.start, left.end) == (right.start, right.end)
  other = schedule.rounds(CLIENTS, settings(4, 3, **fields), SEED + 1)
  assert [each.end for each in other] != [each.end for each in short]
  assert (
    schedule.members(CLIENTS, settings(4, 3, **fields), SEED, 8).tolist()
    == long[8].working.client_ids.tolist()
  )


def test_speeds_are_log_normal_and_a_function_of_seed_and_client():
  systems = config.SystemsConfig(
    speeds=config.Speeds.LOG_NORMAL,
    median_seconds_per_step=3.0,
    speed_spread=0.5,
  )
  many = [partition.Client(f'c{index}', np.arange(1)) for index in range(4000)]
  pace = speeds.of_population(many, systems, 1).seconds_per_step
  logs = np.log(pace / 3.0)
  assert abs(logs.mean()) < 5 * 0.5 / np.sqrt(4000)
  assert logs.std() == pytest.approx(0.5, rel=0.06)
  few = speeds.of_population(many[:5], systems, 1).seconds_per_step
  np.testing.assert_array_equal(few, pace[:5])
  other = speeds.of_population(many, systems, 2).seconds_per_step
  assert not (other == pace).any()


def test_by_default_cohorts_are_what_a_sample_says():
  federated = settings()
  assert schedule.rounds(CLIENTS, federated, SEED) is None
  drawn = schedule.members(CLIENTS, federated, SEED, 3)
  assert drawn.tolist() == cohort.sample(7, 7, SEED, 3).tolist()


def test_clients_without_a_fault_are_the_cohorts_of_no_schedule():
  federated = settings(5, 6, speeds=config.Speeds.LOG_NORMAL, speed_spread=0.0)
  timings = schedule.rounds(CLIENTS, federated, SEED)
  for index, timing in enumerate(timings):
    plain = cohort.draw(CLIENTS, EXAMPLES.num_frames, federated, SEED, index)
    drawn = cohort.draw(
      CLIENTS, EXAMPLES.num_frames, federated, SEED, index, timing.working
    )
    for left, right in zip(plain, drawn, strict=True):
      np.testing.assert_array_equal(left, right)


def test_a_draw_has_the_steps_that_are_done_and_one_shape(traced):
  timings = traced(deadline=3.5, late_work=config.LateWork.PARTIAL)
  federated = settings()
  working = timings[0].working
  full = cohort.draw(CLIENTS, EXAMPLES.num_frames, federated, SEED, 0)
  drawn = cohort.draw(CLIENTS, EXAMPLES.num_frames, federated, SEED, 0, working)
  assert drawn.utterances.shape == (6, 4, 2)
  for client, row in zip(drawn.client_ids, drawn.utterances, strict=True):
    (count,) = working.num_steps[working.client_ids == client]
    (whole,) = full.utterances[full.client_ids == client]
    np.testing.assert_array_equal(row[:count], whole[:count])
    assert (row[count:] == -1).all()
  layout = cohort.plan(
    CLIENTS,
    EXAMPLES,
    federated,
    SEED,
    2,
    [timing.working for timing in timings],
  )
  wanted = jax.tree.map(np.shape, cohort.shapes(layout, 8))
  nobody = cohort.Working(*[np.zeros(0, int)] * 3)
  for present in (working, nobody):
    drawn = cohort.draw(
      CLIENTS, EXAMPLES.num_frames, federated, SEED, 0, present
    )
    members = cohort.assemble(drawn, EXAMPLES, layout)
    assert jax.tree.map(np.shape, members) == wanted
  assert (members.client_ids == -1).all()
  assert not members.bucket.any()


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'num_drawn': 8}, r'num_drawn=8; want at most the population of 7'),
    ({'deadline': 0.9}, r'deadline=0.9; want at least 2.0, .* all its steps'),
    (
      {'deadline': 0.9, 'late_work': config.LateWork.PARTIAL},
      r'deadline=0.9; want at least 1.0, .* does one step',
    ),
  ],
)
def test_what_this_population_cannot_do_is_one_line(traced, fields, message):
  with pytest.raises(config.ConfigError, match=message):
    traced(**fields)
