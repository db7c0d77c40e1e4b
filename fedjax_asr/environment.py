"""What a run is computed with: versions, devices, cores."""

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from typing import Any

from fedjax_asr import json_file

_PACKAGES = (
  'fedjax_asr',
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'orbax-checkpoint',
  'numpy',
  'librosa',
)
# What changes how XLA computes, or on how many threads (NPROC).
_VARIABLES = (
  'XLA_FLAGS',
  'NPROC',
  'JAX_PLATFORMS',
  'JAX_NUM_CPU_DEVICES',
  'JAX_DEFAULT_MATMUL_PRECISION',
  'JAX_ENABLE_X64',
)
_CORES = 'cpu_cores'


def versions() -> dict[str, Any]:
  """Versions, devices, cores, and the commit where the package is a checkout.

  `cpu_cores` are those that this process may use: as many threads compute on a
  CPU, and how many there are decides the order of sums.
  """
  # JAX takes a second to import, and flag errors must not wait for it.
  import jax

  return {
    'python': platform.python_version(),
    **{name: _version(name) for name in _PACKAGES},
    **_commit(),
    'devices': [device.device_kind for device in jax.devices()],
    _CORES: _num_cores(),
    'environment': {
      name: os.environ[name] for name in _VARIABLES if name in os.environ
    },
  }


def other_cores(records: list[dict[str, Any]]) -> str:
  """A note where the last of a run's records has another number of cores.

  '' where it has not, does not say, or no CPU computes.
  """
  import jax

  before, now = records[-1].get(_CORES) if records else None, _num_cores()
  if before in (None, now) or jax.default_backend() != 'cpu':
    return ''
  return (
    f'note: {now} CPU core(s) here, {before} before: sums are added in another '
    'order, so this run will not end, to the bit, as it would have there'
  )


def read(file: pathlib.Path) -> list[dict[str, Any]]:
  """The records of a `versions.json`; none where it is missing or damaged."""
  try:
    records = json.loads(file.read_text(encoding='utf-8'))
  except (FileNotFoundError, ValueError):
    return []
  return records if isinstance(records, list) else []


def record(file: pathlib.Path) -> None:
  """Adds this environment to a `versions.json`, unless it is the last there."""
  records, now = read(file), versions()
  if not records or records[-1] != now:
    json_file.write(file, [*records, now])


def _num_cores() -> int:
  # As XLA counts them; elsewhere than on Linux none can be taken away.
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _version(package: str) -> str | None:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return None


def _commit() -> dict[str, Any]:
  root = pathlib.Path(__file__).resolve().parent.parent
  # Installed in a virtual environment inside some other repository, the
  # package must not report that repository's commit.
  if not (root / '.git').exists():
    return {'commit': None, 'has_uncommitted_changes': None}
  return {
    'commit': _git(root, 'rev-parse', 'HEAD'),
    'has_uncommitted_changes': bool(
      _git(root, 'status', '--porcelain', '--untracked-files=no')
    ),
  }


def _git(root: pathlib.Path, *arguments: str) -> str | None:
  try:
    done = subprocess.run(
      ['git', '-C', str(root), *arguments],
      capture_output=True,
      text=True,
      timeout=10,
      check=True,
    )
  except (OSError, subprocess.SubprocessError):
    return None
  return done.stdout.strip() or None
