"""Calls of several threads computed as one, against each by itself."""

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
  """What each body returns, or raises, as a member that starts with all."""
  ready = threading.Barrier(len(bodies))

  def run(body):
    with group.member():
      ready.wait(SECONDS)
      return body()

  pool = futures.ThreadPoolExecutor(len(bodies))
  calls = [pool.submit(run, body) for body in bodies]
  futures.wait(calls, SECONDS)
  pool.shutdown(wait=False, cancel_futures=True)
  assert all(call.done() for call in calls), 'members wait for ever'
  return calls


def check(result, index, power=2, size=4):
  x = np.arange(float(size)) + index
  np.testing.assert_allclose(result['y'], 3 * x**power)
  np.testing.assert_allclose(result['sum'], x.sum())


def test_without_a_group_a_call_is_the_functions():
  check(together.call(scaled, (2,), SHARED, values(5)), 5)


@pytest.mark.parametrize(('num_members', 'size'), [(4, 4), (3, 4), (5, 2)])
def test_each_gets_its_own_result_of_one_program(
  num_members, size, monkeypatch
):
  counts, computed = [], together._computed

  def counted(function, static, shared, owned, *, size):
    counts.append(len(owned))
    return computed(function, static, shared, owned, size=size)

  monkeypatch.setattr(together, '_computed', counted)
  calls = in_threads(
    together.Group(size),
    [
      lambda index=index: together.call(scaled, (2,), SHARED, values(index))
      for index in range(num_members)
    ],
  )
  for index, call in enumerate(calls):
    check(call.result(), index)
  assert counts[0] == min(num_members, size)
  assert sum(counts) == num_members
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
  results = [call.result() for call in in_threads(together.Group(4), bodies)]
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

  for call in in_threads(together.Group(3), [body(1), body(1), body(3)]):
    call.result()
  assert counts == [('scaled', 3), ('scaled', 1), ('scaled', 1), ('later', 3)]


def test_members_may_call_more_often_than_others_or_never():
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

  calls = in_threads(together.Group(3), [several(times) for times in (0, 1, 5)])
  assert [call.result() for call in calls] == [0, 1, 5]


def test_an_error_is_that_of_all_it_was_computed_for_and_of_no_other():
  def failing(power, shared, own):
    raise ValueError('too much')

  def body(function):
    return lambda: together.call(function, (2,), SHARED, values(1))

  bad, worse, good = in_threads(
    together.Group(3), [body(failing), body(failing), body(scaled)]
  )
  check(good.result(), 1)
  for call in (bad, worse):
    with pytest.raises(ValueError, match='too much'):
      call.result()


def test_a_member_that_fails_elsewhere_does_not_hold_up_the_others():
  def fails():
    raise OSError('disk full')

  failed, good = in_threads(
    together.Group(2),
    [fails, lambda: together.call(scaled, (2,), SHARED, values(2))],
  )
  check(good.result(), 2)
  with pytest.raises(OSError, match='disk full'):
    failed.result()
