import jax
import numpy as np
import pytest
import quick

from fedjax_asr import config, validation
from fedjax_asr.models import model
from fedjax_asr.presets import features, models


def num_parameters(preset, num_features):
  acoustic = model.acoustic(preset, num_features)
  params, _ = jax.eval_shape(acoustic.init, jax.random.key(0))
  return model.num_parameters(params)


def test_ds2_tiny_has_its_parameters():
  # 80 bins, 40 and 20 after the convolutions; 6 = 2 directions x 3 gates.
  convolutions = (11 * 21 * 8 + 8) + (5 * 11 * 8 * 16 + 16) + 2 * (8 + 16)
  first = (20 * 16 + 128) * 6 * 128 + 3 * 6 * 128
  second = (128 + 128) * 6 * 128 + 3 * 6 * 128
  assert convolutions + first + second + 128 * 29 + 29 == 557_981
  assert num_parameters(models.ds2('tiny'), 80) == 557_981


def test_ds2_small_has_its_parameters():
  # 80 bins, 40 and 20 after the convolutions.
  convolutions = (5 * 21 * 8 + 8) + (5 * 11 * 8 * 32 + 32) + 2 * (8 + 32)
  first = (20 * 32 + 128) * 6 * 128 + 3 * 6 * 128
  second = (128 + 128) * 6 * 128 + 3 * 6 * 128
  assert convolutions + first + second + 128 * 29 + 29 == 809_821
  assert num_parameters(models.ds2('small'), 80) == 809_821


def test_ds2_base_has_its_parameters():
  convolutions = (11 * 41 * 32 + 32) + (11 * 21 * 32 * 32 + 32) + 2 * (32 + 32)
  first = (20 * 32 + 512) * 6 * 512 + 3 * 6 * 512
  others = 2 * ((512 + 512) * 6 * 512 + 3 * 6 * 512)
  assert convolutions + first + others + 512 * 29 + 29 == 10_124_093
  assert num_parameters(models.ds2('base'), 80) == 10_124_093


def test_ds2_large_has_its_parameters():
  convolutions = (11 * 41 * 32 + 32) + (11 * 21 * 32 * 32 + 32) + 2 * (32 + 32)
  first = (20 * 32 + 800) * 6 * 800 + 3 * 6 * 800
  others = 3 * ((800 + 800) * 6 * 800 + 3 * 6 * 800)
  assert convolutions + first + others + 800 * 29 + 29 == 30_283_997
  assert num_parameters(models.ds2('large'), 80) == 30_283_997


def test_ds2_paper_has_its_parameters():
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
  assert num_parameters(models.ds2('paper'), 161) == 88_719_997


def test_ds2_paper_is_the_papers():
  paper = models.ds2('paper').ds2
  assert paper.conv_channels == (32, 32, 96)
  assert paper.conv_time_kernels == (11, 11, 11)
  assert paper.conv_frequency_kernels == (41, 21, 21)
  assert paper.conv_time_strides == (2, 1, 1)
  assert paper.conv_frequency_strides == (2, 2, 2)
  assert (paper.num_recurrent_layers, paper.recurrent_size) == (7, 1760)
  assert paper.cell is config.Cell.RNN
  assert paper.norm is config.Norm.BATCH
  assert paper.bidirectional


def test_ds1_tiny_has_its_parameters():
  # A window of 6 + 1 + 6 frames.
  dense = (13 * 80 * 256 + 256) + 2 * (256 * 256 + 256)
  # Both directions share the input weights and the bias.
  recurrence = 256 * 192 + 192 + 2 * 192 * 192
  total = dense + recurrence + (192 * 256 + 256) + 256 * 29 + 29
  assert total == 578_013
  assert num_parameters(models.ds1('tiny'), 80) == total


def test_ds1_paper_has_its_parameters():
  square = 2048 * 2048 + 2048
  dense = (19 * 80 * 2048 + 2048) + 2 * square
  recurrence = square + 2 * 2048 * 2048
  total = dense + recurrence + square + 2048 * 29 + 29
  assert total == 28_348_445
  assert num_parameters(models.ds1('paper'), 80) == total


@pytest.mark.parametrize('name', ['mozilla', 'privacy'])
def test_ds1_mozilla_has_its_parameters(name):
  square = 2048 * 2048 + 2048
  dense = (19 * 26 * 2048 + 2048) + 2 * square
  lstm = (2048 + 2048) * 4 * 2048 + 4 * 2048
  assert dense + lstm + square + 2048 * 29 + 29 == 47_224_861
  found = num_parameters(models.ds1(name), features.mfcc().num_features)
  assert found == 47_224_861


def test_ds1_paper_is_the_papers():
  paper = models.ds1('paper').ds1
  assert paper.context_frames == 9
  assert paper.time_stride == 2
  assert paper.dense_sizes == (2048, 2048, 2048)
  assert (paper.recurrent_size, paper.final_size) == (2048, 2048)
  assert paper.cell is config.Cell.RNN
  assert paper.bidirectional
  assert paper.dropout == 0.05


def test_privacy_is_the_setting_of_gradient_matching():
  """Dang et al. 2021: raw MFCC, one-way LSTM, nothing random, zero biases."""
  privacy = models.ds1('privacy').ds1
  assert privacy.context_frames == 9
  assert privacy.time_stride == 1
  assert privacy.dense_sizes == (2048, 2048, 2048)
  assert (privacy.recurrent_size, privacy.final_size) == (2048, 2048)
  assert privacy.cell is config.Cell.LSTM
  assert not privacy.bidirectional
  assert privacy.dropout == 0.0
  assert privacy.bias_stddev == 0.0
  raw = features.mfcc(normalization=config.Normalization.NONE)
  assert raw.normalization is config.Normalization.NONE
  assert raw.num_features == 26
  # A fortieth of its width, so that it is made in a second.
  privacy.dense_sizes, privacy.recurrent_size = (51, 51, 51), 51
  privacy.final_size = 51
  acoustic = model.deepspeech1(privacy, raw.num_features)
  params, _ = quick.jit(acoustic.init)(jax.random.key(0))
  assert params['dense_0']['kernel'].shape == (19 * 26, 51)
  for path, leaf in jax.tree.leaves_with_path(params):
    assert np.all(leaf == 0) == (path[-1].key == 'bias')


ARCHITECTURES = [
  (models.ds1, ('tiny', 'paper', 'mozilla', 'privacy')),
  (models.ds2, ('tiny', 'streaming', 'small', 'base', 'large', 'paper')),
]
NAMED = [(make, name) for make, names in ARCHITECTURES for name in names]


@pytest.mark.parametrize(('make', 'name'), NAMED)
def test_presets_are_valid_and_fresh(make, name):
  cfg = config.Config(model=make(name))
  validation.validate(cfg)
  for section in (cfg.model.ds1, cfg.model.ds2):
    section.recurrent_size = 1
  assert make(name).ds1.recurrent_size > 1
  assert make(name).ds2.recurrent_size > 1


@pytest.mark.parametrize(('make', 'names'), ARCHITECTURES)
def test_an_unknown_preset_names_those_there_are(make, names):
  with pytest.raises(config.ConfigError) as error:
    make('papr')
  message = str(error.value)
  assert "'papr'" in message
  assert ', '.join(names) in message
  assert '\n' not in message
