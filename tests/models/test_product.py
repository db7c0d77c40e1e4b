"""Products of narrow operands, their gradients and second gradients."""

import derivatives
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr.models import product

BFLOAT16 = jnp.dtype('bfloat16')


def operands():
  rng = np.random.default_rng(0)
  shapes = (3, 5, 7), (7, 4), (3, 5, 4)
  values = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
  return [jnp.asarray(value) for value in values]


def rounded(values):
  return np.asarray(values.astype(BFLOAT16).astype(jnp.float32))


def test_dense_and_its_gradients_are_products_of_rounded_operands():
  """Against NumPy in float64 on what was rounded by hand."""
  inputs, kernel, gradient = operands()
  value, pull = jax.vjp(
    lambda x, w: product.dense(x, w, BFLOAT16), inputs, kernel
  )
  d_inputs, d_kernel = pull(gradient)
  x, w, g = (
    rounded(each).astype(np.float64) for each in (inputs, kernel, gradient)
  )
  wanted = x @ w, g @ w.T, np.einsum('btx,bty->xy', x, g)
  for got, want in zip((value, d_inputs, d_kernel), wanted, strict=True):
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_float32_dense_is_a_plain_product_twice_differentiated():
  with derivatives.float64():
    inputs, kernel, weight = (each.astype(float) for each in operands())

    def everything(multiply):
      def slopes(inputs, kernel):
        return jax.grad(
          lambda x, w: jnp.sum(jnp.sin(multiply(x, w)) * weight), (0, 1)
        )(inputs, kernel)

      def squared(inputs, kernel):
        return sum(jnp.sum(slope**3) for slope in slopes(inputs, kernel))

      first = slopes(inputs, kernel)
      second = jax.grad(squared, (0, 1))(inputs, kernel)
      return multiply(inputs, kernel), first, second

    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10),
      everything(lambda x, w: product.dense(x, w, jnp.dtype('float32'))),
      everything(jnp.matmul),
    )


def test_narrow_dense_has_a_second_gradient_near_the_exact_one():
  inputs, kernel, weight = operands()

  def second(dtype):
    def squared(inputs):
      slope = jax.grad(
        lambda w: jnp.sum(jnp.sin(product.dense(inputs, w, dtype)) * weight)
      )(kernel)
      return jnp.sum(slope**2)

    return jax.grad(squared)(inputs)

  narrow, exact = second(BFLOAT16), second(jnp.dtype('float32'))
  error = jnp.linalg.norm(narrow - exact) / jnp.linalg.norm(exact)
  assert 0 < float(error) < 0.03


def test_dense_says_no_to_forward_differentiation():
  inputs, kernel, _ = operands()
  with pytest.raises(TypeError, match='forward-mode'):
    jax.jvp(lambda x: product.dense(x, kernel, BFLOAT16), (inputs,), (inputs,))
