"""A small one-way model that has not been trained, at a thousand hertz."""

import functools

import derivatives
import jax

from fedjax_asr import config
from fedjax_asr.models import model


def run_config():
  cfg = config.Config()
  cfg.features = config.FeaturesConfig(
    sample_rate=1000,
    fft_size=32,
    num_features=6,
    num_mels=6,
    high_hz=500.0,
    normalization=config.Normalization.RUNNING,
  )
  cfg.model.ds2 = config.DeepSpeech2Config(
    conv_channels=(3, 2),
    conv_time_kernels=(5, 3),
    conv_frequency_kernels=(3, 3),
    conv_time_strides=(2, 2),
    conv_frequency_strides=(2, 1),
    num_recurrent_layers=1,
    recurrent_size=6,
    bidirectional=False,
    lookahead=3,
  )
  return cfg


@functools.cache
def trained():
  """A model whose likeliest symbols are of many kinds."""
  acoustic = model.acoustic(run_config().model, 6)
  shapes = jax.eval_shape(acoustic.init, jax.random.key(0))
  return acoustic, *derivatives.direction_like(shapes)
