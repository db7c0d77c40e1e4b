"""What each stage of an acoustic model makes of one utterance."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from fedjax_asr import config
from fedjax_asr.models import ds1, ds2


class Stage(NamedTuple):
  """A submodule of the model, as it was called.

  name: of the submodule, as its parameters are stored.
  kind: its class.
  inputs, outputs: shapes, without the axis of utterances.
  num_parameters: in it and what is in it.
  flops: of its matrix products, forward: a multiplication and an addition are
    two. A convolution is computed as products with a band, zeros included.
  """

  name: str
  kind: str
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]
  num_parameters: int
  flops: int


def stages(
  cfg: config.ModelConfig, num_features: int, vocab_size: int, num_frames: int
) -> list[Stage]:
  """In the order of computation, for an utterance of so many frames.

  Nothing is computed: shapes are traced.
  """
  module = _module(cfg, vocab_size)
  calls: list[tuple[nn.Module, Any, Any]] = []

  def told(next_function, args, kwargs, context):
    outputs = next_function(*args, **kwargs)
    is_stage = len(context.module.path) == 1
    if is_stage and context.method_name == '__call__':
      calls.append((context.module, args[0], outputs))
    return outputs

  def forward(features, count):
    with nn.intercept_methods(told):
      return module.init_with_output(
        jax.random.key(0), features, count, train=False
      )

  traced, shapes = jax.make_jaxpr(forward, return_shape=True)(
    jax.ShapeDtypeStruct((1, num_frames, num_features), jnp.float32),
    jax.ShapeDtypeStruct((1,), jnp.int32),
  )
  params = shapes[1]['params']
  flops = _flops_by_scope(traced.jaxpr)
  return [
    Stage(
      name=str(called.name),
      kind=type(called).__name__,
      inputs=inputs.shape[1:],
      outputs=outputs.shape[1:],
      num_parameters=sum(
        math.prod(leaf.shape)
        for leaf in jax.tree.leaves(params.get(called.name, {}))
      ),
      flops=flops.get(str(called.name), 0),
    )
    for called, inputs, outputs in calls
    if called.name in params
  ]


def receptive_frames(cfg: config.ModelConfig) -> tuple[int, int]:
  """Input frames that one output sees through what comes before the recurrence,
  and input frames from one output to the next."""
  if cfg.architecture is config.Architecture.DS1:
    return 2 * cfg.ds1.context_frames + 1, cfg.ds1.time_stride
  seen, hop = 1, 1
  for kernel, stride in zip(
    cfg.ds2.conv_time_kernels, cfg.ds2.conv_time_strides, strict=True
  ):
    seen += (kernel - 1) * hop
    hop *= stride
  return seen, hop


def _module(cfg: config.ModelConfig, vocab_size: int) -> nn.Module:
  if cfg.architecture is config.Architecture.DS1:
    return ds1.DeepSpeech1(cfg.ds1, vocab_size)
  return ds2.DeepSpeech2(cfg.ds2, vocab_size)


def _flops_by_scope(jaxpr: Any) -> dict[str, int]:
  """Of matrix products, by the submodule that names them."""
  found: dict[str, int] = {}
  for scope, flops in _products(jaxpr, '', 1):
    # The model itself, its method if it is named, then the submodule.
    for part in scope.split('/')[1:]:
      found[part] = found.get(part, 0) + flops
  return found


def _products(jaxpr: Any, scope: str, times: int) -> Iterator[tuple[str, int]]:
  """The scope and the FLOPs of each, as often as a scan repeats it."""
  for equation in jaxpr.eqns:
    inner = '/'.join(
      part for part in (scope, str(equation.source_info.name_stack)) if part
    )
    if equation.primitive.name == 'dot_general':
      (contracted, _), _ = equation.params['dimension_numbers']
      shape = equation.invars[0].aval.shape
      depth = math.prod(shape[axis] for axis in contracted)
      size = math.prod(equation.outvars[0].aval.shape)
      yield inner, 2 * size * depth * times
    repeats = equation.params.get('length', 1)
    if equation.primitive.name != 'scan':
      repeats = 1
    for value in equation.params.values():
      for each in value if isinstance(value, tuple | list) else (value,):
        body = getattr(each, 'jaxpr', each)
        if hasattr(body, 'eqns'):
          yield from _products(body, inner, times * repeats)
