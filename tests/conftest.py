"""Four host devices: the client axis is tested on 1, 2 and 4 of them."""

import jax
import pytest

# Before anything starts the backend, whichever tests are run.
jax.config.update('jax_num_cpu_devices', 4)


@pytest.fixture
def without_formats(monkeypatch):
  """As if the extra `formats` were not installed."""
  monkeypatch.setattr('fedjax_asr.speech.formats.has_decoder', lambda: False)
