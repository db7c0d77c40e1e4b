"""The singular values that methods went by, as `spectra.json` keeps them."""

import json
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from fedjax_asr import json_file, run_error, run_files, whole_file
from fedjax_asr.attacks import subspace
from fedjax_asr.jobs import attack_methods

# Of one layer; a curve needs no more, and the file stays small.
MAX_VALUES = 256
# Around the rank none is left out.
_AROUND = 32

Record = dict[str, Any]


def records(
  victim: str, attempts: Sequence[attack_methods.Attempt]
) -> list[Record]:
  """One for each method and layer that a rank was looked for in.

  `places` are those of the `values` among all `of`, from 1 on; `noise` is null
  where no drop was found.
  """
  return [
    _record(victim, attempt.method.value, each)
    for attempt in attempts
    for each in attempt.spectra
  ]


def _record(victim: str, method: str, spectrum: subspace.Spectrum) -> Record:
  places = thinned(len(spectrum.values), spectrum.rank)
  return {
    'victim': victim,
    'method': method,
    'layer': spectrum.layer,
    'of': len(spectrum.values),
    'places': [place + 1 for place in places],
    'values': [float(f'{spectrum.values[place]:.4g}') for place in places],
    'rank': spectrum.rank,
    'noise': spectrum.noise or None,
    'threshold': spectrum.min_drop * spectrum.noise or None,
  }


def thinned(count: int, rank: int) -> list[int]:
  """Places of at most `MAX_VALUES`: the ends, all around the rank, and every
  so many of the others."""
  near = set(range(max(rank - _AROUND, 0), min(rank + _AROUND, count)))
  left = min(count, MAX_VALUES - len(near))
  return sorted(
    near | set(np.linspace(0, count - 1, left).astype(int).tolist())
  )


def resumed(
  files: run_files.RunFiles, victims: Collection[str]
) -> list[Record]:
  """Of victims that an earlier start had finished; none of old versions'.

  Raises:
    RunError: they are damaged.
  """
  if not files.spectra.is_file():
    return []
  found = json_file.read(files.spectra)
  try:
    return [record for record in found if record['victim'] in victims]
  except (KeyError, TypeError) as error:
    raise run_error.RunError(
      f'{files.spectra}: {error!r}; want the spectra of an attack, or the file '
      'removed.'
    ) from error


def write(files: run_files.RunFiles, spectra: Sequence[Record]) -> None:
  """Replaces `spectra.json`, a line each."""
  lines = ',\n'.join(json.dumps(record) for record in spectra)
  whole_file.replace_text(files.spectra, f'[{lines}]\n')
