"""What XLA compiled, kept on disk, so that a second run starts at once."""

import os

import jax

from fedjax_asr import home


def enable(cache_dir: str | os.PathLike[str]) -> None:
  """Keeps compiled programs beside the features, in `<cache_dir>/xla`.

  A directory that JAX was told already, by `JAX_COMPILATION_CACHE_DIR`, stays;
  `JAX_ENABLE_COMPILATION_CACHE=false` turns it off. Programs that compile in
  under a second are not kept (JAX's default). What cannot be read or written
  there is compiled again: JAX warns and goes on.

  Raises:
    UserError: `cache_dir` is at home, nothing can be written there, and there
      is no temporary directory.
  """
  if jax.config.values['jax_compilation_cache_dir'] is None:
    path = home.writable_cache(cache_dir) / 'xla'
    jax.config.update('jax_compilation_cache_dir', str(path))
