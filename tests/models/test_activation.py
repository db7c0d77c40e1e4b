import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.models import activation


def test_clipped_relu_is_the_papers():
  values = jnp.array([-3.0, 0.0, 7.5, 20.0, 21.0])
  np.testing.assert_array_equal(
    activation.clipped_relu(values), [0.0, 0.0, 7.5, 20.0, 20.0]
  )


def test_a_smoothed_clipped_relu_rounds_off_its_kinks_only():
  values = jnp.linspace(-5.0, 25.0, 301)
  exact = activation.clipped_relu(values)
  for width in (0.5, 0.05):
    smooth = activation.clipped_relu(values, width)
    # Half the slope at a kink, where softplus is log(2) above it.
    error = np.abs(smooth - exact)
    assert error.max() == pytest.approx(width * np.log(2), rel=1e-3)
    far = (np.abs(values) > 10 * width) & (np.abs(values - 20) > 10 * width)
    np.testing.assert_allclose(smooth[far], exact[far], atol=1e-3)
    slope = jax.grad(lambda x, width=width: activation.clipped_relu(x, width))
    assert slope(0.0) == pytest.approx(0.5)
    assert slope(20.0) == pytest.approx(0.5)
