"""Bytes and WER of codes, from the lines of runs."""

import communication
import pytest


def lines(wers, up=10_000_000):
  return [
    {
      'round': index,
      'communication/bytes_up': up,
      'communication/bytes_down': 2 * up,
      'communication/total_bytes_up': index * up,
      'eval/wer': wer,
    }
    for index, wer in enumerate(wers, start=1)
  ]


def row(name, wers, up=10_000_000):
  found = communication.traffic(lines(wers, up))
  return {'point': {'name': name}, 'final': {'eval/wer': wers[-1]}, **found}


def test_bytes_until_it_was_of_use_are_of_the_first_such_round():
  found = communication.traffic(lines([0.9, None, 0.2, 0.1]))
  assert found['useful_bytes_up'] == 30_000_000
  assert found['total_bytes_up'] == 40_000_000
  assert communication.traffic(lines([0.9]))['useful_bytes_up'] is None


def test_table_has_the_longest_messages_first():
  rows = [
    row('sign', [0.9, 0.5], 500_000),
    row('none', [0.9, 0.1]),
    row('none', [0.1, 0.1]),
  ]
  _, _, none, sign = communication.table(rows).splitlines()
  assert none.startswith('| none | 2 | 10 | 100.0% | 20 | 20 | 10.0%')
  assert none.endswith('| 15 (2 of 2) |')
  assert sign.startswith('| sign | 1 | 0.5 | 5.0% | 1 | 1 | 50.0%')
  assert sign.endswith('| never |')


def test_it_is_put_between_the_marks_of_a_page(tmp_path):
  page = tmp_path / 'page.md'
  page.write_text('a\n<!-- measured -->\nold\n<!-- /measured -->\nb\n')
  communication.put(page, 'new')
  communication.put(page, 'newer')
  assert page.read_text() == (
    'a\n<!-- measured -->\n\nnewer\n\n<!-- /measured -->\nb\n'
  )
  page.write_text('a\n')
  with pytest.raises(SystemExit, match='want a line'):
    communication.put(page, 'new')
