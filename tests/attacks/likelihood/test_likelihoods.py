"""Likelihoods of a kernel's update, against dense Gaussians."""

import jax
import numpy as np
import pytest
import scipy.stats

from fedjax_asr.attacks.likelihood import gated_likelihood, window_likelihood

RNG = np.random.default_rng
FRAMES, TAPS, UNITS, DEVIATION = 7, 5, 3, 0.3


def _windows(seed=0):
  return RNG(seed).standard_normal((FRAMES, TAPS))


def _update(entries, seed=1):
  return RNG(seed).standard_normal((entries, UNITS))


def _dense(windows, update, variances, deviation):
  """Minus the log density of each column, above that of noise alone."""
  total = 0.0
  for column, variance in zip(update.T, variances.T, strict=True):
    covariance = windows.T @ (variance[:, None] * windows)
    covariance += deviation**2 * np.eye(len(column))
    noise = deviation**2 * np.eye(len(column))
    for sign, matrix in ((1, noise), (-1, covariance)):
      density = scipy.stats.multivariate_normal(cov=matrix)
      total += sign * density.logpdf(column)
  return total


def test_flat_likelihood_is_that_of_a_dense_gaussian():
  windows, update = _windows(), _update(TAPS)
  variances = np.array([0.5, 2.0, 1e-3])
  value, _ = window_likelihood.value_and_gradient(
    windows, window_likelihood.Received(update, variances), DEVIATION
  )
  wanted = _dense(windows, update, np.tile(variances, (FRAMES, 1)), DEVIATION)
  assert value == pytest.approx(wanted, rel=1e-9)


def test_flat_gradient_is_that_of_finite_differences():
  received = window_likelihood.Received(_update(TAPS), np.array([0.5, 2, 0.1]))

  def value(windows):
    return window_likelihood.value_and_gradient(windows, received, DEVIATION)[0]

  _, gradient = window_likelihood.value_and_gradient(
    _windows(), received, DEVIATION
  )
  np.testing.assert_allclose(gradient, _differences(value), rtol=1e-6)


@pytest.mark.parametrize('entries', [TAPS, TAPS + 1])
def test_gated_likelihood_is_that_of_a_dense_gaussian(entries):
  windows, update, layer = _windows(), _update(entries), _layer()
  value, _ = gated_likelihood.value_and_gradient(
    windows, update, layer, DEVIATION, 0.2
  )
  signed = (windows @ layer.kernel + layer.bias) / 0.2
  variances = layer.deviations**2 / (1 + np.exp(-signed))
  whole = np.column_stack([windows, np.ones(FRAMES)])[:, :entries]
  wanted = _dense(whole, update, variances, DEVIATION)
  assert value == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize('entries', [TAPS, TAPS + 1])
def test_gated_gradient_is_that_of_finite_differences(entries):
  def both(windows):
    return gated_likelihood.value_and_gradient(
      windows, _update(entries), _layer(), DEVIATION, 0.2
    )

  _, gradient = both(_windows())
  wanted = _differences(lambda windows: both(windows)[0])
  np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-7)


def test_gated_likelihood_leaves_float32_as_it_was():
  gated_likelihood.value_and_gradient(
    _windows(), _update(TAPS), _layer(), DEVIATION, 0.2
  )
  assert jax.numpy.zeros(1).dtype == np.float32


def test_misfit_is_the_mahalanobis_distance_of_a_dense_gaussian():
  windows, update, layer = _windows(), _update(TAPS + 1), _layer()
  misfit = gated_likelihood.misfit(windows, update, layer, DEVIATION, 0.2)
  signed = (windows @ layer.kernel + layer.bias) / 0.2
  variances = layer.deviations**2 / (1 + np.exp(-signed))
  whole = np.column_stack([windows, np.ones(FRAMES)])
  wanted = 0.0
  for column, variance in zip(update.T, variances.T, strict=True):
    covariance = whole.T @ (variance[:, None] * whole)
    covariance += DEVIATION**2 * np.eye(len(column))
    wanted += column @ np.linalg.solve(covariance, column)
  assert misfit == pytest.approx(wanted / update.size, rel=1e-9)


def _layer():
  rng = RNG(2)
  return gated_likelihood.Layer(
    rng.standard_normal((TAPS, UNITS)),
    rng.standard_normal(UNITS),
    np.array([0.7, 1.5, 0.2]),
  )


def _differences(value, step=1e-6):
  windows = _windows()
  result = np.zeros_like(windows)
  for place in np.ndindex(*windows.shape):
    moved = np.zeros_like(windows)
    moved[place] = step
    result[place] = (value(windows + moved) - value(windows - moved)) / (
      2 * step
    )
  return result
