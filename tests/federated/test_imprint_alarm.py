"""What a client sees of an imprint, against columns that are planted alike."""

import numpy as np
import pytest

from fedjax_asr.federated import imprint_alarm


def _kernel(seed=0, inputs=200, units=400):
  rng = np.random.default_rng(seed)
  return rng.standard_normal((inputs, units)) / np.sqrt(inputs)


def _planted(count, noise=0.0, sign=1.0):
  kernel = _kernel()
  rng = np.random.default_rng(1)
  column = kernel[:, :1] / np.linalg.norm(kernel[:, 0])
  kernel[:, :count] = column * rng.uniform(0.5, 2.0, count)
  size = (
    noise * np.linalg.norm(kernel[:, :count], axis=0) / np.sqrt(len(kernel))
  )
  kernel[:, :count] += size * rng.standard_normal((len(kernel), count))
  kernel[:, : count // 2] *= sign
  return kernel


@pytest.mark.parametrize('sign', [1.0, -1.0])
@pytest.mark.parametrize('count', [8, 40, 400])
def test_parallel_columns_are_counted_whatever_their_size_and_sign(count, sign):
  alarm = imprint_alarm.of_kernel(_planted(count, sign=sign))
  assert alarm.parallel == pytest.approx(count / 400)
  assert alarm.is_raised


def test_noise_on_columns_lowers_their_cosine():
  """1 / (1 + noise^2): the check sees noise up to a half of the columns."""
  assert imprint_alarm.of_kernel(_planted(40, noise=0.3)).is_raised
  assert not imprint_alarm.of_kernel(_planted(40, noise=1.0)).is_raised


@pytest.mark.parametrize('seed', range(5))
def test_random_columns_raise_no_alarm(seed):
  alarm = imprint_alarm.of_kernel(_kernel(seed))
  assert alarm.parallel == 0
  assert not alarm.is_raised


def test_the_layer_that_looks_most_like_one_is_named():
  params = {
    'dense_0': {'kernel': _kernel()},
    'dense_1': {'kernel': _planted(100)},
    'output': {'kernel': np.ones((20, 20))},
  }
  alarm = imprint_alarm.of_params(params)
  assert alarm.layer == 'dense_1'
  assert imprint_alarm.described(alarm).startswith('ALARM: 25.0% of the units')


def test_units_of_zeros_are_like_none():
  kernel = np.zeros((10, 5))
  assert imprint_alarm.parallel_share(kernel) == 0
  assert imprint_alarm.effective_rank(kernel) == 0


def test_effective_rank_is_that_of_level_spectra():
  kernel = np.zeros((6, 8))
  kernel[:3, :3] = np.eye(3)
  assert imprint_alarm.effective_rank(kernel) == pytest.approx(3 / 6)


def test_models_without_dense_layers_are_not_judged():
  with pytest.raises(ValueError, match='no layer dense_'):
    imprint_alarm.of_params({'conv_0': {}})
