"""Coded updates, as the server decodes them.

Running averages of batch norm, weights, and what an algorithm sends besides are
sent as they are. `wire` says what it takes in bytes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree

from fedjax_asr import config
from fedjax_asr.federated import (
  channel,
  error_feedback,
  half_precision,
  quantisation,
  sparsity,
)


class Code(NamedTuple):
  """What is sent for an update, and what that is taken for.

  coded(update, key) -> symbols; `key` is the client's in the round
  decoded(symbols) -> the update as the server has it, in float32
  """

  coded: Callable[[PyTree, jax.Array], Any]
  decoded: Callable[[Any], PyTree]


def coding(cfg: config.CompressionConfig) -> channel.Channel:
  """A client's update, coded and decoded."""
  if cfg.error_feedback:
    return error_feedback.around(
      lambda params, key: compressed(params, cfg, key)
    )
  return channel.of_params(
    lambda params, sender: compressed(params, cfg, sender.key)
  )


def compressed(
  update: PyTree, cfg: config.CompressionConfig, key: jax.Array
) -> PyTree:
  """The update after coding and decoding; zero stays zero."""
  code = make(cfg)
  return code.decoded(code.coded(update, key))


def make(cfg: config.CompressionConfig) -> Code:
  """The code that a config names.

  float16 (beyond its range, its largest value) and bfloat16: rounded to
  nearest. int8 and quantized: symmetric levels of 8 and of `bits` bits, a scale
  for each array; with stochastic rounding unbiased (QSGD, Alistarh et al.
  2017). sign: times the array's mean absolute value (Bernstein et al. 2018;
  Karimireddy et al. 2019). top_k: the largest of the whole update. random_k:
  any of it, scaled to be unbiased, unless what is lost comes later. The update
  itself for the method none.
  """
  match cfg.method:
    case config.Compression.NONE:
      return _rounding(lambda leaf: leaf)
    case config.Compression.FLOAT16:
      return _rounding(half_precision.float16)
    case config.Compression.BFLOAT16:
      return _rounding(half_precision.bfloat16)
    case config.Compression.INT8:
      return _quantising(8, cfg.rounding)
    case config.Compression.QUANTIZED:
      return _quantising(cfg.bits, cfg.rounding)
    case config.Compression.SIGN:
      return Code(
        lambda update, key: quantisation.signs(update), quantisation.dequantised
      )
    case config.Compression.TOP_K:
      return Code(
        lambda update, key: sparsity.top(update, cfg.top_fraction),
        sparsity.filled,
      )
    case config.Compression.RANDOM_K:
      return Code(
        lambda update, key: sparsity.random(
          update, cfg.top_fraction, key, is_scaled=not cfg.error_feedback
        ),
        sparsity.filled,
      )


def _rounding(rounded: Callable[[jax.Array], jax.Array]) -> Code:
  """Each number by itself."""
  return Code(
    lambda update, key: jax.tree.map(rounded, update), lambda symbols: symbols
  )


def _quantising(bits: int, rounding: config.Rounding) -> Code:
  return Code(
    lambda update, key: quantisation.quantised(update, bits, rounding, key),
    quantisation.dequantised,
  )
