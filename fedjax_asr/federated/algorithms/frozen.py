"""Optimizers whose statistics a server keeps and clients only read.

By the table of base algorithms, U and V, of Mime (Karimireddy et al. 2021).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fedjax_asr.models import model


class Frozen(NamedTuple):
  """A base optimizer, split in two.

  init(params) -> the statistics s, all zero
  direction(gradient, s) -> what a step subtracts, for a learning rate of 1:
    the paper's U, linear in the gradient
  tracked(gradient, s) -> s after that gradient: the paper's V
  """

  init: Callable[[model.Params], Any]
  direction: Callable[[optax.Updates, Any], optax.Updates]
  tracked: Callable[[optax.Updates, Any], Any]


class Moments(NamedTuple):
  """Running means of gradients and of their squares."""

  first: model.Params
  second: model.Params


def momentum(beta: float) -> Frozen:
  """A step goes along (1 - beta) g + beta m, which m is to become."""

  def mixed(gradient, m):
    return jax.tree.map(lambda g, m: (1 - beta) * g + beta * m, gradient, m)

  return Frozen(lambda p: jax.tree.map(jnp.zeros_like, p), mixed, mixed)


def adam(beta1: float, beta2: float, epsilon: float) -> Frozen:
  """A step goes along ((1 - beta1) g + beta1 m) / (epsilon + sqrt(v)).

  As in the paper nothing is corrected for the zeros of the beginning: before
  there is a v, a step is divided by `epsilon`.
  """
  first, second = momentum(beta1), momentum(beta2)

  def direction(gradient, s):
    return jax.tree.map(
      lambda m, v: m / (epsilon + jnp.sqrt(v)),
      first.direction(gradient, s.first),
      s.second,
    )

  def tracked(gradient, s):
    squares = jax.tree.map(jnp.square, gradient)
    return Moments(
      first=first.tracked(gradient, s.first),
      second=second.tracked(squares, s.second),
    )

  return Frozen(
    lambda params: Moments(first.init(params), second.init(params)),
    direction,
    tracked,
  )
