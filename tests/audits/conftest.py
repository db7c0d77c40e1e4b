"""Fast compilation, as for tests of rounds."""

import jax
import pytest


@pytest.fixture(autouse=True, scope='module')
def _quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)
  jax.clear_caches()
