"""The lines of clients.jsonl."""

import numpy as np
import pytest

from fedjax_asr import client_log, run_error
from fedjax_asr.federated import algorithm, client_report

NAMES = ['ann', 'bob', 'cy']
# Two devices, one block of two; one place is padding.
IDS = np.array([[[2, -1]], [[0, 1]]])


def reports():
  """Numbers that name their place."""
  shape = IDS.shape

  def numbered(start):
    return start + np.arange(4.0, dtype=np.float32).reshape(shape)

  return client_report.ClientReport(
    totals=algorithm.Totals(*[numbered(10 * i) for i in range(6)]),
    first_loss=np.float32([[[123.45678, 0]], [[np.nan, np.inf]]]),
    last_loss=numbered(1e-7),
    delta_norm=numbered(70),
    weight=numbered(80),
    cosine=numbered(90) / -97,
    was_clipped=np.array([[[True, True]], [[False, False]]]),
    is_broken=np.zeros(shape, bool),
  )


def test_a_column_has_an_entry_for_each_client_and_none_for_padding():
  columns = client_log.columns(NAMES, IDS, reports())
  assert columns['client'] == ['cy', 'ann', 'bob']
  assert columns['num_steps'] == [20, 22, 23]
  assert columns['was_clipped'] == [True, False, False]
  assert columns['cosine'] == [-0.92784, -0.94845, -0.95876]


def test_numbers_are_short_and_what_is_not_finite_is_null():
  columns = client_log.columns(NAMES, IDS, reports())
  assert columns['first_loss'] == [123.46, None, None]
  assert columns['last_loss'] == [1e-07, 2, 3]


def written(path, every_rounds, rounds, resume_after=None):
  log = client_log.ClientLog(path, every_rounds, resume_after)
  for index in rounds:
    log.write(index, NAMES, IDS, reports())
  log.close()


def test_every_so_many_rounds_are_kept(tmp_path):
  path = tmp_path / 'clients.jsonl'
  written(path, 3, range(1, 8))
  assert [line['round'] for line in client_log.read(path)] == [3, 6]


def test_a_run_that_goes_on_drops_what_comes_after_its_checkpoint(tmp_path):
  path = tmp_path / 'clients.jsonl'
  written(path, 1, range(1, 6))
  with path.open('a') as file:
    file.write('{"round": 6, "cl')
  written(path, 1, [4, 5], resume_after=3)
  assert [line['round'] for line in client_log.read(path)] == [1, 2, 3, 4, 5]


def test_never_leaves_no_file(tmp_path):
  path = tmp_path / 'clients.jsonl'
  written(path, 0, range(3))
  assert not path.exists()
  with pytest.raises(run_error.RunError, match='want the clients'):
    client_log.read(path)
