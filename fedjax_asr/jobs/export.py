"""Writes the model of a finished run as portable programs.

`forward.stablehlo` holds the model with its weights, for any number of
utterances of any length, on CPU and CUDA; JAX alone loads it:

  program = jax.export.deserialize(bytearray(open(path, 'rb').read()))
  log_probs, num_outputs = program.call(features, num_frames)

`transcribe.stablehlo` has the front end inside, too:

  path, log_probs, num_outputs = program.call(waveforms, num_samples)

What is fed, how features are computed and what comes out is described in
`forward.json`. launch/transcribe_wav.py is an example.
"""

import os
from typing import Any

import jax
import numpy as np
import rich.console
from jax import export

from fedjax_asr import (
  config,
  environment,
  json_file,
  run_directory,
  run_error,
  run_files,
  saved_run,
  streams,
)
from fedjax_asr.decoding import long_form
from fedjax_asr.jobs import disk_errors, exported_program, preparation
from fedjax_asr.speech import alphabets, analysis

# Between the program, read back, and the model that it was made of.
_TOLERANCE = 1e-4


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Leaves `forward.stablehlo`, `transcribe.stablehlo` and `forward.json`.

  The programs are read back and compared with the model before they are there.
  Of a run on precomputed features there is no `transcribe.stablehlo`.

  Raises:
    UserError: of any room; the run itself is only read.
  """
  _check_package()
  saved = saved_run.load(cfg.export.run, 'export.run', cfg.export.round)
  saved_run.check_apart(saved, workdir)
  with run_directory.open_run(
    workdir, cfg, allow_config_change=allow_config_change
  ) as directory:
    num_steps = 4 if _has_audio(saved) else 2
    with preparation.reported(rich.console.Console(), 'exporting') as told:
      told(0, num_steps)
      program = exported_program.of_features(saved)
      serialized = {'forward': bytes(program.serialize())}
      told(1, num_steps)
      difference = _difference(serialized['forward'], saved)
      if _has_audio(saved):
        told(2, num_steps)
        heard = bytes(exported_program.of_waveforms(saved).serialize())
        told(3, num_steps)
        difference = max(difference, _heard_difference(heard, saved))
        serialized['transcribe'] = heard
    directory.begin()
    with disk_errors.explained(directory.path):
      _write(directory, serialized, described(saved, program))
  files = [
    f'{directory.program(name).name} ({len(content) / 1e6:.1f} MB)'
    for name, content in serialized.items()
  ]
  print(
    f'round {saved.round} of {saved.path}: {", ".join(files)} and '
    f'{directory.program_description.name} in {directory.path}; read back, log '
    f'probabilities differ by {difference:.1e} at most'
  )


def _has_audio(saved: saved_run.SavedRun) -> bool:
  return saved.config.features.kind is not config.FeatureKind.PRECOMPUTED


def described(
  saved: saved_run.SavedRun, program: export.Exported
) -> dict[str, Any]:
  """All that a caller needs who has not this package."""
  statistics = saved.statistics
  vocab = saved.alphabet.size
  num_features = saved.config.features.num_features
  result = {
    'run': str(saved.path),
    'round': saved.round,
    'architecture': saved.config.model.architecture.value,
    'inputs': {
      'features': f'float32[batch, frames, {num_features}], normalised',
      'num_frames': 'int32[batch], frames of each utterance; those behind it '
      'change nothing',
    },
    'outputs': {
      'log_probs': f'float32[batch, outputs, {vocab}], natural logarithms; '
      'uniform behind num_outputs',
      'num_outputs': 'int32[batch]',
    },
    'frames_per_output': long_form.time_stride(saved.acoustic),
    'alphabet': _symbols(saved.alphabet),
    'blank': alphabets.BLANK,
    'word_start': saved.alphabet.word_start,
    'features': _analysis(saved.config.features),
    'statistics': statistics
    and {name: each.tolist() for name, each in statistics._asdict().items()},
    'platforms': list(program.platforms),
    'calling_convention_version': program.calling_convention_version,
    'versions': environment.versions(),
  }
  if _has_audio(saved):
    result['analysis'] = analysis.described(saved.config.features)
    result['transcribe'] = _transcribing(saved.config.features)
  return result


def _symbols(alphabet: alphabets.Alphabet) -> str | list[str]:
  """By label: a string where each is one character."""
  if alphabet.kind is alphabets.Kind.ENGLISH:
    return ''.join(alphabet.symbols)
  return list(alphabet.symbols)


def _transcribing(features: config.FeaturesConfig) -> dict[str, Any]:
  """What `transcribe.stablehlo` is fed, and what comes out."""
  return {
    'inputs': {
      'waveforms': 'float32[batch, samples], mono, full scale 1, '
      f'{features.sample_rate} Hz',
      'num_samples': 'int32[batch], 1 or more of each utterance; those behind '
      'it change nothing',
    },
    'outputs': {
      'path': 'int32[batch, outputs], greedy decoding: indices into the '
      'alphabet where a label starts, blank elsewhere; the labels that are no '
      'blanks, in order, are the text (with a word_start, <0x00> to <0xFF> '
      'are bytes of UTF-8)',
      'log_probs': 'as above',
      'num_outputs': 'int32[batch]',
    },
  }


def _analysis(features: config.FeaturesConfig) -> dict[str, Any]:
  """How audio becomes features, or all that is known of precomputed ones."""
  fields = config.as_dict(features)
  if features.kind is not config.FeatureKind.PRECOMPUTED:
    return fields
  known = ('kind', 'num_features', 'hop_ms', 'normalization')
  return {name: fields[name] for name in known}


def _check_package() -> None:
  try:
    import flatbuffers  # noqa: F401  jax.export serialises with it.
  except ImportError as error:
    raise run_error.RunError(
      'export needs the package flatbuffers; `pip install flatbuffers`.'
    ) from error


def _difference(serialized: bytes, saved: saved_run.SavedRun) -> float:
  """The largest between program and model, on noise of two lengths.

  Raises:
    RunError: it is more than rounding.
  """
  num_features = saved.config.features.num_features
  rng = streams.rng(saved.config.seed, streams.Stream.EXPORT_PROBE, 0)
  features = rng.normal(size=(2, 96, num_features)).astype(np.float32)
  num_frames = np.array([96, 61], np.int32)
  program = export.deserialize(bytearray(serialized))
  got, _ = program.call(features, num_frames)
  want, _ = jax.jit(exported_program.forward(saved))(features, num_frames)
  return _checked(saved, got, want)


def _heard_difference(serialized: bytes, saved: saved_run.SavedRun) -> float:
  """As `_difference`, of waveforms; features are held to NumPy's by tests."""
  rng = streams.rng(saved.config.seed, streams.Stream.EXPORT_PROBE, 1)
  sample_rate = saved.config.features.sample_rate
  waveforms = 0.1 * rng.normal(size=(2, sample_rate)).astype(np.float32)
  num_samples = np.array([sample_rate, sample_rate * 2 // 3], np.int32)
  program = export.deserialize(bytearray(serialized))
  _, got, _ = program.call(waveforms, num_samples)
  with jax.default_matmul_precision('highest'):
    _, want, _ = jax.jit(exported_program.listen(saved))(waveforms, num_samples)
  return _checked(saved, got, want)


def _checked(saved: saved_run.SavedRun, got: Any, want: Any) -> float:
  difference = float(np.abs(np.asarray(got) - np.asarray(want)).max())
  if not difference <= _TOLERANCE:
    raise run_error.RunError(
      f'{saved.path}: the program that was exported differs from the model by '
      f'{difference:g}; want at most {_TOLERANCE:g}. Did training diverge?'
    )
  return difference


def _write(
  files: run_files.RunFiles,
  serialized: dict[str, bytes],
  description: dict[str, Any],
) -> None:
  """Programs under their names only when they are whole."""
  for name, content in serialized.items():
    program = files.program(name)
    temporary = program.with_name(f'.{program.name}.tmp')
    temporary.write_bytes(content)
    temporary.replace(program)
  json_file.write(files.program_description, description)
