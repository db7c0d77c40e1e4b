"""Writes the forward pass of a finished run as a portable program.

`forward.stablehlo` holds the model with its weights, for any number of
utterances of any length, on CPU and CUDA; JAX alone loads it:

  program = jax.export.deserialize(bytearray(open(path, 'rb').read()))
  log_probs, num_outputs = program.call(features, num_frames)

What is fed and what comes out is described in `forward.json`.
"""

import json
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Float, Int

from fedjax_asr import config, environment, run_directory, saved_run
from fedjax_asr.jobs import disk_errors
from fedjax_asr.models import long_form
from fedjax_asr.speech import text

PLATFORMS = ('cpu', 'cuda')
# Between the program, read back, and the model that it was made of.
_TOLERANCE = 1e-4


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Leaves `forward.stablehlo` and `forward.json` in the work directory.

  The program is read back and compared with the model before it is there.

  Raises:
    UserError: of any room; the run itself is only read.
  """
  _check_package()
  saved = saved_run.load(cfg.export.run, 'export.run', cfg.export.round)
  saved_run.check_apart(saved, workdir)
  with run_directory.open_run(
    workdir, cfg, allow_config_change=allow_config_change
  ) as directory:
    program = exported(saved)
    serialized = bytes(program.serialize())
    difference = _difference(serialized, saved)
    directory.begin()
    with disk_errors.explained(directory.path):
      _write(directory.path, serialized, described(saved, program))
  print(
    f'round {saved.round} of {saved.path}: forward.stablehlo '
    f'({len(serialized) / 1e6:.1f} MB) and forward.json in {directory.path}; '
    f'read back, log probabilities differ by {difference:.1e} at most'
  )


def exported(saved: saved_run.SavedRun) -> export.Exported:
  """(features, num_frames) -> (log_probs, num_outputs), weights inside."""
  batch, frames = export.symbolic_shape('batch, frames')
  num_features = saved.config.features.num_features
  # In the program for good: a GPU would round the operands of products to
  # TF32, and log probabilities would differ by 0.01.
  with jax.default_matmul_precision('highest'):
    return export.export(jax.jit(_forward(saved)), platforms=PLATFORMS)(
      jax.ShapeDtypeStruct((batch, frames, num_features), np.float32),
      jax.ShapeDtypeStruct((batch,), np.int32),
    )


def _forward(saved: saved_run.SavedRun):
  stride = long_form.time_stride(saved.acoustic)

  def forward(
    features: Float[Array, 'batch frames features'],
    num_frames: Int[Array, ' batch'],
  ) -> tuple[Float[Array, 'batch outputs vocab'], Int[Array, ' batch']]:
    # Whole strides, whose number is all that the sizes of layers then depend
    # on: else JAX cannot compare them while the number of frames is a symbol.
    # A gather, because a pad would be such a comparison.
    frames = features.shape[1]
    places = jnp.arange((frames + stride - 1) // stride * stride)
    whole = features[:, jnp.minimum(places, frames - 1)]
    logits, num_outputs, _ = saved.acoustic.apply(
      saved.params, saved.norm_state, whole, num_frames, train=False
    )
    return jax.nn.log_softmax(logits), num_outputs

  return forward


def described(
  saved: saved_run.SavedRun, program: export.Exported
) -> dict[str, Any]:
  """All that a caller needs who has not this package."""
  statistics = saved.statistics
  vocab = len(text.ALPHABET)
  num_features = saved.config.features.num_features
  return {
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
    'alphabet': text.ALPHABET,
    'blank': text.BLANK,
    'features': _analysis(saved.config.features),
    'statistics': statistics
    and {name: each.tolist() for name, each in statistics._asdict().items()},
    'platforms': list(program.platforms),
    'calling_convention_version': program.calling_convention_version,
    'versions': environment.versions(),
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
    raise run_directory.RunError(
      'export needs the package flatbuffers; `pip install flatbuffers`.'
    ) from error


def _difference(serialized: bytes, saved: saved_run.SavedRun) -> float:
  """The largest between program and model, on noise of two lengths.

  Raises:
    RunError: it is more than rounding.
  """
  num_features = saved.config.features.num_features
  rng = np.random.default_rng(0)
  features = rng.normal(size=(2, 96, num_features)).astype(np.float32)
  num_frames = np.array([96, 61], np.int32)
  program = export.deserialize(bytearray(serialized))
  got, _ = program.call(features, num_frames)
  want, _ = jax.jit(_forward(saved))(features, num_frames)
  difference = float(np.abs(np.asarray(got) - np.asarray(want)).max())
  if not difference <= _TOLERANCE:
    raise run_directory.RunError(
      f'{saved.path}: the program that was exported differs from the model by '
      f'{difference:g}; want at most {_TOLERANCE:g}. Did training diverge?'
    )
  return difference


def _write(
  folder: pathlib.Path, serialized: bytes, description: dict[str, Any]
) -> None:
  """The program under its name only when it is whole."""
  temporary = folder / '.forward.stablehlo.tmp'
  temporary.write_bytes(serialized)
  temporary.replace(folder / 'forward.stablehlo')
  run_directory.replace_text(
    folder / 'forward.json', json.dumps(description, indent=2) + '\n'
  )
