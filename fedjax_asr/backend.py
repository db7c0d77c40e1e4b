"""The devices that JAX computes on."""

import jax

from fedjax_asr import config


class BackendError(config.UserError):
  """JAX cannot use the devices that it was told to, or those that there are."""


def start() -> None:
  """Starts JAX's backend, before any work that it would spoil.

  Raises:
    BackendError: it does not start.
  """
  try:
    jax.devices()
  # JAX has no error of its own for it: without a plugin, an assertion fails.
  except Exception as error:
    reason = ' '.join(str(error).split()) or 'no such device, or no plugin'
    platforms = jax.config.values['jax_platforms'] or ''
    raise BackendError(
      f'JAX_PLATFORMS={platforms!r}: JAX does not start ({reason}); want '
      'JAX_PLATFORMS=cpu, or a GPU with its driver and jax[cuda12] installed.'
    ) from error
