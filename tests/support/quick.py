"""Compilation in a quarter of the time, for what runs a few times."""

import functools

import jax


def jit(function, **keywords):
  """`jax.jit`, less optimised; not to be called by another jitted function."""
  return jax.jit(function, compiler_options=options(), **keywords)


@functools.cache
def options():
  """For the compiler; those that this XLA knows."""
  options = {
    'xla_backend_optimization_level': 0,
    'xla_cpu_use_fusion_emitters': False,
  }
  lowered = jax.jit(lambda: 0).lower()
  known = {}
  for name, value in options.items():
    try:
      lowered.compile({name: value})
    except jax.errors.JaxRuntimeError:
      continue
    known[name] = value
  return known
