"""`Model(init, apply)`: what training and attacks know of an architecture."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from fedjax_asr import config
from fedjax_asr.models import convolution, ds1, ds2
from fedjax_asr.speech import alphabets

Params = dict[str, Any]
NormState = dict[str, Any]


class Model(NamedTuple):
  """Pure functions of an acoustic model.

  init(key) -> (params, norm_state)
  apply(params, norm_state, features [batch, frames, features],
    num_frames [batch], *, train, key) -> (logits [batch, outputs, vocab],
    num_output_frames [batch], norm_state)
  num_output_frames(num_frames) -> frames of logits, for ints and arrays
  front: as `apply`, but gives what the first recurrence of a DeepSpeech 2 is
    given [batch, outputs, units] instead of logits, in float32 whatever the
    model's dtype; None for others
  alphabet: what the logits' last axis means
  """

  init: Callable[[jax.Array], tuple[Params, NormState]]
  apply: Callable[..., tuple[jax.Array, jax.Array, NormState]]
  num_output_frames: Callable[[Any], Any]
  front: Callable[..., tuple[jax.Array, jax.Array, NormState]] | None = None
  alphabet: alphabets.Alphabet = alphabets.ENGLISH


def acoustic(
  cfg: config.ModelConfig,
  num_features: int,
  alphabet: alphabets.Alphabet = alphabets.ENGLISH,
  smoothing: float = 0.0,
) -> Model:
  """The configured architecture over an alphabet.

  `smoothing` is the width over which the kinks of clipped ReLUs are rounded
  off, for an attack that wants a smooth gradient; models are without.
  """
  match cfg.architecture:
    case config.Architecture.DS1:
      return deepspeech1(cfg.ds1, num_features, alphabet, smoothing)
    case config.Architecture.DS2:
      return deepspeech2(cfg.ds2, num_features, alphabet, smoothing)


def deepspeech1(
  cfg: config.DeepSpeech1Config,
  num_features: int,
  alphabet: alphabets.Alphabet = alphabets.ENGLISH,
  smoothing: float = 0.0,
) -> Model:
  """DeepSpeech 1 over an alphabet."""
  module = ds1.DeepSpeech1(cfg, alphabet.size, smoothing)
  pure = _pure(module, num_features, (cfg.time_stride,))
  return pure._replace(alphabet=alphabet)


def deepspeech2(
  cfg: config.DeepSpeech2Config,
  num_features: int,
  alphabet: alphabets.Alphabet = alphabets.ENGLISH,
  smoothing: float = 0.0,
) -> Model:
  """DeepSpeech 2 over an alphabet."""
  module = ds2.DeepSpeech2(cfg, alphabet.size, smoothing)
  # In float32: what inverts it differentiates forwards too (`product.dense`).
  exact = dataclasses.replace(cfg, dtype=config.Dtype.FLOAT32)
  front = ds2.Front(exact, alphabet.size, smoothing)
  pure = _pure(module, num_features, cfg.conv_time_strides)
  return pure._replace(front=_applied(front), alphabet=alphabet)


def _pure(
  module: nn.Module, num_features: int, time_strides: tuple[int, ...]
) -> Model:
  def init(key):
    frames = jnp.zeros((1, 1, num_features))
    variables: Any = module.init(
      key, frames, jnp.ones(1, jnp.int32), train=False
    )
    return variables['params'], variables.get('norm_state', {})

  return Model(init, _applied(module), _frames_after(time_strides))


def num_output_frames(cfg: config.ModelConfig) -> Callable[[Any], Any]:
  """As of the `Model`, of which it is all that needs no alphabet."""
  match cfg.architecture:
    case config.Architecture.DS1:
      return _frames_after((cfg.ds1.time_stride,))
    case config.Architecture.DS2:
      return _frames_after(cfg.ds2.conv_time_strides)


def _frames_after(time_strides: tuple[int, ...]) -> Callable[[Any], Any]:
  def num_output_frames(num_frames):
    return convolution.frames_after(num_frames, time_strides)

  return num_output_frames


def _applied(module: nn.Module) -> Callable[..., Any]:
  def apply(params, norm_state, features, num_frames, *, train, key=None):
    variables = {'params': params, 'norm_state': norm_state}
    outputs: Any = module.apply(
      variables,
      features,
      num_frames,
      train=train,
      mutable=['norm_state'] if train else [],
      rngs=None if key is None else {'dropout': key},
    )
    (logits, num_outputs), updates = outputs
    return logits, num_outputs, updates.get('norm_state', norm_state)

  return apply


def num_parameters(params: Params) -> int:
  """Scalars in a tree of arrays."""
  return sum(leaf.size for leaf in jax.tree.leaves(params))


def is_output_layer(path: jax.tree_util.KeyPath) -> bool:
  """Whether a parameter is of the last layer, which gives the logits."""
  return path[0].key == 'output'
