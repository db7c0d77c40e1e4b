"""Fast compilation: XLA's time is nearly all of these tests'."""

import jax
import pytest


@pytest.fixture(autouse=True, scope='module')
def _quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)
  # JAX would go on with what it compiled so, and other tests compare bits.
  jax.clear_caches()
