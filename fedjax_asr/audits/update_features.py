"""What an attacker who sees an update makes of it: three vectors.

None depends on the update's overall size, which goes with how much was said.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from fedjax_asr.federated import sketch
from fedjax_asr.models import model

# A number that is zero has no logarithm; of an update's largest row.
_FLOOR = 1e-6
# First of these that a model has: its rows are what the spectrum went into.
_INPUT_KERNELS = (
  ('dense_0', 'kernel'),
  ('recurrent_0', 'input_kernel'),
)


class UpdateFeatures(NamedTuple):
  """Of one update.

  directions: a count sketch of each tensor (`federated.sketch`), one after
    another, of length 1 in all: the output layer's bias, which tells the
    letters, is among them as it is.
  sizes: logarithms of the norms of rows and of columns of all matrices, less
    their mean; rows are inputs, columns units.
  inputs: those of the rows of the input kernel, and its top singular vectors.
    DeepSpeech 1's is the first layer's, by frame and mel; DeepSpeech 2's that
    of the first recurrence, by frequency and channel, whose convolutions share
    their weights over frequencies.
  """

  directions: Float[Array, ' directions']
  sizes: Float[Array, ' sizes']
  inputs: Float[Array, ' inputs']


def of_update(
  params: model.Params, norm_state: model.NormState
) -> UpdateFeatures:
  """All are zero, up to rounding, of an update that is zero. May be jitted.

  `norm_state` is sent, too: batch normalisation's statistics.
  """
  leaves = jax.tree.leaves((params, norm_state))
  matrices = [
    leaf.reshape(-1, leaf.shape[-1]) for leaf in leaves if leaf.ndim > 1
  ]
  kernel = _input_kernel(params)
  sizes = [_log_sizes(values, axis) for values in matrices for axis in (1, 0)]
  return UpdateFeatures(
    directions=_unit(jnp.concatenate([_sketched(leaf) for leaf in leaves])),
    sizes=jnp.concatenate(sizes),
    inputs=jnp.concatenate([_log_sizes(kernel, 1), _top_inputs(kernel)]),
  )


def _input_kernel(params: PyTree) -> Float[Array, 'rows units']:
  for layer, name in _INPUT_KERNELS:
    if layer in params:
      return params[layer][name]
  raise AssertionError('a model begins with one of these layers')


def _sketched(leaf: Array) -> Float[Array, ' _']:
  """What is small is itself, but for signs."""
  return sketch.sketched(leaf)[: min(leaf.size, sketch.SIZE)]


def _log_sizes(values: Float[Array, 'rows columns'], axis: int):
  sizes = jnp.linalg.norm(values, axis=axis)
  largest = sizes.max()
  relative = sizes / jnp.where(largest > 0, largest, 1.0)
  found = jnp.log(jnp.maximum(relative, _FLOOR))
  return found - found.mean()


_NUM_SINGULAR = 2
# Subspace iterations; a decomposition of all would take most of an audit.
_NUM_ITERATIONS = 12


def _top_inputs(kernel: Float[Array, 'rows units']):
  """Top left singular vectors by their share of all; each sums to >= 0."""
  size = jnp.linalg.norm(kernel)
  level = kernel / jnp.where(size > 0, size, 1.0)
  count = min(_NUM_SINGULAR, *kernel.shape)
  turns = jnp.arange(1, count + 1) / 8
  # The same start for every update: cosines of an eighth and a quarter turn.
  start = jnp.cos(jnp.pi * jnp.outer(jnp.arange(len(kernel)), turns))

  def step(_, basis):
    ahead = jnp.matmul(level.T, basis, precision='highest')
    return jnp.linalg.qr(jnp.matmul(level, ahead, precision='highest'))[0]

  basis = jax.lax.fori_loop(0, _NUM_ITERATIONS, step, jnp.linalg.qr(start)[0])
  shares = jnp.linalg.norm(
    jnp.matmul(level.T, basis, precision='highest'), axis=0
  )
  signs = jnp.where(basis.sum(0) < 0, -1, 1)
  return (basis * signs * shares).T.ravel()


def _unit(vector: Float[Array, ' size']) -> Float[Array, ' size']:
  size = jnp.linalg.norm(vector)
  return vector / jnp.where(size > 0, size, 1.0)


def of_speech(
  frames: Float[np.ndarray, 'frames features'],
) -> Float[np.ndarray, ' moments']:
  """Mean and deviation of each feature over all frames of some utterances."""
  return np.concatenate([frames.mean(0), frames.std(0)])


def of_inputs(
  frames: Float[np.ndarray, 'frames features'],
) -> Float[np.ndarray, ' moments']:
  """As `of_speech`, and correlations of neighbours near and far.

  Of features that each utterance's own mean and deviation normalised, nothing
  else is left.
  """
  correlations = frames.T @ frames / len(frames)
  above = correlations[np.triu_indices(len(correlations), 1)]
  return np.concatenate([of_speech(frames), above])
