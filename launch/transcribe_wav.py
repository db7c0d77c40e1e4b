"""Transcribes a recording by an exported run, without fedjax_asr.

  pip install jax flatbuffers numpy soundfile
  python transcribe_wav.py runs/ds2_fedavg/export recording.wav

The folder is what configs/export.py wrote. The recording is heard as a whole:
memory grows with its length.
"""

import json
import pathlib
import re
import sys

import jax
import jax.export
import numpy as np
import soundfile

BYTE = re.compile('<0x[0-9A-F]{2}>')
# Bytes may spell them, and no transcript has them.
SILENT = re.compile(r'[^\S ]|[\x00-\x1f\x7f-\x9f]')


def main(argv: list[str]) -> int:
  """The exit status: 0, or 2 for a mistake of the user."""
  if len(argv) != 3:
    print(__doc__, file=sys.stderr)
    return 2
  try:
    print(transcribed(pathlib.Path(argv[1]), argv[2]))
  except (OSError, ValueError, soundfile.SoundFileError) as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  return 0


def transcribed(folder: pathlib.Path, recording: str) -> str:
  """What was said.

  Raises:
    ValueError: the recording is empty, or has another sample rate.
  """
  described = json.loads((folder / 'forward.json').read_text('utf-8'))
  wanted = described['features']['sample_rate']
  samples, sample_rate = soundfile.read(recording, dtype='float32')
  if sample_rate != wanted or not len(samples):
    raise ValueError(
      f'{recording}: {len(samples)} samples at {sample_rate} Hz; want some, at '
      f'{wanted} Hz (`sox {recording} -r {wanted} out.wav`).'
    )
  if samples.ndim == 2:
    samples = samples.mean(axis=1)
  content = (folder / 'transcribe.stablehlo').read_bytes()
  program = jax.export.deserialize(bytearray(content))
  path, _, _ = program.call(samples[None], np.array([len(samples)], np.int32))
  alphabet, blank = described['alphabet'], described['blank']
  symbols = [alphabet[label] for label in np.asarray(path[0]) if label != blank]
  mark = described.get('word_start')
  return joined(symbols, mark) if mark else ''.join(symbols)


def joined(symbols: list[str], mark: str) -> str:
  """Parts of words: `mark` begins one, and `<0xC3>` is a byte of UTF-8."""
  said = b''.join(
    bytes.fromhex(each[3:5]).replace(b' ', b'\xff')
    if BYTE.fullmatch(each)
    else each.replace(mark, ' ').encode()
    for each in symbols
  ).decode('utf-8', 'replace')
  return SILENT.sub('\ufffd', said).removeprefix(' ')


if __name__ == '__main__':
  sys.exit(main(sys.argv))
