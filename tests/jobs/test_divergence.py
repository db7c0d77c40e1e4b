"""When a loss is said to grow."""

import numpy as np

from fedjax_asr.jobs import divergence


def _warned(losses, behind=()):
  """The rounds, from 1, with a warning."""
  watch = divergence.LossWatch(behind)
  return [
    index for index, loss in enumerate(losses, start=1) if watch.warning(loss)
  ]


def test_tenfold_loss_is_said_once_until_it_is_lower_again():
  assert _warned([5.0, 4.0, 60.0, 70.0, 6.0, 3.0, 90.0]) == [3, 7]


def test_less_than_tenfold_is_nothing():
  assert _warned([5.0, 4.0, 44.0]) == []  # The lowest mean is 4.5.


def test_slow_growth_is_noticed_too():
  losses = 1.1 ** np.arange(60)
  (found,) = _warned(losses)
  # The first round is the lowest mean.
  assert found == 1 + np.ceil(np.log(10) / np.log(1.1))


def test_one_low_loss_among_others_is_not_what_is_compared_with():
  usual = [3.0] * 10
  assert _warned([*usual, 0.01, 3.0, 3.0, *usual]) == []


def test_rounds_behind_a_run_count():
  assert _warned([60.0], behind=[5.0, None, 4.0]) == [1]
