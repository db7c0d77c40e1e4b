"""The median of an order statistic in which failures are the worst."""

import math

import pytest

from fedjax_asr.attacks.measure import score_summary


@pytest.mark.parametrize(
  ('values', 'wanted'),
  [
    ([3.0, 1.0, 2.0], 2.0),
    ([None, 1.0, 2.0], 1.0),
    ([None, 1.0, 2.0, 4.0], 1.5),
    ([None, -5.0, None, 4.0], None),
    ([None, None, 4.0], None),
    ([None], None),
  ],
)
def test_median_has_failures_inside(values, wanted):
  assert score_summary.median(values) == wanted


def test_median_of_errors_has_failures_above_all():
  assert score_summary.median([None, 1.0, 2.0], math.inf) == 2.0


def test_zeros_of_a_refusal_are_read_as_none():
  record = {'refused': 'why', 'num_frames_found': 0, 'snr_db': 0.0, 'cer': 1.0}
  read = score_summary.read(record)
  assert (read['snr_db'], read['cer']) == (None, None)
  found = record | {'refused': '', 'num_frames_found': 3}
  assert score_summary.read(found) == found


def test_refusal_is_shown_as_one():
  assert score_summary.shown(1.25, '{:.1f} dB') == '1.2 dB'
  assert score_summary.shown(None, '{:.1f} dB') == 'refused'
