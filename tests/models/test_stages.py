import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.models import model, stages
from fedjax_asr.presets import models


def of(made, num_frames=200, width=80):
  found = stages.stages(made, width, 29, num_frames)
  return {stage.name: stage for stage in found}


def test_shapes_and_products_of_deepspeech_1_by_hand():
  # Windows of 13 frames of 80, every second; layers of 256, states of 192.
  found = of(models.ds1('tiny'))
  assert list(found) == [
    'dense_0',
    'dense_1',
    'dense_2',
    'recurrent',
    'final',
    'output',
  ]
  assert found['dense_0'].inputs == (100, 1040)
  assert found['dense_0'].flops == 2 * 100 * 1040 * 256
  assert found['dense_0'].num_parameters == 1040 * 256 + 256
  # The input weights are shared, each direction has its recurrent ones.
  assert found['recurrent'].flops == 2 * 100 * 192 * (256 + 2 * 192)
  assert found['output'].outputs == (100, 29)
  assert found['output'].flops == 2 * 100 * 256 * 29


def test_shapes_and_products_of_deepspeech_2_by_hand():
  found = of(models.ds2('tiny'))
  assert found['conv_0'].outputs == (100, 40, 8)
  assert found['conv_1'].outputs == (50, 20, 16)
  # A band has zeros: one matrix of 80 x 320 for each of 11 taps over time,
  # which a kernel of 21 over frequency would need a quarter of.
  assert found['conv_0'].flops > 2 * 100 * 40 * 8 * 11 * 21
  # Three gates, two directions, in every frame of a scan.
  recurrent = found['recurrent_0']
  assert recurrent.inputs == (50, 320)
  assert recurrent.flops == 2 * 50 * 2 * 3 * 128 * (320 + 128)
  assert found['conv_norm_0'].flops == 0
  assert found['output'].flops == 2 * 50 * 128 * 29


@pytest.mark.parametrize(
  'made', [models.ds1('tiny'), models.ds2('small'), models.ds2('streaming')]
)
def test_parameters_are_all_of_the_model(made):
  acoustic = model.acoustic(made, 80)
  params, _ = jax.eval_shape(acoustic.init, jax.random.key(0))
  found = of(made)
  assert set(found) == set(params)
  assert sum(stage.num_parameters for stage in found.values()) == (
    model.num_parameters(params)
  )


def test_twice_the_frames_are_twice_the_products():
  once, twice = (of(models.ds2('small'), frames) for frames in (160, 320))
  for name, stage in once.items():
    # Convolutions have some frames of padding besides.
    slack = 0.15 if name.startswith('conv_') else 0
    assert twice[name].flops == pytest.approx(2 * stage.flops, rel=slack)


@pytest.mark.parametrize('strides', [(2, 2), (1, 3)])
def test_receptive_field_is_what_an_output_sees(strides):
  made = models.ds2('tiny')
  made.ds2 = config.DeepSpeech2Config(
    conv_channels=(2, 2),
    conv_time_kernels=(3, 5),
    conv_frequency_kernels=(3, 3),
    conv_time_strides=strides,
    conv_frequency_strides=(2, 2),
    norm=config.Norm.LAYER,
    num_recurrent_layers=1,
    recurrent_size=3,
  )
  acoustic = model.acoustic(made, 6)
  params, state = acoustic.init(jax.random.key(0))
  features = jax.random.normal(jax.random.key(1), (1, 48, 6)) + 3
  count = jnp.array([48])

  def front(values):
    assert acoustic.front is not None
    outputs, *_ = acoustic.front(params, state, values, count, train=False)
    return outputs[0]

  slopes = jax.jit(jax.jacobian(front))(features)
  seen = np.abs(slopes).sum(axis=(1, 2, 4)) > 0
  frames, hop = stages.receptive_frames(made)
  firsts = []
  # Those that see no padding.
  for row in seen[4:-4]:
    places = np.flatnonzero(row)
    firsts.append(places[0])
    assert places[-1] - places[0] + 1 == frames
  assert {b - a for a, b in itertools.pairwise(firsts)} == {hop}
