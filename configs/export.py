"""The forward pass of a finished run as a program that JAX alone loads.

  python -m fedjax_asr.main --config=configs/export.py \\
      --config.export.run=runs/ds2_fedavg

Without that flag the run is runs/ds2_fedavg. Its directory gets a folder
`export` (or give --workdir) with forward.stablehlo, which holds the weights
and runs on CPU and CUDA, transcribe.stablehlo, which hears waveforms, and
forward.json: shapes, alphabet, how features are computed and their statistics.
It needs the package flatbuffers; launch/transcribe_wav.py is an example.

  program = jax.export.deserialize(bytearray(open(path, 'rb').read()))
  log_probs, num_outputs = program.call(features, num_frames)

with features [batch, frames, features] in float32, normalised, and num_frames
[batch] in int32, of any sizes.
"""

from fedjax_asr import config, config_file


def get_config(variant: str = '') -> config.Config:
  """The config, for flags to override; there are no variants."""
  return config_file.chosen(variant, {'': _default})()


def _default() -> config.Config:
  return config.Config(
    job=config.Job.EXPORT,
    name='export',
    export=config.ExportConfig(run='runs/ds2_fedavg'),
  )
