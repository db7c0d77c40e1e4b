"""Updates of a small DeepSpeech 1 that are not what they seem, by kind.

Each is made from the gradient of one utterance (`victim`): of speech that is as
it should not be, with windows missing, destroyed, or added up. What is true of
it stands in `Case.truths`.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fedjax_asr import config
from fedjax_asr.attacks import context_windows, observation
from fedjax_asr.federated import cohort, local_gradient
from fedjax_asr.models import model

CONTEXT, NUM_FEATURES, NUM_UNITS = 3, 13, 160
SHAPE = context_windows.Shape(CONTEXT, 1, NUM_FEATURES)
MAX_FRAMES, MAX_BATCH, MAX_STEPS = 96, 3, 8
RATE = 1e-3


class Victim(NamedTuple):
  """An utterance and the gradient of a client that trained on it alone."""

  params: dict
  speech: np.ndarray
  update: dict


class Case(NamedTuple):
  """An update that an attacker is shown, and the speech behind it.

  num_steps: that the attacker is told; 0: a gradient.
  """

  update: dict
  truths: tuple[np.ndarray, ...]
  num_steps: int = 0


@functools.cache
def model_config(dtype=config.Dtype.FLOAT32) -> config.ModelConfig:
  return config.ModelConfig(
    architecture=config.Architecture.DS1,
    ds1=config.DeepSpeech1Config(
      context_frames=CONTEXT,
      dense_sizes=(NUM_UNITS, 64, 48),
      recurrent_size=24,
      final_size=48,
      dtype=dtype,
    ),
  )


@functools.cache
def acoustic(dtype=config.Dtype.FLOAT32) -> model.Model:
  return model.acoustic(model_config(dtype), NUM_FEATURES)


@functools.cache
def _gradient(dtype=config.Dtype.FLOAT32) -> Callable:
  """Jitted, of one batch; of each shape once."""
  training = functools.partial(local_gradient.batch_loss, acoustic(dtype))
  return jax.jit(
    lambda params, batch: jax.grad(training, has_aux=True)(
      params, {}, batch, jax.random.key(0)
    )[0]
  )


def gradient(params, utterances, dtype=config.Dtype.FLOAT32) -> dict:
  """Of the mean loss over these utterances, as NumPy arrays."""
  lengths = [len(each) for each in utterances]
  missing = MAX_BATCH - len(utterances)
  features = np.zeros((MAX_BATCH, MAX_FRAMES, NUM_FEATURES), np.float32)
  for row, utterance in zip(features, utterances, strict=False):
    row[: len(utterance)] = utterance
  batch = cohort.Batch(
    features=jnp.asarray(features),
    num_frames=jnp.array(lengths + missing * [0]),
    labels=jnp.tile(jnp.array([[3, 9, 20, 5]]), (MAX_BATCH, 1)),
    num_labels=jnp.array(len(lengths) * [4] + missing * [0]),
  )
  return jax.device_get(_gradient(dtype)(params, batch))


def parameters(rng: np.random.Generator) -> dict:
  """Fresh, but with biases, so that a wrong size can be told."""
  params, _ = acoustic().init(jax.random.key(int(rng.integers(2**31))))
  return jax.tree.map(
    lambda leaf: (
      np.asarray(leaf)
      + (leaf.ndim == 1) * 0.1 * rng.standard_normal(leaf.shape, np.float32)
    ),
    params,
  )


def speech(rng: np.random.Generator, num_frames: int) -> np.ndarray:
  """Smooth in time, of features whose sizes fall; some with an offset."""
  values = rng.standard_normal((num_frames + 1, NUM_FEATURES))
  for frame in range(1, len(values)):
    values[frame] = 0.7 * values[frame - 1] + 0.7 * values[frame]
  sizes = np.exp(-rng.uniform(0, 0.15) * np.arange(NUM_FEATURES))
  offset = rng.choice([0.0, 1.0]) * rng.standard_normal(NUM_FEATURES)
  return ((values[1:] + offset) * sizes).astype(np.float32)


def victim(rng: np.random.Generator) -> Victim:
  params, spoken = parameters(rng), speech(rng, int(rng.integers(14, 56)))
  return Victim(params, spoken, gradient(params, [spoken]))


# --- updates of speech that is as it should not be ---


def _sent(who: Victim, *utterances: np.ndarray) -> Case:
  return Case(gradient(who.params, utterances), utterances)


def _inserted(who, rng, frames: Callable[[int], np.ndarray]) -> Case:
  """Frames at the front, in the middle or at the end; at most 64 in all."""
  count = int(rng.integers(1, 3 * SHAPE.width))
  kept = who.speech[: 64 - count]
  place = int(rng.choice([0, len(kept) // 2, len(kept)]))
  return _sent(who, np.insert(kept, [place] * count, frames(count), axis=0))


def silence(who, rng):
  frame = rng.standard_normal(NUM_FEATURES).astype(np.float32)
  return _inserted(who, rng, lambda count: np.tile(frame, (count, 1)))


def zero_frames(who, rng):
  return _inserted(who, rng, lambda n: np.zeros((n, NUM_FEATURES), np.float32))


def held_frame(who, rng):
  """A frame of the utterance itself, repeated."""
  frame = who.speech[rng.integers(len(who.speech))]
  return _inserted(who, rng, lambda count: np.tile(frame, (count, 1)))


def periodic(who, rng):
  period = speech(rng, int(rng.integers(2, 5)))
  return _inserted(who, rng, lambda count: np.tile(period, (count, 1))[:count])


def silence_twice(who, rng):
  first, second = np.split(who.speech[:40], [20])
  frame = rng.standard_normal(NUM_FEATURES).astype(np.float32)
  gaps = [np.tile(frame, (int(n), 1)) for n in rng.integers(6, 12, 2)]
  return _sent(who, np.concatenate([first, gaps[0], second, gaps[1]]))


def batch(who, rng):
  others = [speech(rng, int(n)) for n in rng.integers(12, 24, 2)]
  return _sent(who, who.speech[:24], *others[: int(rng.integers(1, 3))])


def batch_of_one_length(who, rng):
  return _sent(who, who.speech[:14], speech(rng, 14))


def batch_with_its_beginning(who, rng):
  return _sent(who, who.speech[:36], who.speech[: int(rng.integers(10, 24))])


def batch_with_a_twin(who, rng):
  return _sent(who, who.speech[:36], who.speech[:36])


def batch_with_shared_frames(who, rng):
  shared = who.speech[:14]
  front, back = speech(rng, 10), speech(rng, 10)
  return _sent(
    who, np.concatenate([front, shared]), np.concatenate([shared, back])
  )


def too_long(who, rng):
  return _sent(who, speech(rng, int(rng.integers(76, 96))))


def local_steps(who, rng):
  steps = int(rng.integers(2, MAX_STEPS + 1))
  return _trained(who, [who.speech], steps)


def local_steps_of_silence(who, rng):
  case = silence(who, rng)
  return _trained(who, case.truths, int(rng.integers(2, MAX_STEPS + 1)))


def _trained(who, utterances, num_steps) -> Case:
  local, rate = who.params, np.float32(RATE)
  for _ in range(num_steps):
    update = gradient(local, utterances)
    local = jax.tree.map(
      lambda p, g: (p - rate * g).astype(np.float32), local, update
    )
  delta = jax.tree.map(np.subtract, who.params, local)
  return Case(delta, tuple(utterances), num_steps)


def _after_steps(damage: Callable[[Victim, np.random.Generator], Case]):
  """The same to the delta of several steps."""

  def made(who, rng):
    sent = local_steps(who, rng)
    damaged = damage(who._replace(update=sent.update), rng)
    return damaged._replace(num_steps=sent.num_steps)

  return made


def bfloat16_products(who, rng):
  update = gradient(who.params, [who.speech], config.Dtype.BFLOAT16)
  return Case(update, (who.speech,))


# --- updates whose windows are not all there ---


def _of_windows(who, keep: np.ndarray) -> Case:
  """As if nothing had been sent back to windows that are not kept."""
  seen = context_windows.windows(
    who.speech.astype(np.float64), SHAPE, len(who.speech)
  )
  kernel = np.asarray(who.update['dense_0']['kernel'], np.float64)
  signals, *_ = np.linalg.lstsq(seen.T, kernel, rcond=None)
  signals = signals * keep[:, None]
  return _first_layer(
    who,
    (seen.T @ signals).astype(np.float32),
    signals.sum(0).astype(np.float32),
  )


def _first_layer(who, kernel, bias) -> Case:
  layer = {'kernel': kernel, 'bias': bias}
  return Case({**who.update, 'dense_0': layer}, (who.speech,))


def _kept(who) -> np.ndarray:
  return np.ones(len(who.speech))


def middle_windows_silent(who, rng):
  keep, count = _kept(who), int(rng.integers(1, 13))
  start = int(rng.integers(1, max(len(keep) - count - 1, 2)))
  keep[start : start + count] = 0
  return _of_windows(who, keep)


def first_windows_silent(who, rng):
  keep = _kept(who)
  keep[: int(rng.integers(1, 13))] = 0
  return _of_windows(who, keep)


def last_windows_silent(who, rng):
  keep = _kept(who)
  keep[-int(rng.integers(1, 13)) :] = 0
  return _of_windows(who, keep)


def random_windows_silent(who, rng):
  share = rng.choice([0.05, 0.2, 0.5])
  return _of_windows(who, (rng.random(len(who.speech)) > share) * 1.0)


def windows_fade(who, rng):
  """As towards the end of an utterance that a trained model is sure of."""
  fall = rng.uniform(0.5, 3) * np.arange(len(who.speech))[::-1]
  last = int(rng.integers(4, 20))
  keep = np.minimum(1.0, 10 ** ((fall - fall[-last]) / 4))
  return _of_windows(who, keep)


def middle_windows_weak(who, rng):
  keep, count = _kept(who), int(rng.integers(1, 13))
  start = int(rng.integers(1, max(len(keep) - count - 1, 2)))
  keep[start : start + count] = 10 ** rng.uniform(-9, -3)
  return _of_windows(who, keep)


# --- updates that were destroyed ---


def _taps(who) -> np.ndarray:
  kernel = np.array(who.update['dense_0']['kernel'])
  return kernel.reshape(SHAPE.width, NUM_FEATURES, -1)


def _with_taps(who, taps, bias=None) -> Case:
  if bias is None:
    bias = np.array(who.update['dense_0']['bias'])
  kernel = taps.reshape(SHAPE.width * NUM_FEATURES, -1)
  return _first_layer(who, kernel.astype(np.float32), bias)


def reversed_in_time(who, _):
  return _with_taps(who, _taps(who)[::-1])


def negated_kernel(who, _):
  return _with_taps(who, -_taps(who))


def negated_bias(who, _):
  return _with_taps(who, _taps(who), -who.update['dense_0']['bias'])


def taps_shuffled(who, rng):
  return _with_taps(who, _taps(who)[rng.permutation(SHAPE.width)])


def features_shuffled(who, rng):
  return _with_taps(who, _taps(who)[:, rng.permutation(NUM_FEATURES)])


def two_features_exchanged(who, rng):
  order = np.arange(NUM_FEATURES)
  one, other = rng.choice(NUM_FEATURES, 2, replace=False)
  order[[one, other]] = order[[other, one]]
  return _with_taps(who, _taps(who)[:, order])


def units_shuffled(who, rng):
  order = rng.permutation(NUM_UNITS)
  bias = who.update['dense_0']['bias'][order]
  return _with_taps(who, _taps(who)[:, :, order], bias)


def kernel_scaled(who, rng):
  return _with_taps(who, _taps(who) * rng.choice([0.1, 0.5, 0.8, 1.25, 2, 10]))


def a_feature_zero(who, rng):
  taps = _taps(who)
  taps[:, rng.integers(NUM_FEATURES)] = 0
  return _with_taps(who, taps)


def a_feature_scaled(who, rng):
  taps = _taps(who)
  taps[:, rng.integers(NUM_FEATURES)] *= rng.choice([-1.0, 0.3, 3.0])
  return _with_taps(who, taps)


def a_tap_zero(who, rng):
  taps = _taps(who)
  taps[rng.integers(SHAPE.width)] = 0
  return _with_taps(who, taps)


def entries_masked(who, rng):
  taps = _taps(who)
  share = rng.choice([1e-4, 1e-3, 1e-2, 0.1, 0.5])
  return _with_taps(who, taps * (rng.random(taps.shape) > share))


def units_masked(who, rng):
  keep = rng.random(NUM_UNITS) > rng.choice([0.1, 0.3, 0.6])
  bias = who.update['dense_0']['bias'] * keep
  return _with_taps(who, _taps(who) * keep, bias.astype(np.float32))


def noise(who, rng):
  taps = _taps(who)
  size = 10 ** rng.uniform(-8, 0) * np.sqrt(np.mean(taps**2))
  return _with_taps(who, taps + size * rng.standard_normal(taps.shape))


def quantised(who, rng):
  taps = _taps(who)
  step = np.abs(taps).max() / rng.choice([7, 127, 2**11, 2**15, 2**20])
  return _with_taps(who, np.round(taps / step) * step)


def coded_in_bfloat16(who, _):
  update = jax.tree.map(
    lambda leaf: np.asarray(
      jnp.asarray(leaf).astype(jnp.bfloat16).astype(jnp.float32)
    ),
    who.update,
  )
  return Case(update, (who.speech,))


def largest_entries(who, rng):
  taps = _taps(who)
  limit = np.quantile(np.abs(taps), rng.choice([0.01, 0.1, 0.5]))
  return _with_taps(who, taps * (np.abs(taps) >= limit))


def random_rank(who, rng):
  rank = int(rng.integers(2, 70))
  left = rng.standard_normal((SHAPE.width * NUM_FEATURES, rank))
  right = rng.standard_normal((rank, NUM_UNITS))
  kernel = (left @ right).astype(np.float32)
  return _first_layer(who, kernel, right.sum(0).astype(np.float32))


def of_other_parameters(who, rng):
  """The server thinks that it had sent others."""
  update = gradient(parameters(rng), [who.speech])
  return Case(update, (who.speech,))


# --- updates without the first layer's bias ---


def bias_withheld(who, rng):
  """And, half of the time, without what layer 2 says instead of it."""
  case = rng.choice([bias_zero, local_steps])(who, rng)
  names = ('dense_0/bias', 'dense_1/kernel')[: int(rng.integers(1, 3))]
  return case._replace(update=observation.without(case.update, names))


def bias_zero(who, _):
  none = np.zeros(NUM_UNITS, np.float32)
  return _first_layer(who, who.update['dense_0']['kernel'], none)


# --- updates that were added up ---


def summed(who, rng):
  other = speech(rng, int(rng.integers(10, 36)))
  added = gradient(who.params, [other])
  weight = np.float32(rng.choice([1.0, -1.0, 1e-2, 1e-3, 1e-4]))
  update = jax.tree.map(lambda a, b: a + weight * b, who.update, added)
  return Case(update, (who.speech, other))


def summed_with_silence(who, rng):
  kept = who._replace(speech=who.speech[:24])
  padded = silence(who._replace(speech=speech(rng, 16)), rng)
  update = jax.tree.map(
    np.add, gradient(who.params, [kept.speech]), padded.update
  )
  return Case(update, (kept.speech, *padded.truths))


def summed_with_itself_late(who, rng):
  """The same speech, a few frames later."""
  later = who.speech[int(rng.integers(1, 6)) :]
  update = jax.tree.map(np.add, who.update, gradient(who.params, [later]))
  return Case(update, (who.speech, later))


def summed_over_rounds(who, rng):
  moved = jax.tree.map(
    lambda leaf: (
      leaf + np.float32(0.01) * rng.standard_normal(leaf.shape, np.float32)
    ),
    who.params,
  )
  added = gradient(moved, [who.speech])
  return Case(jax.tree.map(np.add, who.update, added), (who.speech,), 2)


_AFTER_STEPS = (
  reversed_in_time,
  negated_bias,
  kernel_scaled,
  a_feature_zero,
  a_feature_scaled,
  two_features_exchanged,
  features_shuffled,
  middle_windows_silent,
  noise,
)

KINDS: dict[str, Callable[[Victim, np.random.Generator], Case]] = {
  'untouched': lambda who, _: Case(who.update, (who.speech,)),
  **{
    made.__name__: made
    for made in (
      local_steps, bfloat16_products, batch, batch_of_one_length, silence,
      silence_twice, held_frame, periodic, zero_frames, local_steps_of_silence,
      batch_with_its_beginning, batch_with_a_twin, batch_with_shared_frames,
      too_long, middle_windows_silent, middle_windows_weak,
      first_windows_silent, last_windows_silent, random_windows_silent,
      windows_fade, reversed_in_time, negated_kernel, negated_bias,
      taps_shuffled, features_shuffled, two_features_exchanged,
      units_shuffled, kernel_scaled, a_feature_zero, a_feature_scaled,
      a_tap_zero, entries_masked, units_masked, noise, quantised,
      coded_in_bfloat16, largest_entries, random_rank, of_other_parameters,
      bias_withheld, bias_zero, summed, summed_with_silence,
      summed_with_itself_late, summed_over_rounds,
    )
  },
  **{
    f'steps_{damage.__name__}': _after_steps(damage) for damage in _AFTER_STEPS
  },
}  # fmt: skip
