from fedjax_asr import config


def get_config(variant: str = '') -> config.Config:
  c = config.Config(name='ds2_fedavg')
  c.data.disjoint_transcripts = True
  c.model = config.ModelConfig(
    conv_channels=(16, 16),
    conv_time_kernels=(11, 5),
    conv_frequency_kernels=(21, 11),
    conv_time_strides=(2, 2),
    conv_frequency_strides=(2, 2),
    num_recurrent_layers=2,
    recurrent_size=128,
  )
  c.federated.num_rounds = 20
  return c
