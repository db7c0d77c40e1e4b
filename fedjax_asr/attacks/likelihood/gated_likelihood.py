"""As `window_likelihood`, knowing that inactive units send nothing back.

Which units a window leaves inactive is a function of the window: with g_tk 1
where unit k is active at t and 0 where it is not, d_tk has the variance
g_tk s_k^2. This is worth more than all else that is known of d_t: a window that
activates other units than the true one did cannot be what was said. It is as
discontinuous as it is informative, so g is a logistic function of the
pre-activation, whose `width` is narrowed step by step.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float64

# Windows are padded to multiples of this many, so that many share a program.
_QUANTUM = 32


class Layer(NamedTuple):
  """What the server sent, and deviations of d_t where a unit is active."""

  kernel: Float64[np.ndarray | jax.Array, 'taps units']
  bias: Float64[np.ndarray | jax.Array, ' units']
  deviations: Float64[np.ndarray | jax.Array, ' units']


def value_and_gradient(
  windows: Float64[np.ndarray, 'frames taps'],
  update: Float64[np.ndarray, 'entries units'],
  layer: Layer,
  deviation: float,
  width: float,
) -> tuple[float, Float64[np.ndarray, 'frames taps']]:
  """Minus the logarithm of the likelihood, and its derivative by the windows.

  `update` has the kernel's rows and, where it has one row more, the bias's.
  `deviation` is of the noise, `width` in units of the pre-activation. Computed
  in float64, on the device.
  """
  value, gradient, _ = _computed(windows, update, layer, deviation, width)
  return value, gradient


def misfit(
  windows: Float64[np.ndarray, 'frames taps'],
  update: Float64[np.ndarray, 'entries units'],
  layer: Layer,
  deviation: float,
  width: float,
) -> float:
  """Squared Mahalanobis distance of the update, over the number of its entries.

  About 1, to within the root of 2 over that number, where the windows are those
  behind the update and the likelihood's assumptions hold.
  """
  *_, explained = _computed(windows, update, layer, deviation, width)
  return float((np.sum(update**2) / deviation**2 - explained) / update.size)


def _computed(
  windows: Float64[np.ndarray, 'frames taps'],
  update: Float64[np.ndarray, 'entries units'],
  layer: Layer,
  deviation: float,
  width: float,
) -> tuple[float, Float64[np.ndarray, 'frames taps'], float]:
  """Value, gradient, and what the windows explain of the update's energy."""
  missing = -len(windows) % _QUANTUM
  padded = np.pad(windows, ((0, missing), (0, 0)))
  is_real = np.arange(len(padded)) < len(windows)
  with jax.enable_x64(True):
    value, gradient, explained = _compiled(
      *map(jnp.asarray, (padded, is_real, update)),
      Layer(*map(jnp.asarray, layer)),
      jnp.float64(deviation**2),
      jnp.float64(width),
    )
    gradient = np.asarray(gradient)[: len(windows)]
    return float(value), gradient, float(explained)


@jax.jit
def _compiled(
  windows: jax.Array,
  is_real: jax.Array,
  update: jax.Array,
  layer: Layer,
  variance: jax.Array,
  width: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  signed = (windows @ layer.kernel + layer.bias) / width
  gates = jnp.where(is_real[:, None], jax.nn.sigmoid(signed), 0.0)
  scales = jnp.sqrt(gates) * layer.deviations
  whole = windows
  if len(update) > windows.shape[1]:
    ones = is_real[:, None].astype(windows.dtype)
    whole = jnp.concatenate([windows, ones], axis=1)
  gram, projected = whole @ whole.T, whole @ update
  by_unit = functools.partial(_unit, gram, variance)
  values, signals, spreads, by_log_variance = jax.vmap(
    by_unit, in_axes=1, out_axes=(0, 1, 0, 1)
  )(scales, projected)
  second = signals @ signals.T / variance + spreads.sum(axis=0)
  gradient = second @ whole - signals @ update.T / variance
  by_gate = by_log_variance * (1 - jax.nn.sigmoid(signed)) / width
  by_gate = jnp.where(is_real[:, None], by_gate, 0.0)
  gradient = gradient[:, : windows.shape[1]] + by_gate @ layer.kernel.T
  explained = jnp.sum(signals * projected) / variance
  return values.sum(), gradient, explained


def _unit(
  gram: Float[jax.Array, 'frames frames'],
  variance: jax.Array,
  scales: Float[jax.Array, ' frames'],
  projected: Float[jax.Array, ' frames'],
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
  """Of one unit: value, mean of d, its spread, derivative by log g."""
  count = len(scales)
  matrix = jnp.eye(count) + scales[:, None] * gram * scales / variance
  factor = jnp.linalg.cholesky(matrix)
  inverse = jax.scipy.linalg.cho_solve((factor, True), jnp.eye(count))
  latent = inverse @ (scales * projected) / variance
  mean = scales * latent
  value = (
    jnp.log(jnp.diagonal(factor)).sum() - 0.5 * mean @ projected / variance
  )
  by_log_variance = 0.5 * (1 - jnp.diagonal(inverse) - latent**2)
  return (
    value,
    mean,
    scales[:, None] * inverse * scales / variance,
    by_log_variance,
  )
