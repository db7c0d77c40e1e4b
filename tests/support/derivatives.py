"""Derivatives by finite differences, and the precision they need."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np


@contextlib.contextmanager
def float64():
  """JAX in double precision; default is single."""
  before = jax.config.read('jax_enable_x64')
  jax.config.update('jax_enable_x64', True)
  try:
    yield
  finally:
    jax.config.update('jax_enable_x64', before)


def in_float64(tree):
  """The tree with every float in double precision."""
  return jax.tree.map(
    lambda x: (
      jnp.asarray(x, jnp.float64)
      if jnp.issubdtype(jnp.result_type(x), jnp.floating)
      else jnp.asarray(x)
    ),
    tree,
  )


def direction_like(tree, seed=0):
  """A random direction in the space of `tree`."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda x: jnp.asarray(rng.standard_normal(x.shape), x.dtype), tree
  )


def central_difference(function, at, direction, step=1e-5):
  """Slope of a function of a tree along a direction."""

  def moved(by):
    return function(jax.tree.map(lambda x, d: x + by * d, at, direction))

  return (moved(step) - moved(-step)) / (2 * step)


def slope(gradient, direction):
  """The slope along a direction that a gradient promises."""
  products = jax.tree.map(lambda g, d: (g * d).sum(), gradient, direction)
  return sum(jax.tree.leaves(products))
