import jax
import pytest

from fedjax_asr import config, validation
from fedjax_asr.models import model, presets


def num_parameters(name, num_features):
  acoustic = model.acoustic(presets.ds2(name), num_features)
  params, _ = jax.eval_shape(acoustic.init, jax.random.key(0))
  return model.num_parameters(params)


def test_tiny_has_its_parameters():
  # 80 bins, 40 and 20 after the convolutions; 6 = 2 directions x 3 gates.
  convolutions = (11 * 21 * 8 + 8) + (5 * 11 * 8 * 16 + 16) + 2 * (8 + 16)
  first = (20 * 16 + 128) * 6 * 128 + 3 * 6 * 128
  second = (128 + 128) * 6 * 128 + 3 * 6 * 128
  assert convolutions + first + second + 128 * 29 + 29 == 557_981
  assert num_parameters('tiny', 80) == 557_981


def test_base_has_its_parameters():
  convolutions = (11 * 41 * 32 + 32) + (11 * 21 * 32 * 32 + 32) + 2 * (32 + 32)
  first = (20 * 32 + 512) * 6 * 512 + 3 * 6 * 512
  others = 2 * ((512 + 512) * 6 * 512 + 3 * 6 * 512)
  assert convolutions + first + others + 512 * 29 + 29 == 10_124_093
  assert num_parameters('base', 80) == 10_124_093


def test_paper_has_its_parameters():
  # 161 bins, 81, 41 and 21 after the convolutions.
  convolutions = (
    (11 * 41 * 32 + 32)
    + (11 * 21 * 32 * 32 + 32)
    + (11 * 21 * 32 * 96 + 96)
    + 2 * (32 + 32 + 96)
  )
  # Two directions: input and recurrent weights, bias, and the norm's pair.
  first = 2 * (21 * 96 * 1760 + 1760 * 1760 + 1760 + 2 * 1760)
  others = 6 * 2 * (1760 * 1760 + 1760 * 1760 + 1760 + 2 * 1760)
  assert convolutions + first + others + 1760 * 29 + 29 == 88_719_997
  assert num_parameters('paper', 161) == 88_719_997


def test_paper_is_the_papers():
  paper = presets.ds2('paper').ds2
  assert paper.conv_channels == (32, 32, 96)
  assert paper.conv_time_kernels == (11, 11, 11)
  assert paper.conv_frequency_kernels == (41, 21, 21)
  assert paper.conv_time_strides == (2, 1, 1)
  assert paper.conv_frequency_strides == (2, 2, 2)
  assert (paper.num_recurrent_layers, paper.recurrent_size) == (7, 1760)
  assert paper.cell is config.Cell.RNN
  assert paper.norm is config.Norm.BATCH
  assert paper.bidirectional


@pytest.mark.parametrize('name', ['tiny', 'base', 'paper'])
def test_presets_are_valid_and_fresh(name):
  cfg = config.Config(model=presets.ds2(name))
  validation.validate(cfg)
  cfg.model.ds2.recurrent_size = 1
  assert presets.ds2(name).ds2.recurrent_size > 1


def test_an_unknown_preset_names_those_there_are():
  with pytest.raises(config.ConfigError) as error:
    presets.ds2('papr')
  message = str(error.value)
  assert "'papr'" in message
  assert 'tiny, base, paper' in message
  assert '\n' not in message
