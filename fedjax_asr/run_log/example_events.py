"""A TensorBoard event file of figures, sounds and texts."""

import contextlib
import io
import pathlib
import struct
import time
from collections.abc import Iterator
from typing import Any

import soundfile

from fedjax_asr import whole_file

# Of a PNG, where width and height are.
_PNG_SIZE = slice(16, 24)


class ExampleEvents:
  """Writes what belongs to one round, which TensorBoard shows as its step."""

  def __init__(self, file: io.BytesIO, round_index: int):
    self._file = file
    self._round = round_index
    self._write(file_version='brain.Event:2')

  def image(self, tag: str, png: bytes) -> None:
    """A figure, as the bytes of a PNG file."""
    width, height = struct.unpack('>II', png[_PNG_SIZE])
    messages = _summaries()
    image = messages.Summary.Image(
      height=height, width=width, colorspace=4, encoded_image_string=png
    )
    self._add(messages.Summary.Value(tag=tag, image=image))

  def sound(self, tag: str, encoded: bytes) -> None:
    """A recording of any format that soundfile reads; TensorBoard plays WAV."""
    samples, rate = soundfile.read(io.BytesIO(encoded), dtype='float32')
    wav = io.BytesIO()
    soundfile.write(wav, samples, rate, 'PCM_16', format='WAV')
    messages = _summaries()
    audio = messages.Summary.Audio(
      sample_rate=rate,
      num_channels=1,
      length_frames=len(samples),
      encoded_audio_string=wav.getvalue(),
      content_type='audio/wav',
    )
    self._add(messages.Summary.Value(tag=tag, audio=audio))

  def text(self, tag: str, content: str) -> None:
    """Markdown."""
    from tensorboardX import summary

    said = content.encode(errors='backslashreplace').decode()
    self._write(summary=summary.text(tag, said))

  def _add(self, value: Any) -> None:
    self._write(summary=_summaries().Summary(value=[value]))

  def _write(self, **content: Any) -> None:
    from tensorboardX import record_writer
    from tensorboardX.proto import event_pb2

    event: Any = event_pb2
    message = event.Event(wall_time=time.time(), step=self._round, **content)
    record = message.SerializeToString()
    length = struct.pack('<Q', len(record))
    for part in (length, record):
      checked = struct.pack('<I', record_writer.masked_crc32c(part))
      self._file.write(part + checked)


@contextlib.contextmanager
def replacing(path: pathlib.Path, round_index: int) -> Iterator[ExampleEvents]:
  """The one such file of a run: however often it is written, and wherever a
  run was killed, nothing is there twice. Where the block raises, the one
  before stays."""
  content = io.BytesIO()
  yield ExampleEvents(content, round_index)
  path.parent.mkdir(parents=True, exist_ok=True)
  whole_file.replace_bytes(path, content.getvalue())


def round_of(path: pathlib.Path) -> int | None:
  """That such a file belongs to; None where there is none."""
  from tensorboardX.proto import event_pb2

  event: Any = event_pb2
  try:
    with path.open('rb') as file:
      (length, _) = struct.unpack('<QI', file.read(12))
      return event.Event.FromString(file.read(length)).step
  except (OSError, struct.error):
    return None


def _summaries() -> Any:
  """Protobuf makes these classes at run time, unseen by type checkers."""
  from tensorboardX.proto import summary_pb2

  return summary_pb2
