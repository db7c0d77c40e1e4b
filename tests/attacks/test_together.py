"""Threads whose like calls are computed as one, against each by itself."""

import threading
from concurrent import futures

import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.attacks import together

SECONDS = 60


def scaled(power, shared, own):
  """Counts its traces, so that a test sees what was compiled."""
  traces.append(own['x'].shape)
  return {'y': shared * own['x'] ** power, 'sum': own['x'].sum()}


traces: list[tuple[int, ...]] = []
SHARED = jnp.asarray(3.0)


@pytest.fixture(autouse=True)
def _no_traces():
  traces.clear()
  together._alone.cache_clear()
  together._mapped.cache_clear()


def values(index, size=4):
  return {'x': jnp.arange(float(size)) + index}


def in_threads(group, bodies):
  """What each body returns, or raises, in a group and started with all."""
  ready = threading.Barrier(len(bodies))

  def run(body):
    with group.caller():
      ready.wait(SECONDS)
      return body()

  pool = futures.ThreadPoolExecutor(len(bodies))
  calls = [pool.submit(run, body) for body in bodies]
  futures.wait(calls, SECONDS)
  pool.shutdown(wait=False, cancel_futures=True)
  assert all(call.done() for call in calls), 'callers wait for ever'
  return calls


def check(result, index, power=2, size=4):
  x = np.arange(float(size)) + index
  np.testing.assert_allclose(result['y'], 3 * x**power)
  np.testing.assert_allclose(result['sum'], x.sum())


def test_without_a_group_a_call_is_the_functions():
  check(together.call(scaled, (2,), SHARED, values(5)), 5)


@pytest.mark.parametrize(('num_callers', 'size'), [(4, 4), (3, 4), (5, 2)])
def test_each_gets_its_own_result_of_one_program(
  num_callers, size, monkeypatch
):
  counts, computed = [], together._computed

  def counted(function, static, shared, owned, *, size):
    counts.append(len(owned))
    return computed(function, static, shared, owned, size=size)

  monkeypatch.setattr(together, '_computed', counted)
  calls = in_threads(
    together._Group(size),
    [
      lambda index=index: together.call(scaled, (2,), SHARED, values(index))
      for index in range(num_callers)
    ],
  )
  for index, call in enumerate(calls):
    check(call.result(), index)
  assert counts[0] == min(num_callers, size)
  assert sum(counts) == num_callers
  # One program, whatever the number of calls in it.
  assert traces == [(4,)]


def test_calls_of_other_shapes_settings_or_shared_arrays_are_kept_apart():
  other = jnp.asarray(30.0)
  bodies = [
    lambda: together.call(scaled, (2,), SHARED, values(0)),
    lambda: together.call(scaled, (2,), SHARED, values(1, size=6)),
    lambda: together.call(scaled, (3,), SHARED, values(2)),
    lambda: together.call(scaled, (2,), other, values(3)),
  ]
  results = [call.result() for call in in_threads(together._Group(4), bodies)]
  check(results[0], 0)
  check(results[1], 1, size=6)
  check(results[2], 2, power=3)
  np.testing.assert_allclose(results[3]['y'], 10 * check_y(3))


def check_y(index):
  return 3 * (np.arange(4.0) + index) ** 2


def test_who_is_behind_catches_up_before_the_others_go_on(monkeypatch):
  def later(power, shared, own):
    return scaled(power, shared, own)

  counts, computed = [], together._computed

  def counted(function, static, shared, owned, *, size):
    counts.append((function.__name__, len(owned)))
    return computed(function, static, shared, owned, size=size)

  monkeypatch.setattr(together, '_computed', counted)

  def body(times):
    def run():
      for index in range(times):
        check(together.call(scaled, (2,), SHARED, values(index)), index)
      check(together.call(later, (2,), SHARED, values(9)), 9)

    return run

  for call in in_threads(together._Group(3), [body(1), body(1), body(3)]):
    call.result()
  assert counts == [('scaled', 3), ('scaled', 1), ('scaled', 1), ('later', 3)]


def test_callers_may_call_more_often_than_others_or_never():
  def several(times):
    def body():
      results = [
        together.call(scaled, (2,), SHARED, values(index))
        for index in range(times)
      ]
      for index, result in enumerate(results):
        check(result, index)
      return len(results)

    return body

  calls = in_threads(
    together._Group(3), [several(times) for times in (0, 1, 5)]
  )
  assert [call.result() for call in calls] == [0, 1, 5]


def test_an_error_is_that_of_all_it_was_computed_for_and_of_no_other():
  def failing(power, shared, own):
    raise ValueError('too much')

  def body(function):
    return lambda: together.call(function, (2,), SHARED, values(1))

  bad, worse, good = in_threads(
    together._Group(3), [body(failing), body(failing), body(scaled)]
  )
  check(good.result(), 1)
  for call in (bad, worse):
    with pytest.raises(ValueError, match='too much'):
      call.result()


def test_a_caller_that_fails_elsewhere_does_not_hold_up_the_others():
  def fails():
    raise OSError('disk full')

  failed, good = in_threads(
    together._Group(2),
    [fails, lambda: together.call(scaled, (2,), SHARED, values(2))],
  )
  check(good.result(), 2)
  with pytest.raises(OSError, match='disk full'):
    failed.result()


def test_order_is_that_of_the_items_whichever_ends_first():
  second_is_done = threading.Event()

  def call(index):
    if index == 0:
      assert second_is_done.wait(10)
    if index == 1:
      second_is_done.set()
    return 10 * index

  found = list(together.in_order(call, ((i,) for i in range(4)), 2))
  assert found == [(0, 0), (1, 10), (2, 20), (3, 30)]


@pytest.mark.parametrize('num_parallel', [1, 3])
def test_no_item_is_drawn_further_ahead(num_parallel):
  drawn = []

  def items():
    for index in range(8):
      drawn.append(index)
      yield (index,)

  results = together.in_order(lambda index: index, items(), num_parallel)
  for count, _ in enumerate(results, 1):
    assert len(drawn) < count + num_parallel
  assert len(drawn) == 8


def test_interrupt_in_a_call_does_not_wait_for_the_others():
  never = threading.Event()

  def call(index):
    if index == 1:
      never.wait(60)
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    list(together.in_order(call, [(0,), (1,)], 2))
  never.set()


def test_nothing_to_do_gives_nothing():
  assert not list(together.in_order(print, [], 2))


def test_items_in_order_meet_in_their_calls(monkeypatch):
  counts, computed = [], together._computed

  def counted(function, static, shared, owned, *, size):
    counts.append(len(owned))
    return computed(function, static, shared, owned, size=size)

  monkeypatch.setattr(together, '_computed', counted)
  ready = threading.Barrier(2)

  def body(index):
    ready.wait(SECONDS)
    return together.call(scaled, (2,), SHARED, values(index))

  for index, result in together.in_order(body, [(0,), (1,)], 2):
    check(result, index)
  assert counts == [2]


def test_a_single_thread_meets_nobody(monkeypatch):
  monkeypatch.setattr(together, '_computed', None)

  def body(index):
    return together.call(scaled, (2,), SHARED, values(index))

  for index, result in together.in_order(body, [(0,), (1,)], 1):
    check(result, index)
