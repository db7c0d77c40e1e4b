"""Members of a mixture from where each of them is silent."""

import numpy as np
import pytest

from fedjax_asr.attacks.ds1 import unmixing


def _mixture(rng, utterances, points, silent, noise=0.0):
  """(coefficients, mixtures) of signals that are zero this often."""
  signals = rng.standard_normal((utterances, points))
  signals *= rng.random((utterances, points)) > silent
  coefficients = rng.standard_normal((utterances, utterances))
  coefficients /= np.linalg.norm(coefficients, axis=1, keepdims=True)
  mixtures = coefficients.T @ signals
  return coefficients, mixtures + noise * rng.standard_normal(mixtures.shape)


@pytest.mark.parametrize('utterances', [2, 3, 4])
@pytest.mark.parametrize('silent', [0.3, 0.6])
@pytest.mark.parametrize('noise', [0.0, 1e-6])
def test_utterances_are_found_in_some_order_and_of_some_sign(
  utterances, silent, noise
):
  rng = np.random.default_rng(utterances)
  coefficients, mixtures = _mixture(rng, utterances, 20000, silent, noise)
  found = unmixing.coefficients(mixtures, rng)
  cosines = np.abs(found @ coefficients.T)
  np.testing.assert_allclose(cosines.max(axis=0), 1, atol=1e-8)
  assert set(cosines.argmax(axis=1)) == set(range(utterances))


def test_utterances_that_are_silent_together_mostly_are_still_told_apart():
  rng = np.random.default_rng(0)
  coefficients, apart = _mixture(rng, 2, 20000, 0.0)
  signals = np.linalg.solve(coefficients.T, apart)
  both = rng.random(20000) < 0.5
  signals[:, both] = 0
  signals[0, rng.random(20000) < 0.05] = 0
  signals[1, rng.random(20000) < 0.05] = 0
  found = unmixing.coefficients(coefficients.T @ signals, rng)
  cosines = np.abs(found @ coefficients.T)
  np.testing.assert_allclose(cosines.max(axis=0), 1, atol=1e-10)
