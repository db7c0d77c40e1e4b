"""Named sizes of DeepSpeech 1 and 2."""

import dataclasses

from fedjax_asr import config


def ds1(name: str) -> config.ModelConfig:
  """A named size; each call gives a fresh record, free to be changed.

  Parameters with the project's 29 symbols, at the input each is meant for:

  `tiny`: layers of 256 over 6 frames on each side, every second window, a
    bidirectional recurrence of 192 (0.58 M at 80 log-mel); for a CPU.
  `paper`: Hannun et al. 2014: 5 hidden layers of 2048, the fourth a
    bidirectional recurrence with clipped ReLU, directions summed; context of
    9 frames of 81 features (80 log filterbanks and energy, here 80 log-mel);
    every second window; dropout 5% (28.3 M at 80 log-mel).
  `mozilla`: Mozilla's DeepSpeech 0.9: one-way LSTM (47,224,861 at 26 MFCC,
    `features.mfcc()`); its dropout of 40% is left to the training config.
  `privacy`: Mozilla's layers as Dang et al. 2021 (arXiv 2104.07815) attack
    them, without dropout and with biases that start at zero; take
    `features.mfcc(normalization=NONE)` with it.

  Raises:
    config.ConfigError: there is no such preset.
  """
  return config.ModelConfig(
    architecture=config.Architecture.DS1,
    ds1=_chosen('DeepSpeech 1', _DS1, name)(),
  )


def ds2(name: str) -> config.ModelConfig:
  """A named size; each call gives a fresh record, free to be changed.

  Parameters with the project's 29 symbols, at the input each is meant for:

  `tiny`: two convolutions and 2 bidirectional GRU-128 (0.56 M at 80 log-mel);
    for a CPU.
  `streaming`: the same convolutions, 2 one-way GRU-192 and a lookahead
    convolution over 12 frames ahead, which are 0.48 s (0.54 M at 80 log-mel).
  `small`: two convolutions, of which the second halves the frames, and 2
    bidirectional GRU-128 (0.81 M at 80 log-mel every 20 ms); for a CPU. Of
    each frame that the recurrence is given, units are four times as many as
    the features behind it, which an attack on it needs
    (`attacks.demixing`); of `tiny` they are as many.
  `base`: the paper's two convolutions and 3 bidirectional GRU-512 (10.1 M at
    80 log-mel).
  `large`: the convolutions of `base` and 4 bidirectional GRU-800 (30.3 M at
    80 log-mel).
  `paper`: the paper's three convolutions and 7 bidirectional simple
    recurrences of 1760 with clipped ReLU and sequence-wise batch norm (88.7 M
    at 161 spectrogram bins). Amodei et al. 2015 share the input weights
    between directions, which would make 66.5 M; here each
    direction has its own, as in most reimplementations. They report English
    results with a model of "100 million" (their 6.1.1), whose width we have
    not found stated.

  Raises:
    config.ConfigError: there is no such preset.
  """
  return config.ModelConfig(
    architecture=config.Architecture.DS2,
    ds2=_chosen('DeepSpeech 2', _DS2, name)(),
  )


def _chosen(architecture, presets, name):
  if name not in presets:
    raise config.ConfigError(
      f'{architecture} preset {name!r}; want one of {", ".join(presets)}.'
    )
  return presets[name]


def _ds2_tiny():
  return config.DeepSpeech2Config(
    conv_channels=(8, 16),
    conv_time_kernels=(11, 5),
    conv_frequency_kernels=(21, 11),
    conv_time_strides=(2, 2),
    conv_frequency_strides=(2, 2),
    cell=config.Cell.GRU,
    num_recurrent_layers=2,
    recurrent_size=128,
    bidirectional=True,
    norm=config.Norm.LAYER,
  )


def _ds2_streaming():
  return dataclasses.replace(
    _ds2_tiny(), bidirectional=False, recurrent_size=192, lookahead=12
  )


def _ds2_small():
  return config.DeepSpeech2Config(
    conv_channels=(8, 32),
    conv_time_kernels=(5, 5),
    conv_frequency_kernels=(21, 11),
    conv_time_strides=(1, 2),
    conv_frequency_strides=(2, 2),
    cell=config.Cell.GRU,
    num_recurrent_layers=2,
    recurrent_size=128,
    bidirectional=True,
    norm=config.Norm.LAYER,
  )


def _ds2_base():
  return config.DeepSpeech2Config(
    conv_channels=(32, 32),
    conv_time_kernels=(11, 11),
    conv_frequency_kernels=(41, 21),
    conv_time_strides=(2, 1),
    conv_frequency_strides=(2, 2),
    cell=config.Cell.GRU,
    num_recurrent_layers=3,
    recurrent_size=512,
    bidirectional=True,
    norm=config.Norm.LAYER,
  )


def _ds2_large():
  large = _ds2_base()
  large.num_recurrent_layers = 4
  large.recurrent_size = 800
  return large


def _ds2_paper():
  return config.DeepSpeech2Config(
    conv_channels=(32, 32, 96),
    conv_time_kernels=(11, 11, 11),
    conv_frequency_kernels=(41, 21, 21),
    conv_time_strides=(2, 1, 1),
    conv_frequency_strides=(2, 2, 2),
    cell=config.Cell.RNN,
    num_recurrent_layers=7,
    recurrent_size=1760,
    bidirectional=True,
    norm=config.Norm.BATCH,
  )


def _ds1_tiny():
  return config.DeepSpeech1Config(
    context_frames=6,
    time_stride=2,
    dense_sizes=(256, 256, 256),
    recurrent_size=192,
    final_size=256,
  )


def _ds1_paper():
  return config.DeepSpeech1Config(
    context_frames=9,
    time_stride=2,
    dense_sizes=(2048, 2048, 2048),
    cell=config.Cell.RNN,
    recurrent_size=2048,
    bidirectional=True,
    final_size=2048,
    dropout=0.05,
  )


def _ds1_mozilla():
  return config.DeepSpeech1Config(
    context_frames=9,
    dense_sizes=(2048, 2048, 2048),
    cell=config.Cell.LSTM,
    recurrent_size=2048,
    bidirectional=False,
    final_size=2048,
  )


_DS1 = {
  'tiny': _ds1_tiny,
  'paper': _ds1_paper,
  'mozilla': _ds1_mozilla,
  # The same network: what differs is the input, and that nothing is dropped.
  'privacy': _ds1_mozilla,
}
_DS2 = {
  'tiny': _ds2_tiny,
  'streaming': _ds2_streaming,
  'small': _ds2_small,
  'base': _ds2_base,
  'large': _ds2_large,
  'paper': _ds2_paper,
}
