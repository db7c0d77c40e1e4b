"""Rows as of a round, in files and in memory."""

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.federated import client_rows


def row(value):
  return np.full(3, value, np.uint8)


def opened(folder, round_index):
  return client_rows.ClientRows(folder, 3, round_index)


def values(rows, clients=(0, 1, 2)):
  read = [rows.read(client) for client in clients]
  return [None if each is None else int(each[0]) for each in read]


def names(folder):
  return sorted(path.name for path in folder.iterdir())


KINDS = [lambda rows: rows, client_rows.HeldRows]


@pytest.mark.parametrize('kind', KINDS)
def test_rows_are_found_as_of_each_round_that_was_synced(kind, tmp_path):
  rows = kind(opened(tmp_path, 0))
  rows.write(0, 1, row(10))
  rows.write(1, 2, row(21))
  rows.sync(2)
  rows.write(0, 3, row(30))
  rows.write(0, 4, row(40))
  rows.write(2, 4, row(42))
  rows.sync(4)
  rows.write(1, 5, row(51))
  assert values(rows) == [40, 51, 42]
  assert values(opened(tmp_path, 2)) == [10, 21, None]
  assert values(opened(tmp_path, 4)) == [40, 21, 42]


def test_a_row_between_two_checkpoints_takes_no_room(tmp_path):
  rows = opened(tmp_path, 0)
  for index in (1, 2, 3):
    rows.write(0, index, row(index))
  rows.sync(3)
  rows.write(0, 4, row(4))
  rows.write(0, 5, row(5))
  assert names(tmp_path) == ['0.3', '0.5']


@pytest.mark.parametrize('kind', KINDS)
def test_pruned_are_rows_that_no_round_reads(kind, tmp_path):
  rows = kind(opened(tmp_path, 0))
  for index in (1, 2, 3, 4, 5):
    rows.write(0, index, row(index))
    if index == 2:
      rows.write(1, index, row(index))
    rows.sync(index)
  rows.prune([2, 4])
  assert names(tmp_path) == ['0.2', '0.4', '0.5', '1.2']
  assert values(opened(tmp_path, 2), (0, 1)) == [2, 2]
  assert values(opened(tmp_path, 4), (0, 1)) == [4, 2]


@pytest.mark.parametrize('kind', KINDS)
def test_rows_of_later_rounds_are_dropped_where_training_goes_on(
  kind, tmp_path
):
  rows = kind(opened(tmp_path, 0))
  rows.write(0, 2, row(2))
  rows.sync(2)
  rows.write(0, 3, row(3))
  rows.write(1, 3, row(3))
  rows.sync(3)
  (tmp_path / '1.part').write_bytes(b'half')
  rows = kind(opened(tmp_path, 2))
  assert names(tmp_path) == ['0.2', '0.3', '1.3', '1.part']
  rows.discard_later()
  assert names(tmp_path) == ['0.2']
  assert values(rows) == [2, None, None]
  rows.write(1, 3, row(31))
  assert values(rows) == [2, 31, None]


def test_clients_and_rounds_are_told_apart_as_numbers(tmp_path):
  rows = opened(tmp_path, 0)
  for index in (9, 10, 11):
    rows.write(1, index, row(index))
    rows.sync(index)
  assert values(opened(tmp_path, 10), (1, 11)) == [10, None]


def test_a_damaged_row_is_named(tmp_path):
  rows = opened(tmp_path, 0)
  rows.write(0, 1, row(1))
  (tmp_path / '0.1').write_bytes(b'ab')
  with pytest.raises(config.UserError) as caught:
    rows.read(0)
  assert str(caught.value) == (
    f'{tmp_path / "0.1"} is damaged: 2 bytes; want 3.'
  )


def test_nothing_is_made_before_something_is_written(tmp_path):
  rows = opened(tmp_path / 'absent', 0)
  assert rows.read(0) is None
  rows.sync(1)
  rows.prune([1])
  assert not (tmp_path / 'absent').exists()
