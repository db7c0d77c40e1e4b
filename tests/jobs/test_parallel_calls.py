"""Calls in threads, of which a test holds the ends."""

import threading

import pytest

from fedjax_asr.jobs import parallel_calls


def test_order_is_that_of_the_items_whichever_ends_first():
  second_is_done = threading.Event()

  def call(index):
    if index == 0:
      assert second_is_done.wait(10)
    if index == 1:
      second_is_done.set()
    return 10 * index

  found = list(parallel_calls.in_order(call, ((i,) for i in range(4)), 2))
  assert found == [(0, 0), (1, 10), (2, 20), (3, 30)]


@pytest.mark.parametrize('num_parallel', [1, 3])
def test_no_item_is_drawn_further_ahead(num_parallel):
  drawn = []

  def items():
    for index in range(8):
      drawn.append(index)
      yield (index,)

  results = parallel_calls.in_order(lambda index: index, items(), num_parallel)
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
    list(parallel_calls.in_order(call, [(0,), (1,)], 2))
  never.set()


def test_nothing_to_do_gives_nothing():
  assert not list(parallel_calls.in_order(print, [], 2))
