"""Whether the installed XLA overwrites an operand that it still reads.

Informative (docs/xla_in_place_update.md): `xpassed` says that it is mended.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.models import recurrence

_FAULT = pytest.mark.xfail(
  reason='openxla/xla issue 49176 is in this jaxlib', strict=False
)


def _sums(values):
  return jax.lax.scan(
    lambda total, frame: (total + frame, total + frame),
    jnp.zeros_like(values[0]),
    values,
  )[1]


def _overwritten(values):
  return _sums(values.at[:, 1:].set(values[::-1, 1:]))


def _joined(values):
  return _sums(recurrence.second_reversed(values))


def _wanted(values):
  turned = values.copy()
  turned[:, :, 1] = values[:, ::-1, 1]
  return turned.cumsum(1)


@pytest.mark.parametrize(
  'turned', [pytest.param(_overwritten, marks=_FAULT), _joined]
)
@pytest.mark.parametrize('num_frames', [4, 101])
def test_second_column_is_reversed(turned, num_frames):
  values = np.arange(2.0 * num_frames, dtype=np.float32)
  one_client = values.reshape(1, num_frames, 2)
  found = jax.jit(jax.vmap(turned))(one_client)
  np.testing.assert_array_equal(found, _wanted(one_client))


@_FAULT
def test_rows_are_shifted():
  def shifted(values):
    base = values + np.int32(1)
    return jax.lax.dynamic_update_slice(base, base[:3], (1, 0, 0)).ravel()

  values = np.arange(4, dtype=np.int32).reshape(4, 1, 1)
  np.testing.assert_array_equal(jax.jit(shifted)(values), [1, 1, 2, 3])
