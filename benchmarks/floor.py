"""What a local step has to compute and to read, counted by hand.

FLOPs are of matrix products, convolutions counted without the zeros of a band:
forward, the same again for the weights' gradient, and again for the inputs'
except those of the first layer.
"""

import itertools

from fedjax_asr import config

# NVIDIA's data sheet: dense bf16 FLOP/s, bytes/s of memory.
PEAKS = {
  'H100': (989e12, 3.35e12),
  'H200': (989e12, 4.8e12),
}


def step_flops(cfg: config.ModelConfig, frames: int, width: int) -> float:
  """Of one utterance."""
  layers = _layers(cfg, frames, width)
  forward = sum(flops for flops, _ in layers)
  return 3 * forward - layers[0][0]


def _layers(cfg, frames, width):
  """(FLOPs forward, recurrent weights read at each frame) of each layer."""
  if cfg.architecture is config.Architecture.DS1:
    return _ds1(cfg.ds1, frames, width)
  return _ds2(cfg.ds2, frames, width)


def _ds1(cfg, frames, width):
  frames = -(-frames // cfg.time_stride)
  sizes = [(2 * cfg.context_frames + 1) * width, *cfg.dense_sizes]
  layers = [
    (2.0 * frames * inputs * outputs, 0)
    for inputs, outputs in itertools.pairwise(sizes)
  ]
  size = cfg.recurrent_size
  layers += _recurrent(cfg, frames, sizes[-1], shared_input=True)
  layers.append((2.0 * frames * size * cfg.final_size, 0))
  layers.append((2.0 * frames * cfg.final_size * 29, 0))
  return layers


def _ds2(cfg, frames, width):
  layers, channels, bins = [], 1, width
  for index, outputs in enumerate(cfg.conv_channels):
    frames = -(-frames // cfg.conv_time_strides[index])
    bins = -(-bins // cfg.conv_frequency_strides[index])
    taps = cfg.conv_time_kernels[index] * cfg.conv_frequency_kernels[index]
    layers.append((2.0 * frames * bins * taps * channels * outputs, 0))
    channels = outputs
  inputs = channels * bins
  for _ in range(cfg.num_recurrent_layers):
    layers += _recurrent(cfg, frames, inputs, shared_input=False)
    inputs = cfg.recurrent_size
  layers.append((2.0 * frames * inputs * 29, 0))
  return layers


def _recurrent(cfg, frames, inputs, *, shared_input):
  gates = {'gru': 3, 'lstm': 4, 'rnn': 1}[cfg.cell] * cfg.recurrent_size
  directions = 2 if cfg.bidirectional else 1
  projections = 1 if shared_input else directions
  weights = directions * cfg.recurrent_size * gates
  return [
    (2.0 * frames * inputs * projections * gates, 0),
    (2.0 * frames * weights, frames * weights),
  ]


def of_client(
  cfg: config.ModelConfig, frames: int, width: int, batch: int, device: str
) -> dict:
  """Least seconds of a client's step.

  arithmetic: at the peak of the data sheet.
  rereading: where a client has its own recurrent weights (in bf16) and they
    come from memory at each frame, forward and backward; what keeps them on
    chip, or shares them, does not have this floor.
  """
  flops = batch * step_flops(cfg, frames, width)
  read = 2 * 2 * sum(weights for _, weights in _layers(cfg, frames, width))
  record = {'gflop': round(flops / 1e9, 1), 'reread_mb': round(read / 1e6, 1)}
  peak = next((each for name, each in PEAKS.items() if name in device), None)
  if peak:
    record['arithmetic_ms'] = round(1e3 * flops / peak[0], 4)
    record['rereading_ms'] = round(1e3 * read / peak[1], 4)
  return record
