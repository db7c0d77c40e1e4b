"""The attacked model on reconstructed speech, compiled for a few lengths."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedjax_asr.attacks import observation
from fedjax_asr.models import model

# Utterances are padded to multiples of this many frames: padding changes
# nothing, and many share a compilation.
_QUANTUM = 128


# Of `model.Model.apply`.
_Apply = Callable[..., tuple[jax.Array, jax.Array, model.NormState]]
# Parameters, norms' state, features padded, and how many frames are real.
_Arguments = tuple[model.Params, model.NormState, jax.Array, jax.Array]


class ForwardPass(NamedTuple):
  """Without dropout, as the server would run it.

  inputs: of the output layer.
  """

  logits: Float[np.ndarray, 'outputs vocab']
  inputs: Float[np.ndarray, 'outputs units']


def logits(
  observed: observation.Observation, features: Float[np.ndarray, '_ features']
) -> Float[np.ndarray, 'outputs vocab']:
  """Of one utterance of one frame or more."""
  values, num_outputs = _applied(
    observed.acoustic.apply, *_arguments(observed, features)
  )
  return np.asarray(values[0])[: int(num_outputs[0])]


def forward_pass(
  observed: observation.Observation, features: Float[np.ndarray, '_ features']
) -> ForwardPass:
  """`logits`, and what the module `output` was given for them."""
  values, inputs, num_outputs = _caught(
    observed.acoustic.apply, *_arguments(observed, features)
  )
  real = slice(int(num_outputs[0]))
  return ForwardPass(np.asarray(values[0])[real], np.asarray(inputs[0])[real])


def _arguments(
  observed: observation.Observation,
  features: Float[np.ndarray, '_ features'],
) -> _Arguments:
  frames = -(-len(features) // _QUANTUM) * _QUANTUM
  padded = np.zeros((1, frames, features.shape[1]), np.float32)
  padded[0, : len(features)] = features
  return (
    observed.params,
    observed.norm_state,
    jnp.asarray(padded),
    jnp.asarray([len(features)]),
  )


@functools.partial(jax.jit, static_argnums=0)
def _applied(
  apply: _Apply,
  params: model.Params,
  norm_state: model.NormState,
  features: Float[Array, 'batch frames features'],
  num_frames: Int[Array, ' batch'],
) -> tuple[Float[Array, 'batch outputs vocab'], Int[Array, ' batch']]:
  values, num_outputs, _ = apply(
    params, norm_state, features, num_frames, train=False
  )
  return values, num_outputs


@functools.partial(jax.jit, static_argnums=0)
def _caught(
  apply: _Apply,
  params: model.Params,
  norm_state: model.NormState,
  features: Float[Array, 'batch frames features'],
  num_frames: Int[Array, ' batch'],
) -> tuple[
  Float[Array, 'batch outputs vocab'],
  Float[Array, 'batch outputs units'],
  Int[Array, ' batch'],
]:
  seen: list[jax.Array] = []

  def catch(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context: Any,
  ) -> Any:
    if context.module.name == 'output':
      seen.append(args[0])
    return call(*args, **kwargs)

  with nn.intercept_methods(catch):
    values, num_outputs, _ = apply(
      params, norm_state, features, num_frames, train=False
    )
  return values, seen[0], num_outputs
