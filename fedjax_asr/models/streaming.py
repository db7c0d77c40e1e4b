"""One-way models along a stream: a step takes a chunk of frames and what the
chunks before it left, and gives the outputs that these determine.

A layer that reaches ahead gives its outputs so many late, and keeps the frames
that it is still to see. Each knows the moment of every output, so that outputs
before the start and behind the end are zeros, as the padding is of the whole:
logits are those of the model on the stream as a whole, but for rounding.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fedjax_asr import config
from fedjax_asr.models import convolution, ds1, ds2, lookahead, recurrence

# Frames of a stream whose end is not known yet; the numbers of all are int32.
ENDLESS = 2**30


class Carry(NamedTuple):
  """What a step leaves to the next.

  position: of the next chunk's first frame.
  contexts: by layer that reaches over time, inputs [1, frames, units] that its
    next outputs see.
  states: by recurrent layer, [1, 1, states].
  """

  position: Int[Array, '']
  contexts: tuple[Float[Array, '1 context _'], ...]
  states: tuple[Float[Array, '1 1 _'], ...]


class Outputs(NamedTuple):
  """Of a step: logits, and which of them are of the stream."""

  logits: Float[Array, 'outputs vocab']
  is_real: Bool[Array, ' outputs']


class StreamingModel(NamedTuple):
  """Pure functions of a one-way acoustic model.

  start() -> Carry
  step(params, norm_state, features [chunk_frames, features], num_frames, carry)
    -> (Outputs, Carry), where `num_frames` are those of the stream, `ENDLESS`
    until its end is known; frames behind it change nothing
  chunk_frames: of features in a step, whole strides
  stride: feature frames to an output
  delay: outputs that a step is behind its chunk
  ahead: feature frames that an output sees behind its own moment, by the
    convolutions (of DeepSpeech 1: context windows)
  lookahead: the same, by a lookahead convolution
  """

  start: Callable[[], Carry]
  step: Callable[..., tuple[Outputs, Carry]]
  chunk_frames: int
  stride: int
  delay: int
  ahead: int
  lookahead: int


class _Reach(NamedTuple):
  """How a layer that reaches over time goes along: its inputs arrive `late`
  inputs behind the chunk, and output t sees those from t * stride - before on.
  """

  kernel: int
  stride: int
  before: int
  late: int

  @property
  def ahead(self) -> int:
    """Inputs that an output sees behind its own."""
    return self.kernel - 1 - self.before

  @property
  def delay(self) -> int:
    """Outputs behind the chunk: as few as have all that they see."""
    wait = max(self.ahead - self.stride + 1, -self.before)
    return max(0, -(-(self.late + wait) // self.stride))

  @property
  def context(self) -> int:
    """Inputs of earlier chunks that the first output of a step may see."""
    return self.delay * self.stride - self.late + self.before

  def window(
    self, inputs: Float[Array, '1 frames units'], context: Array
  ) -> tuple[Float[Array, '1 window units'], Array]:
    """What the outputs of a step see, and the context of the next."""
    window = jnp.concatenate([context, inputs], axis=1)
    outputs = inputs.shape[1] // self.stride
    seen = (outputs - 1) * self.stride + self.kernel
    return window[:, :seen], window[:, window.shape[1] - self.context :]


def check(cfg: config.ModelConfig) -> None:
  """Raises ConfigError for a model that needs the whole of an utterance.

  Batch norm goes by its running averages, other norms see one frame.
  """
  if cfg.chosen.bidirectional:
    raise config.ConfigError(
      f'model.{cfg.architecture}.bidirectional=true; want false for a stream, '
      'whose end a model of both directions would wait for.'
    )


def streaming(
  cfg: config.ModelConfig,
  num_features: int,
  vocab_size: int,
  chunk_outputs: int,
) -> StreamingModel:
  """The model that takes `chunk_outputs` strides of frames a step.

  Raises:
    ConfigError: it cannot stream.
  """
  check(cfg)
  reaches = _reaches(cfg)
  module = _module(cfg, vocab_size, reaches)
  stride = math.prod(reach.stride for reach in reaches)
  chunk_frames = chunk_outputs * stride

  def step(params, norm_state, features, num_frames, carry):
    variables = {'params': params, 'norm_state': norm_state}
    outputs: Any = module.apply(
      variables, features[None], num_frames, carry, method='along'
    )
    return outputs

  tau = cfg.ds2.lookahead if cfg.architecture is config.Architecture.DS2 else 0
  return StreamingModel(
    start=lambda: _start(cfg, num_features, reaches),
    step=step,
    chunk_frames=chunk_frames,
    stride=stride,
    delay=reaches[-1].delay,
    ahead=_ahead(reaches[: len(reaches) - bool(tau)]),
    lookahead=tau * stride,
  )


def _reaches(cfg: config.ModelConfig) -> list[_Reach]:
  """Of each layer that reaches over time, in order."""
  if cfg.architecture is config.Architecture.DS1:
    side = cfg.ds1.context_frames
    return [_Reach(2 * side + 1, cfg.ds1.time_stride, side, 0)]
  reaches, late = [], 0
  for kernel, stride in zip(
    cfg.ds2.conv_time_kernels, cfg.ds2.conv_time_strides, strict=True
  ):
    reaches.append(_Reach(kernel, stride, (kernel - 1) // 2, late))
    late = reaches[-1].delay
  if cfg.ds2.lookahead:
    reaches.append(_Reach(cfg.ds2.lookahead + 1, 1, 0, late))
  return reaches


def _ahead(reaches: list[_Reach]) -> int:
  """Frames of the first layer's inputs that the last one's output sees."""
  frames, hop = 0, 1
  for reach in reaches:
    frames += reach.ahead * hop
    hop *= reach.stride
  return frames


def _start(
  cfg: config.ModelConfig, num_features: int, reaches: list[_Reach]
) -> Carry:
  """Before the first frame there are zeros, as in the padding."""
  widths = [num_features]
  if cfg.architecture is config.Architecture.DS2:
    bins = num_features
    for channels, stride in zip(
      cfg.ds2.conv_channels, cfg.ds2.conv_frequency_strides, strict=True
    ):
      bins = convolution.output_length(bins, stride)
      widths.append(bins * channels)
    widths[len(cfg.ds2.conv_channels) :] = [cfg.ds2.recurrent_size]
  contexts = tuple(
    jnp.zeros((1, reach.context, width))
    for reach, width in zip(reaches, widths, strict=False)
  )
  cell = recurrence.CELLS[cfg.chosen.cell]
  layers = 1
  if cfg.architecture is config.Architecture.DS2:
    layers = cfg.ds2.num_recurrent_layers
  state = jnp.zeros((1, 1, cell.num_states * cfg.chosen.recurrent_size))
  return Carry(jnp.int32(0), contexts, (state,) * layers)


def _module(
  cfg: config.ModelConfig, vocab_size: int, reaches: list[_Reach]
) -> nn.Module:
  if cfg.architecture is config.Architecture.DS1:
    return _DeepSpeech1(cfg.ds1, vocab_size, reaches=tuple(reaches))
  return _DeepSpeech2(cfg.ds2, vocab_size, reaches=tuple(reaches))


class _Places:
  """Where in the stream the frames of a step are, from layer to layer."""

  def __init__(self, position: Array, num_frames: Array, frames: int):
    self._position, self._end, self._frames = position, num_frames, frames
    self._late = 0

  def after(self, reach: _Reach) -> None:
    """Goes on to a layer's outputs."""
    self._position //= reach.stride
    self._end = convolution.frames_after(self._end, (reach.stride,))
    self._frames //= reach.stride
    self._late = reach.delay

  @property
  def mask(self) -> Bool[Array, '1 frames']:
    """Frames of the stream."""
    at = self._position - self._late + jnp.arange(self._frames)
    return ((at >= 0) & (at < self._end))[None]


class _Ds1Recurrence(ds1.RecurrentLayer):
  @nn.compact
  def along(self, inputs, mask, state):
    states = recurrence.continued(*self.scanned(inputs, mask), start=state)
    return states[:, :, 0, : self.model.recurrent_size], states[:, -1]


class _DeepSpeech1(ds1.DeepSpeech1):
  """With the parameters of `ds1.DeepSpeech1`."""

  reaches: tuple[_Reach, ...] = ()

  @nn.compact
  def along(
    self,
    features: Float[Array, '1 frames features'],
    num_frames: Int[Array, ''],
    carry: Carry,
  ) -> tuple[Outputs, Carry]:
    places = _Places(carry.position, num_frames, features.shape[1])
    values = convolution.cleared(features, places.mask)
    (reach,) = self.reaches
    window, context = reach.window(values, carry.contexts[0])
    values = convolution.inner_taps(window, reach.kernel, reach.stride)
    places.after(reach)
    for index, size in enumerate(self.model.dense_sizes):
      values = self.hidden(f'dense_{index}', size, values, False)
    layer = _Ds1Recurrence(self.model, self.smoothing, name='recurrent')
    values, state = layer.along(values, places.mask, carry.states[0])
    values = self.hidden('final', self.model.final_size, values, False)
    dense = ds1.DenseLayer(self.model, self.vocab_size, name='output')
    logits = convolution.cleared(dense(values), places.mask)
    position = carry.position + features.shape[1]
    after = Carry(position, (context,), (state,))
    return Outputs(logits[0], places.mask[0]), after


class _Ds2Recurrence(ds2.RecurrentLayer):
  @nn.compact
  def along(self, inputs, mask, state):
    states = recurrence.continued(
      *self.scanned(inputs, mask, False), start=state
    )
    outputs = states[:, :, 0, : self.model.recurrent_size]
    return convolution.cleared(outputs, mask), states[:, -1]


class _DeepSpeech2(ds2.DeepSpeech2):
  """With the parameters of `ds2.DeepSpeech2`."""

  reaches: tuple[_Reach, ...] = ()

  @nn.compact
  def along(
    self,
    features: Float[Array, '1 frames features'],
    num_frames: Int[Array, ''],
    carry: Carry,
  ) -> tuple[Outputs, Carry]:
    places = _Places(carry.position, num_frames, features.shape[1])
    values = convolution.cleared(features[..., None], places.mask)
    contexts, states = [], []
    for index in range(len(self.model.conv_channels)):
      reach = self.reaches[index]
      flat = values.reshape(*values.shape[:2], -1)
      window, context = reach.window(flat, carry.contexts[index])
      contexts.append(context)
      window = window.reshape(1, -1, *values.shape[2:])
      values = self.conv_layer(index, is_padded=True)(window)
      places.after(reach)
      values = self.activated(index, values, places.mask, False)
    values = values.reshape(*values.shape[:2], -1)
    for index, state in enumerate(carry.states):
      name = f'recurrent_{index}'
      layer = _Ds2Recurrence(self.model, self.smoothing, name=name)
      values, state = layer.along(values, places.mask, state)
      states.append(state)
    if self.model.lookahead:
      reach = self.reaches[-1]
      window, context = reach.window(values, carry.contexts[-1])
      contexts.append(context)
      ahead = lookahead.Lookahead(self.model.lookahead, name='lookahead')
      values = ahead.of_window(window, values.shape[1])
      places.after(reach)
      values = convolution.cleared(values, places.mask)
    logits = nn.Dense(self.vocab_size, name='output')(values)
    logits = convolution.cleared(logits, places.mask)
    position = carry.position + features.shape[1]
    after = Carry(position, tuple(contexts), tuple(states))
    return Outputs(logits[0], places.mask[0]), after
