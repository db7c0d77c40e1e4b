"""TensorBoard event files of scalars."""

import contextlib
import pathlib
import time
from collections.abc import Mapping
from typing import Any


class ScalarEvents:
  """Writes scalars where TensorBoard reads them.

  In the caller's thread: tensorboardX's own writer has a thread that a full
  disk ends, after which its queue fills and the next scalar waits for ever.
  """

  def __init__(self, directory: pathlib.Path, first_round: int):
    """TensorBoard forgets what earlier files have from `first_round` on."""
    # Imported here: it brings protobuf, which readers of metrics do not need.
    from tensorboardX import event_file_writer

    directory.mkdir(parents=True, exist_ok=True)
    self._writer = event_file_writer.EventsWriter(
      str(directory / 'events'), filename_suffix=f'.{first_round}'
    )
    session = _messages().SessionLog
    start = session(status=session.START)
    self._write(first_round, session_log=start)

  def write(self, round_index: int, scalars: Mapping[str, float]) -> None:
    """Adds a round's scalars; raises OSError on a full disk."""
    from tensorboardX import summary

    for name, value in scalars.items():
      self._write(round_index, summary=summary.scalar(name, value))
    self._writer.flush()

  def close(self) -> None:
    # What could not be written was raised by `write`.
    with contextlib.suppress(OSError):
      self._writer.close()

  def _write(self, round_index: int, **content: Any) -> None:
    event = _messages().Event(
      wall_time=time.time(), step=round_index, **content
    )
    self._writer.write_event(event)


def _messages() -> Any:
  """Protobuf makes these classes at run time, unseen by type checkers."""
  from tensorboardX.proto import event_pb2

  return event_pb2
