"""Whatever moment a process is killed at, its rows are those of its rounds.

Every change of a file is counted, and a run in miniature is killed before and
after each of them in turn, then started again; once more while it recovers.
"""

import contextlib
import itertools
import pathlib

import numpy as np
import pytest

from fedjax_asr.federated import client_rows

NUM_CLIENTS, NUM_ROUNDS, EVERY, KEPT = 5, 9, 3, 2


class Killed(BaseException):
  """As nothing catches it."""


class Disk:
  """Counts what changes files; raises `Killed` around the `last`-th change."""

  def __init__(self, monkeypatch):
    self.left = None
    self.is_after = False
    self.changes = 0
    for name in ('replace', 'unlink'):
      monkeypatch.setattr(
        pathlib.Path, name, self.counted(getattr(pathlib.Path, name))
      )

  def counted(self, change):
    def changed(path, *arguments):
      self.changes += 1
      is_last = self.left == self.changes
      if is_last and not self.is_after:
        if path.suffix == '.part':
          path.write_bytes(path.read_bytes()[:1])
        raise Killed
      change(path, *arguments)
      if is_last:
        raise Killed

    return changed

  def kill_at(self, change, is_after):
    self.left, self.is_after, self.changes = change, is_after, 0


class Run:
  """A server of one number, whose checkpoints outlast it; a row, too."""

  def __init__(self, folder, kind):
    self.folder, self.kind = folder, kind
    self.checkpoints = {0: 1}

  def go_on(self):
    first = max(self.checkpoints)
    server = self.checkpoints[first]
    rows = self.kind(client_rows.ClientRows(self.folder, 2, first))
    rows.discard_later()
    for index in range(first + 1, NUM_ROUNDS + 1):
      server = self.round(rows, index, server)
      if index % EVERY == 0:
        rows.sync(index)
        self.checkpoints[index] = server
        for old in sorted(self.checkpoints)[:-KEPT]:
          del self.checkpoints[old]
        rows.prune(self.checkpoints)

  def round(self, rows, index, server):
    rng = np.random.default_rng(index)
    for client in rng.choice(NUM_CLIENTS, 2, replace=False):
      before = rows.read(int(client))
      value = server if before is None else int(before[0])
      value = (3 * value + index + server) % 251
      rows.write(int(client), index, np.array([value, index], np.uint8))
      server = (server + value) % 251
    return server

  def outcome(self):
    """By checkpoint: the server's, and everybody's row."""
    found = {}
    for index, server in self.checkpoints.items():
      rows = client_rows.ClientRows(self.folder, 2, index)
      read = [rows.read(client) for client in range(NUM_CLIENTS)]
      found[index] = (
        server,
        [row if row is None else row.tolist() for row in read],
      )
    return found


@pytest.mark.parametrize('kind', [lambda rows: rows, client_rows.HeldRows])
def test_a_run_killed_around_any_change_ends_as_if_it_never_was(
  kind, tmp_path, monkeypatch
):
  disk = Disk(monkeypatch)
  whole = Run(tmp_path / 'whole', kind)
  whole.go_on()
  num_changes = disk.changes
  assert num_changes > 10
  folders = (tmp_path / str(index) for index in itertools.count())
  for change in range(1, num_changes + 1):
    for is_after, again in itertools.product((False, True), (1, 2, None)):
      run = Run(next(folders), kind)
      disk.kill_at(change, is_after)
      with pytest.raises(Killed):
        run.go_on()
      if again is not None:
        disk.kill_at(again, is_after)
        with contextlib.suppress(Killed):
          run.go_on()
      disk.kill_at(None, False)
      run.go_on()
      assert run.outcome() == whole.outcome()
