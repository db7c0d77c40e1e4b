"""Acoustic models."""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded


class Architecture(enum.StrEnum):
  DS1 = 'ds1'
  DS2 = 'ds2'


class Cell(enum.StrEnum):
  GRU = 'gru'
  LSTM = 'lstm'
  RNN = 'rnn'


class Norm(enum.StrEnum):
  LAYER = 'layer'
  BATCH = 'batch'
  GROUP = 'group'
  NONE = 'none'


class Dtype(enum.StrEnum):
  FLOAT32 = 'float32'
  BFLOAT16 = 'bfloat16'


@dataclasses.dataclass(slots=True, kw_only=True)
class DeepSpeech1Config:
  """DeepSpeech 1."""

  # Frames on each side that the first layer sees beside the one at hand.
  context_frames: int = bounded(9, low=0)
  # Every so many-th window is computed (Hannun et al. 2014, 3.3).
  time_stride: int = bounded(1, low=1)
  dense_sizes: tuple[int, ...] = bounded((2048, 2048, 2048), low=1)
  cell: Cell = Cell.RNN
  recurrent_size: int = bounded(2048, low=1)
  # Directions are summed and share their input weights.
  bidirectional: bool = True
  final_size: int = bounded(2048, low=1)
  # On the outputs of each dense layer, while training.
  dropout: float = bounded(0.0, low=0.0, below=1.0)
  # Standard deviation of the initial biases; 0: they start at zero.
  bias_stddev: float = bounded(0.0, low=0.0)
  # Operands of matrix products; parameters and sums stay float32.
  dtype: Dtype = Dtype.FLOAT32


@dataclasses.dataclass(slots=True, kw_only=True)
class DeepSpeech2Config:
  """DeepSpeech 2; a tuple has one entry per convolution."""

  conv_channels: tuple[int, ...] = bounded((32, 32), low=1)
  conv_time_kernels: tuple[int, ...] = bounded((11, 11), low=1)
  conv_frequency_kernels: tuple[int, ...] = bounded((41, 21), low=1)
  conv_time_strides: tuple[int, ...] = bounded((2, 1), low=1)
  conv_frequency_strides: tuple[int, ...] = bounded((2, 2), low=1)
  cell: Cell = Cell.GRU
  num_recurrent_layers: int = bounded(3, low=1)
  recurrent_size: int = bounded(512, low=1)
  bidirectional: bool = True
  # Output frames that a one-way model sees ahead, by a lookahead convolution
  # behind the recurrent layers; 0: none.
  lookahead: int = bounded(0, low=0)
  norm: Norm = Norm.LAYER
  num_norm_groups: int = bounded(8, low=1)
  norm_momentum: float = bounded(0.9, low=0.0, below=1.0)
  # Batch norm goes by its running averages in training too, and leaves them.
  frozen_norm: bool = False
  # On the outputs of each recurrent layer, while training.
  dropout: float = bounded(0.0, low=0.0, below=1.0)
  # Operands of matrix products; parameters and sums stay float32.
  dtype: Dtype = Dtype.FLOAT32


@dataclasses.dataclass(slots=True, kw_only=True)
class ModelConfig:
  """The acoustic model; only the section of its architecture is read."""

  architecture: Architecture = Architecture.DS2
  ds1: DeepSpeech1Config = dataclasses.field(default_factory=DeepSpeech1Config)
  ds2: DeepSpeech2Config = dataclasses.field(default_factory=DeepSpeech2Config)

  @property
  def chosen(self) -> DeepSpeech1Config | DeepSpeech2Config:
    """The section of the architecture."""
    return self.ds1 if self.architecture is Architecture.DS1 else self.ds2
