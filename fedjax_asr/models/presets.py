"""Named sizes of DeepSpeech 2."""

from fedjax_asr import config


def ds2(name: str) -> config.ModelConfig:
  """A named size; each call gives a fresh record, free to be changed.

  Parameters with the project's 29 symbols, at the input each is meant for:

  `tiny`: two convolutions and 2 bidirectional GRU-128 (0.56 M at 80 log-mel);
    for a CPU.
  `base`: the paper's two convolutions and 3 bidirectional GRU-512 (10.1 M at
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
  presets = {'tiny': _tiny, 'base': _base, 'paper': _paper}
  if name not in presets:
    raise config.ConfigError(
      f'DeepSpeech 2 preset {name!r}; want one of {", ".join(presets)}.'
    )
  return presets[name]()


def _tiny():
  return config.ModelConfig(
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


def _base():
  return config.ModelConfig(
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


def _paper():
  return config.ModelConfig(
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
