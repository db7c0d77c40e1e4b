"""DeepSpeech 1 where its logits are known by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import quick

from fedjax_asr import config
from fedjax_asr.models import model


def transparent(**changes):
  """Layers that hand on what they get: logits are the window itself.

  One feature and one frame of context, three units throughout; where there
  are two directions, the logits are twice the window.
  """
  cfg = config.DeepSpeech1Config(
    context_frames=1,
    dense_sizes=(3, 3, 3),
    recurrent_size=3,
    final_size=3,
    **changes,
  )
  acoustic = model.deepspeech1(cfg, 1)
  shapes, _ = jax.eval_shape(acoustic.init, jax.random.key(0))

  def pass_on(path, leaf):
    if path[-1].key == 'kernel':
      return jnp.eye(*leaf.shape)
    return jnp.zeros(leaf.shape)

  return acoustic, jax.tree.map_with_path(pass_on, shapes)


def windows(values, **changes):
  """The first three logits of one utterance of one feature."""
  acoustic, params = transparent(**changes)
  features = jnp.asarray(values, jnp.float32)[None, :, None]
  run = quick.jit(acoustic.apply, static_argnames='train')
  logits, *_ = run(params, {}, features, jnp.array([len(values)]), train=False)
  np.testing.assert_array_equal(logits[..., 3:], 0.0)
  return logits[0, :, :3]


def test_windows_have_zeros_beyond_the_ends():
  np.testing.assert_allclose(
    windows([1, 2, 3, 4], time_stride=1, bidirectional=False),
    [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]],
  )
  np.testing.assert_allclose(
    windows([1, 2, 3, 4], time_stride=2, bidirectional=False),
    [[0, 1, 2], [2, 3, 4]],
  )


def test_hidden_values_are_cut_at_0_and_20():
  np.testing.assert_allclose(
    windows([-7, 7, 26], time_stride=3, bidirectional=False), [[0, 0, 7]]
  )
  np.testing.assert_allclose(
    windows([7, 26], time_stride=2, bidirectional=False), [[0, 7, 20]]
  )


def test_directions_are_summed_and_the_sum_is_cut_after_the_next_layer():
  np.testing.assert_allclose(
    windows([3, 15], time_stride=2, bidirectional=True), [[0, 6, 20]]
  )


def test_dropout_follows_each_of_the_four_dense_layers_and_no_other():
  acoustic, params = transparent(
    dropout=0.5, bidirectional=False, time_stride=1
  )
  features = jnp.full((8, 500, 1), 0.5)
  run = quick.jit(acoustic.apply, static_argnames='train')
  logits, *_ = run(
    params,
    {},
    features,
    jnp.full(8, 500),
    train=True,
    key=jax.random.key(0),
  )
  centre = logits[..., 1]
  # What survives four layers was doubled four times.
  np.testing.assert_array_equal(np.unique(centre), [0.0, 8.0])
  np.testing.assert_allclose(np.mean(centre > 0), 1 / 16, atol=0.012)
