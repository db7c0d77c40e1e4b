"""In which arithmetic a client computed its update.

A public setting, as the learning rate is: what rounding leaves of an update,
and hence how much may be believed, depends on it. JAX's default differs between
back ends: products of float32 arrays are TF32 on a GPU.
"""

import jax

from fedjax_asr import config

# Names that JAX gives to products of float32 operands as they are, and to
# those of bfloat16; others are TF32 where there is such a thing.
_FULL = ('highest', 'float32', 'high', 'bfloat16_3x', 'F32_F32_F32')
# Deviations of a sum's rounding up to which nothing is wrong.
_DEVIATIONS = 4.0
# Squares of roundoff that a few layers add up to.
_LAYERS_DEEP = 16.0
_BFLOAT16 = ('bfloat16', 'fastest', 'BF16_BF16_F32')


def of_products(
  model: config.ModelConfig, backend: str | None = None
) -> config.Precision:
  """Of the matrix products of a model's training on this machine.

  Args:
    backend: JAX's name of it; None: the one in use.
  """
  named = str(jax.config.values['jax_default_matmul_precision'])
  if model.chosen.dtype is config.Dtype.BFLOAT16:
    return config.Precision.BFLOAT16
  if (backend or jax.default_backend()) == 'cpu' or named in _FULL:
    return config.Precision.FLOAT32
  if named in _BFLOAT16:
    return config.Precision.BFLOAT16
  return config.Precision.TF32


def residual(precision: config.Precision) -> float:
  """Share of energy up to which rounding alone may leave a vector outside of a
  space, where some layers of products lie between."""
  return _LAYERS_DEEP * unit_roundoff(precision) ** 2


def product_error(precision: config.Precision) -> float:
  """Relative error of a sum of products that is no surprise."""
  return _DEVIATIONS * unit_roundoff(precision)


def unit_roundoff(precision: config.Precision) -> float:
  """Largest relative error of rounding a number to this precision."""
  return {
    config.Precision.FLOAT32: 2.0**-24,
    config.Precision.TF32: 2.0**-11,
    config.Precision.BFLOAT16: 2.0**-8,
  }[precision]
