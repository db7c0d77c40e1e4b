"""Bytes of rounds, and in all, whatever interrupted the run."""

import numpy as np

from fedjax_asr.federated import cohort, systems, wire
from fedjax_asr.jobs import communication


def lost(count):
  nobody = np.zeros(0, int)
  return systems.Round(
    working=cohort.Working(nobody, nobody, nobody),
    start=0.0,
    end=1.0,
    num_lost=count,
  )


def test_who_is_lost_was_sent_the_model_and_sends_nothing():
  traffic = communication.Traffic(wire.Sizes(up=10, down=100))
  assert traffic.of_round(3, None) == {
    'communication/bytes_up': 30,
    'communication/bytes_down': 300,
    'communication/total_bytes_up': 30,
    'communication/total_bytes_down': 300,
  }
  assert traffic.of_round(0, lost(2)) == {
    'communication/bytes_up': 0,
    'communication/bytes_down': 200,
    'communication/total_bytes_up': 30,
    'communication/total_bytes_down': 500,
  }


def test_totals_go_on_behind_the_lines_of_a_run():
  """Also where another code was used before, and lines that do not say."""
  before = communication.Traffic(wire.Sizes(up=7, down=70))
  lines = [{'round': 1}, *({'round': 2} | before.of_round(2, None),) * 2]
  after = communication.Traffic(wire.Sizes(up=1, down=1), lines)
  found = after.of_round(5, None)
  assert found['communication/total_bytes_up'] == 2 * 14 + 5
  assert found['communication/total_bytes_down'] == 2 * 140 + 5
