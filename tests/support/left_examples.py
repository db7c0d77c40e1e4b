"""Examples as the end of the job `train` leaves them, without training."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from fedjax_asr import run_files
from fedjax_asr.speech import alphabets

_RATE = 16000


def example(
  role: str, reference: str, hypothesis: str, **others: Any
) -> dict[str, Any]:
  """A line of `examples.json`; its rates are made up."""
  return {
    'utterance': f'u/{role}',
    'speaker': 's',
    'group': 'heldout_speakers',
    'reference': reference,
    'hypothesis': hypothesis,
    'wer': 0.5,
    'cer': 0.25,
    'seconds': 2.0,
    'audio': None,
    'role': role,
    **others,
  }


def _log_posteriors(path: np.ndarray, size: int) -> np.ndarray:
  """That give each symbol of a path 0.9."""
  rows = np.full((len(path), size), 0.1 / (size - 1))
  rows[np.arange(len(path)), path] = 0.9
  return np.log(rows)


def write(
  path: pathlib.Path,
  examples: Sequence[dict[str, Any]],
  alphabet: alphabets.Alphabet = alphabets.ENGLISH,
) -> None:
  """Noise in which each hypothesis is heard, two outputs a symbol."""
  files = run_files.RunFiles(path)
  files.examples.mkdir()
  files.example_records.write_text(json.dumps(examples))
  rng = np.random.default_rng(0)
  with h5py.File(files.example_arrays, 'w') as file:
    for each in examples:
      group = file.create_group(each['role'])
      if each['audio']:
        waveform = rng.normal(0, 0.1, 2 * _RATE)
        samples = group.create_dataset('waveform', data=waveform)
        samples.attrs['sample_rate'] = _RATE
      features = rng.normal(size=(200, 8))
      frames = group.create_dataset('features', data=features)
      frames.attrs['seconds'] = 0.01
      labels = alphabet.encode(each['hypothesis'])
      symbols = np.stack([labels, 0 * labels], 1).ravel()
      rows = _log_posteriors(np.append(symbols, [0] * 4), alphabet.size)
      outputs = group.create_dataset('log_posteriors', data=rows)
      outputs.attrs['seconds'] = 0.04
