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


def test_warning_names_as_many_rounds_as_there_were():
  watch = divergence.LossWatch([5.0])
  assert 'over 10 times 5.000, the lowest mean of 1 round so' in watch.warning(
    60.0
  )
  watch = divergence.LossWatch([5.0, 4.0, 3.0])
  assert '4.000, the lowest mean of 3 rounds so far' in watch.warning(60.0)
  watch = divergence.LossWatch([5.0] * 8 + [3.0] * 10 + [6.0])
  assert '3.000, the lowest mean of 10 rounds so far' in watch.warning(60.0)


def test_large_losses_are_powers_of_ten():
  watch = divergence.LossWatch([5.0])
  assert 'loss 5.72e+32 is over 10 times 5.000,' in watch.warning(5.72e32)


def test_loss_that_ends_high_is_said_in_the_end():
  watch = divergence.LossWatch([5.0, 60.0, 5.72e32])
  assert watch.at_end() == (
    'warning: the loss ended at 5.72e+32, over 10 times 5.000, the lowest mean '
    'of 1 round: training may have diverged'
  )


def test_loss_that_fell_again_is_not_said_in_the_end():
  assert divergence.LossWatch([5.0, 60.0, 6.0]).at_end() == ''
  assert divergence.LossWatch([]).at_end() == ''
