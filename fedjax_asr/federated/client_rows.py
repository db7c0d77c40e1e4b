"""What clients keep, a row of bytes each, in files that outlast the process.

Copy on write: the row that a client has after round 7 is the file `<client>.7`,
and its row as of any later round is its file of the last round up to that. A
checkpoint of a round thus needs nothing but its number to find the rows that
went with it, and rows of rounds that are trained anew are simply dropped.
"""

import bisect
import os
import pathlib
import re
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

from fedjax_asr import config

Row = UInt8[np.ndarray, ' bytes']
_NAME = re.compile(r'(\d+)\.(\d+)')


class ClientRows:
  """Rows in a folder; only what is asked for is in memory.

  Whatever kills the process at whatever moment, the rows as of each round that
  was given to `sync`, and not left out by a later `prune`, are read as they
  were. A client that was never written takes no room. Threads may read and
  write rows of different clients at once.
  """

  def __init__(self, folder: pathlib.Path, num_bytes: int, round_index: int):
    """The rows as of a round; nothing is changed before `discard_later`."""
    self._folder = folder
    self._num_bytes = num_bytes
    self._synced = round_index
    # Of each client, ascending.
    self._versions: dict[int, list[int]] = {}
    self._later: list[pathlib.Path] = []
    self._written: set[pathlib.Path] = set()
    for path in folder.iterdir() if folder.is_dir() else ():
      match = _NAME.fullmatch(path.name)
      if match and int(match[2]) <= round_index:
        bisect.insort(
          self._versions.setdefault(int(match[1]), []), int(match[2])
        )
      elif match or path.suffix == '.part':
        self._later.append(path)

  def discard_later(self) -> None:
    """Rows of rounds that are trained anew, and halves of rows."""
    while self._later:
      self._later.pop().unlink()

  @property
  def clients(self) -> list[int]:
    """Who has a row."""
    return sorted(client for client, found in self._versions.items() if found)

  def room(self, client: int) -> Row:
    """Where the client's next row may be laid, for `write`."""
    del client
    return np.empty(self._num_bytes, np.uint8)

  def read(self, client: int) -> Row | None:
    """The newest row.

    Raises:
      UserError: the file is damaged.
    """
    versions = self._versions.get(client)
    if not versions:
      return None
    path = self._path(client, versions[-1])
    row = np.fromfile(path, np.uint8)
    if len(row) != self._num_bytes:
      raise config.UserError(
        f'{path} is damaged: {len(row)} bytes; want {self._num_bytes}.'
      )
    return row

  def write(self, client: int, round_index: int, row: Row) -> None:
    """The row is there whole or not at all."""
    self._folder.mkdir(parents=True, exist_ok=True)
    path = self._path(client, round_index)
    half = path.with_suffix('.part')
    row.tofile(half)
    half.replace(path)
    self._written.add(path)
    versions = self._versions.setdefault(client, [])
    # No checkpoint lies between the two.
    while versions and self._synced < versions[-1] < round_index:
      self._drop(client, versions.pop())
    versions.append(round_index)

  def sync(self, round_index: int) -> None:
    """On the disk itself when this returns, should the machine go down."""
    paths = sorted(self._written)
    for path in [*paths, *([self._folder] if paths else [])]:
      descriptor = os.open(path, os.O_RDONLY)
      try:
        os.fsync(descriptor)
      finally:
        os.close(descriptor)
    self._written.clear()
    self._synced = round_index

  def prune(self, rounds: Iterable[int]) -> None:
    """Removes what no round in `rounds`, and no round to come, reads."""
    rounds = list(rounds)
    for client, versions in self._versions.items():
      places = {bisect.bisect_right(versions, index) - 1 for index in rounds}
      places.add(len(versions) - 1)
      for place, version in enumerate(versions):
        if place not in places:
          self._drop(client, version)
      self._versions[client] = [versions[i] for i in sorted(places) if i >= 0]

  def _drop(self, client: int, round_index: int) -> None:
    path = self._path(client, round_index)
    self._written.discard(path)
    path.unlink()

  def _path(self, client: int, round_index: int) -> pathlib.Path:
    return self._folder / f'{client}.{round_index}'


class HeldRows:
  """The same with rows in memory; `sync` writes what changed.

  What `read` gives holds until the client's next `room`.
  """

  def __init__(self, files: ClientRows):
    self._files = files
    self._held: dict[int, Row] = {}
    # The round of each row that no file has.
    self._unwritten: dict[int, int] = {}

  def discard_later(self) -> None:
    self._files.discard_later()

  def room(self, client: int) -> Row:
    """The row that the client has, if it does: new memory is slow memory."""
    row = self._held.get(client)
    return self._files.room(client) if row is None else row

  def read(self, client: int) -> Row | None:
    if client not in self._held:
      row = self._files.read(client)
      if row is None:
        return None
      self._held[client] = row
    return self._held[client]

  def write(self, client: int, round_index: int, row: Row) -> None:
    self._held[client] = row
    self._unwritten[client] = round_index

  def sync(self, round_index: int) -> None:
    for client, changed in self._unwritten.items():
      self._files.write(client, changed, self._held[client])
    self._unwritten.clear()
    self._files.sync(round_index)

  def prune(self, rounds: Iterable[int]) -> None:
    self._files.prune(rounds)


Rows = ClientRows | HeldRows
