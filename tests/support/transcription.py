"""Either model in NumPy, as the papers have it; evaluation mode."""

import deepspeech1_in_numpy
import deepspeech2_in_numpy
import jax
import numpy as np

from fedjax_asr import config


def logits(cfg: config.ModelConfig, params, norm_state, features):
  """[..., outputs, vocab] of one utterance's [frames, features]."""
  if cfg.architecture is config.Architecture.DS1:
    return deepspeech1_in_numpy.logits(
      params,
      features,
      cell=str(cfg.ds1.cell),
      context_frames=cfg.ds1.context_frames,
      time_stride=cfg.ds1.time_stride,
    )
  layers = cfg.ds2
  strides = zip(
    layers.conv_time_strides, layers.conv_frequency_strides, strict=True
  )
  return deepspeech2_in_numpy.logits(
    params,
    norm_state,
    features,
    cell=str(layers.cell),
    strides=list(strides),
    num_groups=(
      layers.num_norm_groups if layers.norm is config.Norm.GROUP else 1
    ),
  )


def in_float64(tree):
  return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)
