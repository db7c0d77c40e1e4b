"""In which arithmetic a client computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks import precision

FLOAT32, TF32, BFLOAT16 = config.Precision


def _of(named, backend='gpu', dtype=config.Dtype.FLOAT32):
  cfg = config.ModelConfig()
  cfg.ds1.dtype = cfg.ds2.dtype = dtype
  with jax.default_matmul_precision(named):
    return precision.of_products(cfg, backend)


@pytest.mark.parametrize(
  ('named', 'expected'),
  [
    (None, TF32),
    ('default', TF32),
    ('tensorfloat32', TF32),
    ('highest', FLOAT32),
    ('float32', FLOAT32),
    ('bfloat16', BFLOAT16),
  ],
)
def test_a_gpu_rounds_products_unless_told_otherwise(named, expected):
  assert _of(named) is expected


def test_a_cpu_does_not_round_and_the_models_own_dtype_goes_first():
  assert _of(None, 'cpu') is FLOAT32
  assert _of('highest', 'cpu', config.Dtype.BFLOAT16) is BFLOAT16
  assert precision.of_products(config.ModelConfig()) is FLOAT32


@pytest.mark.parametrize('each', list(config.Precision))
def test_a_roundoff_is_half_the_distance_of_numbers_behind_one(each):
  bits = {FLOAT32: 23, TF32: 10, BFLOAT16: 8 - 1}[each]
  roundoff = precision.unit_roundoff(each)
  if each is BFLOAT16:
    assert float(jnp.finfo(jnp.bfloat16).eps) / 2 == 2.0 ** -(bits + 1)
  np.testing.assert_allclose(roundoff, 2.0 ** -(bits + 1))
