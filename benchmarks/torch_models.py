"""The models in PyTorch, as simulators of one client at a time have them.

Same layers, strides, masks and parameters as `fedjax_asr.models`, with cuDNN's
(or the CPU's) convolutions and recurrences. One difference, which saves PyTorch
work: layer norm stands before a recurrence's input product, as in
deepspeech.pytorch, because a fused recurrence has no room for it behind.
Without norms the loss is that of ours, which the benchmarks check.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CLIP = 20.0
EPSILON = 1e-5


def parameters(tree, device):
  """Flat {name: tensor} of a tree of arrays in PyTorch's layouts."""
  flat = {}

  def visit(prefix, node):
    for name, value in node.items():
      path = f'{prefix}{name}'
      if isinstance(value, dict):
        visit(f'{path}/', value)
      else:
        flat[path] = np.asarray(value)

  visit('', tree)
  return {
    name: torch.tensor(_laid_out(name, value), device=device)
    for name, value in flat.items()
  }


def _laid_out(name, value):
  if name.startswith('conv_') and name.endswith('kernel'):
    return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
  return value


def _per_gate(weights, order):
  """[..., gates * size] with the gates in PyTorch's order."""
  gates = weights.chunk(len(order), dim=-1)
  return torch.cat([gates[index] for index in order], dim=-1)


class _Recurrence(nn.Module):
  """nn.GRU or nn.LSTM with the project's parameters."""

  orders = {'gru': (0, 1, 2), 'lstm': (0, 1, 3, 2)}  # noqa: RUF012
  kinds = {'gru': nn.GRU, 'lstm': nn.LSTM}  # noqa: RUF012

  def __init__(self, cell, inputs, size, bidirectional):
    super().__init__()
    self.order = self.orders[cell]
    self.bidirectional = bidirectional
    self.rnn = self.kinds[cell](
      inputs, size, batch_first=True, bidirectional=bidirectional
    )

  @torch.no_grad()
  def load(self, input_kernel, recurrent_kernel, input_bias, recurrent_bias):
    """Kernels [inputs, directions, gates] and [directions, size, gates]."""
    for index in range(2 if self.bidirectional else 1):
      end = '_l0_reverse' if index else '_l0'
      for name, value in (
        ('weight_ih', input_kernel[:, index].T),
        ('weight_hh', recurrent_kernel[index].T),
        ('bias_ih', input_bias[index]),
        ('bias_hh', recurrent_bias[index]),
      ):
        gates = _per_gate(value.movedim(0, -1), self.order).movedim(-1, 0)
        getattr(self.rnn, name + end).copy_(gates)

  def forward(self, values, num_frames):
    """Directions summed; packed where utterances differ in length."""
    ragged = int(num_frames.min()) < values.shape[1]
    if ragged:
      packed = nn.utils.rnn.pack_padded_sequence(
        values, num_frames, batch_first=True, enforce_sorted=False
      )
      outputs, _ = nn.utils.rnn.pad_packed_sequence(
        self.rnn(packed)[0], batch_first=True, total_length=values.shape[1]
      )
    else:
      outputs, _ = self.rnn(values)
    if not self.bidirectional:
      return outputs
    forward, backward = outputs.chunk(2, dim=-1)
    return forward + backward


def _zero_padding(values, num_frames):
  """[batch, frames, ...], zeros behind each end; `num_frames` on the CPU."""
  frames = values.shape[1]
  if int(num_frames.min()) >= frames:
    return values
  mask = torch.arange(frames) < num_frames[:, None]
  mask = mask.to(values.device).reshape(*mask.shape, *(1,) * (values.dim() - 2))
  return values * mask


class DeepSpeech2(nn.Module):
  """`fedjax_asr.models.ds2`, with norms of kind layer or none."""

  def __init__(self, cfg, num_features, vocab_size):
    super().__init__()
    self.cfg = cfg
    self.normed = str(cfg.norm) == 'layer'
    self.convolutions = nn.ModuleList()
    channels, bins = 1, num_features
    for index, width in enumerate(cfg.conv_channels):
      kernel = (cfg.conv_time_kernels[index], cfg.conv_frequency_kernels[index])
      stride = (cfg.conv_time_strides[index], cfg.conv_frequency_strides[index])
      padding = tuple((size - 1) // 2 for size in kernel)
      self.convolutions.append(
        nn.Conv2d(channels, width, kernel, stride, padding)
      )
      channels, bins = width, -(-bins // stride[1])
    self.norms = nn.ParameterList(
      nn.Parameter(torch.stack([torch.ones(width), torch.zeros(width)]))
      for width in cfg.conv_channels
    )
    inputs, size = channels * bins, cfg.recurrent_size
    self.layers, self.layer_norms = nn.ModuleList(), nn.ModuleList()
    for _ in range(cfg.num_recurrent_layers):
      self.layer_norms.append(nn.LayerNorm(inputs))
      self.layers.append(
        _Recurrence(str(cfg.cell), inputs, size, cfg.bidirectional)
      )
      inputs = size
    self.output = nn.Linear(size, vocab_size)

  @torch.no_grad()
  def load(self, params):
    """Parameters of `fedjax_asr`; norms start at one and zero in both."""
    device = self.output.weight.device
    flat = parameters(params, device)
    for index, convolution in enumerate(self.convolutions):
      convolution.weight.copy_(flat[f'conv_{index}/kernel'])
      convolution.bias.copy_(flat[f'conv_{index}/bias'])
    for index, layer in enumerate(self.layers):
      kernel = flat[f'recurrent_{index}/input_kernel']
      recurrent = flat[f'recurrent_{index}/recurrent_kernel']
      directions, _, gates = recurrent.shape
      bias = flat[f'recurrent_{index}/bias']
      layer.load(
        kernel.reshape(-1, directions, gates),
        recurrent,
        torch.zeros_like(bias),
        bias,
      )
    self.output.weight.copy_(flat['output/kernel'].T)
    self.output.bias.copy_(flat['output/bias'])

  def forward(self, features, num_frames):
    values = features[:, None]
    for convolution, norm in zip(self.convolutions, self.norms, strict=True):
      values = convolution(values)
      stride = convolution.stride[0]
      num_frames = (num_frames + stride - 1) // stride
      values = values.permute(0, 2, 3, 1)
      if self.normed:
        normal = functional.layer_norm(values, values.shape[2:], eps=EPSILON)
        values = normal * norm[0] + norm[1]
      values = functional.hardtanh(values, 0.0, CLIP)
      values = _zero_padding(values, num_frames).permute(0, 3, 1, 2)
    values = values.permute(0, 2, 3, 1).flatten(2)
    for norm, layer in zip(self.layer_norms, self.layers, strict=True):
      values = layer(norm(values) if self.normed else values, num_frames)
    return self.output(values), num_frames


class DeepSpeech1(nn.Module):
  """`fedjax_asr.models.ds1` with a one-way LSTM and no dropout."""

  def __init__(self, cfg, num_features, vocab_size):
    super().__init__()
    if str(cfg.cell) != 'lstm' or cfg.bidirectional or cfg.dropout:
      raise ValueError('want a one-way LSTM without dropout.')
    self.cfg = cfg
    inputs = (2 * cfg.context_frames + 1) * num_features
    self.dense = nn.ModuleList()
    for size in cfg.dense_sizes:
      self.dense.append(nn.Linear(inputs, size))
      inputs = size
    self.layer = _Recurrence('lstm', inputs, cfg.recurrent_size, False)
    self.final = nn.Linear(cfg.recurrent_size, cfg.final_size)
    self.output = nn.Linear(cfg.final_size, vocab_size)

  @torch.no_grad()
  def load(self, params):
    flat = parameters(params, self.output.weight.device)
    names = [f'dense_{index}' for index in range(len(self.dense))]
    modules = [*self.dense, self.final, self.output]
    for name, module in zip([*names, 'final', 'output'], modules, strict=True):
      module.weight.copy_(flat[f'{name}/kernel'].T)
      module.bias.copy_(flat[f'{name}/bias'])
    bias = flat['recurrent/input/bias'][None]
    self.layer.load(
      flat['recurrent/input/kernel'][:, None],
      flat['recurrent/recurrent_kernel'],
      bias,
      torch.zeros_like(bias),
    )

  def forward(self, features, num_frames):
    context, stride = self.cfg.context_frames, self.cfg.time_stride
    padded = functional.pad(features, (0, 0, context, context))
    windows = padded.unfold(1, 2 * context + 1, stride).transpose(2, 3)
    values = windows.flatten(2)
    num_frames = (num_frames + stride - 1) // stride
    for dense in self.dense:
      values = functional.hardtanh(dense(values), 0.0, CLIP)
    values = self.layer(values, num_frames)
    values = functional.hardtanh(self.final(values), 0.0, CLIP)
    return self.output(values), num_frames


def model(cfg, num_features, vocab_size):
  """The architecture of a `config.ModelConfig`."""
  if str(cfg.architecture) == 'ds1':
    return DeepSpeech1(cfg.ds1, num_features, vocab_size)
  return DeepSpeech2(cfg.ds2, num_features, vocab_size)


def loss(module, features, num_frames, labels, num_labels, blank):
  """Mean CTC loss of a batch; counts and labels are on the CPU."""
  logits, num_outputs = module(features, num_frames)
  scores = functional.log_softmax(logits.float(), -1).transpose(0, 1)
  losses = functional.ctc_loss(
    scores, labels, num_outputs, num_labels, blank=blank, reduction='none'
  )
  return losses.mean()
