"""A run's model as programs of any size: from features, and from waveforms."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Float, Int

from fedjax_asr import saved_run
from fedjax_asr.decoding import greedy, long_form
from fedjax_asr.speech import alphabets, audio, features, jax_features

PLATFORMS = ('cpu', 'cuda')


def of_features(saved: saved_run.SavedRun) -> export.Exported:
  """(features, num_frames) -> (log_probs, num_outputs), weights inside."""
  num_features = saved.config.features.num_features
  return _exported(forward(saved), 'batch, frames', (num_features,))


def of_waveforms(saved: saved_run.SavedRun) -> export.Exported:
  """(waveforms, num_samples) -> (path, log_probs, num_outputs).

  Raises:
    ValueError: the features are precomputed.
  """
  return _exported(listen(saved), 'batch, samples', ())


def _exported(function: Callable, axes: str, inner: tuple[int, ...]):
  batch, length = export.symbolic_shape(axes)
  # In the program for good: a GPU would round the operands of products to
  # TF32, and log probabilities would differ by 0.01.
  with jax.default_matmul_precision('highest'):
    return export.export(jax.jit(function), platforms=PLATFORMS)(
      jax.ShapeDtypeStruct((batch, length, *inner), np.float32),
      jax.ShapeDtypeStruct((batch,), np.int32),
    )


def forward(saved: saved_run.SavedRun):
  """The function of `of_features`."""
  stride = long_form.time_stride(saved.acoustic)

  def forward(
    features: Float[Array, 'batch frames features'],
    num_frames: Int[Array, ' batch'],
  ) -> tuple[Float[Array, 'batch outputs vocab'], Int[Array, ' batch']]:
    # Whole strides, whose number is all that the sizes of layers then depend
    # on: else JAX cannot compare them while the number of frames is a symbol.
    # A gather, because a pad would be such a comparison.
    frames = features.shape[1]
    places = jnp.arange((frames + stride - 1) // stride * stride)
    whole = features[:, jnp.minimum(places, frames - 1)]
    return _applied(saved, whole, num_frames)

  return forward


def listen(saved: saved_run.SavedRun):
  """The function of `of_waveforms`."""
  cfg = saved.config.features
  stride, hop = long_form.time_stride(saved.acoustic), features.hop_length(cfg)

  def listen(
    waveforms: Float[Array, 'batch samples'], num_samples: Int[Array, ' batch']
  ) -> tuple[
    Int[Array, 'batch outputs'],
    Float[Array, 'batch outputs vocab'],
    Int[Array, ' batch'],
  ]:
    # Whole strides, as above; a hop is never longer than a window.
    frames = (waveforms.shape[1] // hop + stride) // stride * stride

    def analysed(waveform, count):
      values, num_frames = jax_features.extract_padded(
        waveform, count, frames, cfg
      )
      values = jax_features.normalize(
        values, num_frames, cfg.normalization, saved.statistics
      )
      return values, num_frames, _is_silent(waveform, count)

    values, num_frames, is_silent = jax.vmap(analysed)(waveforms, num_samples)
    log_probs, num_outputs = _applied(saved, values, num_frames)
    path = greedy.path(log_probs, num_outputs)
    # Normalised by itself, silence would be noise at the level of speech.
    path = jnp.where(is_silent[:, None], alphabets.BLANK, path)
    return path, log_probs, num_outputs

  return listen


def _is_silent(waveform: Float[Array, ' samples'], count: Int[Array, '']):
  """`audio.is_silent` of the first `count` samples."""
  is_heard = jnp.arange(waveform.shape[0]) < count
  heard = jnp.where(is_heard, waveform, 0)
  spread = jnp.ptp(jnp.where(is_heard, waveform, waveform[0]))
  return (jnp.abs(heard).max() < audio.SILENCE) | (spread < audio.SILENCE)


def _applied(saved: saved_run.SavedRun, values: Array, num_frames: Array):
  logits, num_outputs, _ = saved.acoustic.apply(
    saved.params, saved.norm_state, values, num_frames, train=False
  )
  return jax.nn.log_softmax(logits), num_outputs
