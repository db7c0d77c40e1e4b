"""Updates of a small DeepSpeech 2 whose convolutions can be inverted."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import quick

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.models import model

FEATURES = 8


def speech(seed, num_frames):
  """Frames that resemble the ones before, as speech does."""
  rng = np.random.default_rng(seed)
  walk = np.cumsum(rng.standard_normal((num_frames, FEATURES)), 0)
  frames = walk * 0.3 + 0.3 * rng.standard_normal((num_frames, FEATURES))
  return ((frames - frames.mean(0)) / frames.std(0)).astype(np.float32)


@functools.cache
def _model(norm, trains):
  cfg = config.ModelConfig(
    ds2=config.DeepSpeech2Config(
      conv_channels=(12, 48),
      conv_time_kernels=(5, 5),
      conv_frequency_kernels=(7, 5),
      conv_time_strides=(2, 1),
      conv_frequency_strides=(2, 2),
      num_recurrent_layers=1,
      recurrent_size=64,
      norm=norm,
      frozen_norm=not trains,
    )
  )
  acoustic = model.acoustic(cfg, FEATURES)
  return cfg, acoustic, *acoustic.init(jax.random.key(1))


@functools.cache
def observed(lengths, norm=config.Norm.LAYER, trains=False):
  """Of the gradient of an arbitrary function of the logits.

  Where it `trains`, batch norm goes by the batch's own moments.

  Returns the observation, the utterances and the frames of each.
  """
  cfg, acoustic, params, norm_state = _model(norm, trains)
  utterances = [speech(seed, length) for seed, length in enumerate(lengths)]
  longest = max(lengths)
  batch = jnp.stack(
    [np.pad(each, ((0, longest - len(each)), (0, 0))) for each in utterances]
  )
  num_frames = jnp.array(lengths)

  def loss(params):
    logits, num_outputs, moved = acoustic.apply(
      params, norm_state, batch, num_frames, train=trains
    )
    weights = jax.random.normal(jax.random.key(2), logits.shape)
    mask = jnp.arange(logits.shape[1]) < num_outputs[:, None]
    values = jax.nn.log_softmax(logits) * weights * mask[..., None]
    return values.sum(), moved

  update, moved = quick.jit(jax.grad(loss, has_aux=True))(params)
  seen = observation.Observation(
    update=update,
    params=params,
    norm_state=norm_state,
    acoustic=acoustic,
    model=cfg,
    features=config.FeaturesConfig(num_features=FEATURES, num_mels=FEATURES),
    client=config.ClientConfig(),
    observed=config.Observed.GRADIENT,
    num_steps=1,
    learning_rate=1.0,
    round=0,
    declared=observation.Declared(),
    norm_update=jax.tree.map(jnp.subtract, norm_state, moved),
  )
  front = quick.jit(functools.partial(acoustic.front, train=trains))
  values, num_outputs, _ = front(params, norm_state, batch, num_frames)
  frames = [
    np.asarray(each[:count], np.float64)
    for each, count in zip(values, num_outputs.tolist(), strict=True)
  ]
  return seen, utterances, frames


def unit(frames):
  return frames / np.linalg.norm(frames, axis=1, keepdims=True)
