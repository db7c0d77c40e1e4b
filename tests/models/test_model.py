import dataclasses
import functools

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets

SMALL = config.DeepSpeech2Config(
  conv_channels=(2,),
  conv_time_kernels=(3,),
  conv_frequency_kernels=(3,),
  conv_time_strides=(2,),
  conv_frequency_strides=(2,),
  cell=config.Cell.RNN,
  num_recurrent_layers=1,
  recurrent_size=4,
  norm=config.Norm.BATCH,
)


@pytest.fixture(scope='module')
def started():
  """(model, params, norm_state) of a small batch-normed recogniser."""
  acoustic = model.deepspeech2(SMALL, 6)
  return acoustic, *jax.jit(acoustic.init)(jax.random.key(0))


BATCH = jnp.ones((2, 5, 6)), jnp.array([5, 3])


def test_starting_values_are_a_function_of_the_key(started):
  acoustic, params, norm_state = started
  init = jax.jit(acoustic.init)
  again, _ = init(jax.random.key(0))
  jax.tree.map(np.testing.assert_array_equal, again, params)
  other, _ = init(jax.random.key(1))
  assert not np.array_equal(
    other['recurrent_0']['recurrent_kernel'],
    params['recurrent_0']['recurrent_kernel'],
  )
  for path, leaf in jax.tree.leaves_with_path(norm_state):
    wanted = 0.0 if path[-1].key == 'mean' else 1.0
    np.testing.assert_array_equal(leaf, wanted)
  leaves = jax.tree.leaves((params, norm_state))
  assert {leaf.dtype for leaf in leaves} == {jnp.dtype('float32')}


def test_only_training_moves_the_running_averages(started):
  acoustic, params, norm_state = started
  apply = jax.jit(acoustic.apply, static_argnames='train')
  *_, kept = apply(params, norm_state, *BATCH, train=False)
  jax.tree.map(np.testing.assert_array_equal, kept, norm_state)
  *_, moved = apply(params, norm_state, *BATCH, train=True)
  assert jax.tree.structure(moved) == jax.tree.structure(norm_state)
  for after, before in zip(
    jax.tree.leaves(moved), jax.tree.leaves(norm_state), strict=True
  ):
    assert not np.array_equal(after, before)


def test_a_model_without_running_averages_has_an_empty_state():
  acoustic = model.deepspeech2(
    dataclasses.replace(SMALL, norm=config.Norm.NONE), 6
  )
  params, norm_state = jax.eval_shape(acoustic.init, jax.random.key(0))
  assert norm_state == {}
  *_, after = jax.eval_shape(
    functools.partial(acoustic.apply, train=True), params, norm_state, *BATCH
  )
  assert after == {}


def test_dropout_without_a_key_is_an_error(started):
  _, params, norm_state = started
  acoustic = model.deepspeech2(dataclasses.replace(SMALL, dropout=0.5), 6)
  train = functools.partial(acoustic.apply, train=True)
  with pytest.raises(flax.errors.InvalidRngError):
    jax.eval_shape(train, params, norm_state, *BATCH)


def test_output_frames_are_counted_for_ints_and_arrays(started):
  acoustic, *_ = started
  assert acoustic.num_output_frames(5) == 3
  counts = acoustic.num_output_frames(np.array([0, 1, 2, 5]))
  np.testing.assert_array_equal(counts, [0, 1, 1, 3])
  counts = acoustic.num_output_frames(jnp.array([0, 1, 2, 5]))
  np.testing.assert_array_equal(counts, [0, 1, 1, 3])


def test_num_parameters_counts_scalars():
  tree = {'a': jnp.zeros((2, 3)), 'b': {'c': jnp.zeros(4), 'd': jnp.zeros(())}}
  assert model.num_parameters(tree) == 11


def test_the_configured_architecture_is_built():
  layers = config.DeepSpeech1Config(
    context_frames=1,
    time_stride=3,
    dense_sizes=(4, 4, 4),
    recurrent_size=4,
    final_size=4,
  )
  cfg = config.ModelConfig(ds1=layers, ds2=SMALL)
  for architecture, first, stride in (
    (config.Architecture.DS1, ('dense_0', (3 * 6, 4)), 3),
    (config.Architecture.DS2, ('conv_0', (3, 3, 1, 2)), 2),
  ):
    cfg.architecture = architecture
    acoustic = model.acoustic(cfg, 6)
    params, norm_state = jax.eval_shape(acoustic.init, jax.random.key(0))
    name, shape = first
    assert params[name]['kernel'].shape == shape
    assert bool(norm_state) == (architecture is config.Architecture.DS2)
    assert acoustic.num_output_frames(7) == -(-7 // stride)


def test_a_model_has_29_outputs_and_leaves_an_empty_state_empty():
  acoustic = model.deepspeech1(
    config.DeepSpeech1Config(
      dense_sizes=(4, 4, 4), recurrent_size=4, final_size=4
    ),
    6,
  )
  params, norm_state = jax.eval_shape(acoustic.init, jax.random.key(0))
  assert norm_state == {}
  logits, _, after = jax.eval_shape(
    functools.partial(acoustic.apply, train=True), params, norm_state, *BATCH
  )
  assert logits.shape == (2, 5, alphabets.ENGLISH.size)
  assert alphabets.ENGLISH.size == 29
  assert after == {}
