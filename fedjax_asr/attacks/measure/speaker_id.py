"""Who spoke: identification of the victim's speaker from a reconstruction.

A small x-vector network (Snyder et al. 2018): dense layers over widening
windows of frames, mean and deviation over time, an embedding, and speakers
other than the victims to train it on. A victim is then sought among enrolled
speakers by the cosine between embeddings. On the original features the same
network gives the ceiling that a reconstruction's result is to be read by.

Assumes:
  observed: features that an attack found; nothing of the update.
  told: speech of speakers who are no victims, and for each candidate other
    utterances, with the names of who spoke.
  model: none of the client's; features in the units of its input, as the
    enrolled speech is.
  training: the victim's speaker is among the candidates.
  noise: none; what is wrong in a reconstruction counts as it is.
  refused: fewer than two speakers to learn from, a candidate without enrolled
    speech, a probe of somebody else, or no probe.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from fedjax_asr import config
from fedjax_asr.models import convolution

# (offsets of the frames that a layer sees, its width), of Snyder's 512 and
# 1500 about a quarter.
_FRAME_LAYERS = (
  ((-2, -1, 0, 1, 2), 128),
  ((-2, 0, 2), 128),
  ((-3, 0, 3), 128),
  ((0,), 128),
  ((0,), 384),
)
# Frames of the stretches that are trained on.
_CROP = 100
# Whole utterances are padded to multiples of this: one program for many.
_PADDING = 256
_REPORT_EVERY = 100

Features = Float[np.ndarray, '_ features']


class SpeakerError(config.UserError):
  """Speech that no speakers can be learned from or told apart by."""


class Utterance(NamedTuple):
  """Features in the model's input units, and who spoke."""

  speaker: str
  features: np.ndarray


class Identifier(NamedTuple):
  """A trained network; inputs are standardised by the training speech.

  center: mean embedding of the training speech.
  accuracy: on the crops of the last training steps, of training's speakers.
  """

  network: nn.Module
  params: Any
  mean: np.ndarray
  std: np.ndarray
  center: np.ndarray
  accuracy: float


class Identification(NamedTuple):
  """How high the true speaker ranks among the candidates.

  top1, top5: fraction of probes with rank 1, and 5 or less.
  mrr: mean of 1 / rank.
  ranks: of each probe; the last where nothing was reconstructed.
  """

  top1: float
  top5: float
  mrr: float
  num_candidates: int
  ranks: tuple[int, ...]


class XVector(nn.Module):
  """Logits over training's speakers, and the embedding before them.

  Neither depends on the padding behind an utterance's end.
  """

  num_speakers: int
  embedding_size: int

  @nn.compact
  def __call__(
    self,
    features: Float[Array, 'batch frames features'],
    num_frames: Int[Array, ' batch'],
  ) -> tuple[Float[Array, 'batch speakers'], Float[Array, 'batch embedding']]:
    values = convolution.zero_padding(features, num_frames)
    for offsets, width in _FRAME_LAYERS:
      values = nn.relu(nn.Dense(width)(_spliced(values, offsets)))
      values = convolution.zero_padding(nn.LayerNorm()(values), num_frames)
    embedding = nn.Dense(self.embedding_size)(_pooled(values, num_frames))
    values = nn.LayerNorm()(nn.relu(embedding))
    values = nn.relu(nn.Dense(self.embedding_size)(values))
    return nn.Dense(self.num_speakers)(values), embedding


def train(
  speech: Sequence[Utterance],
  cfg: config.SpeakerIdConfig,
  key: jax.Array,
  report: Callable[[int, int, str], None] | None = None,
) -> Identifier:
  """Learns to tell these speakers apart, by softmax on random stretches.

  A function of its arguments alone. Speakers are drawn alike, however much
  they said. `report(steps done, all, how well)` is called now and then.

  Raises:
    SpeakerError: fewer than two speakers, or an utterance without frames.
  """
  by_speaker = _by_speaker(speech)
  frames = np.concatenate([item.features for item in speech])
  mean, std = frames.mean(0), np.maximum(frames.std(0), 1e-3)
  by_speaker = [
    [(values - mean) / std for values in group] for group in by_speaker
  ]
  network = XVector(len(by_speaker), cfg.embedding_size)
  init_key, data_key = jax.random.split(key)
  params = _initial(network, init_key, len(mean))
  state = optax.adam(cfg.learning_rate).init(params)
  rng = np.random.default_rng(np.asarray(jax.random.key_data(data_key)))
  hits = []
  for iteration in range(cfg.num_iterations):
    batch = _batch(rng, by_speaker, cfg.batch_size)
    params, state, hit = _step(
      network, cfg.learning_rate, params, state, *batch
    )
    hits = [*hits[-19:], hit]
    if report is not None and (iteration + 1) % _REPORT_EVERY == 0:
      told = f'{np.mean(hits):.0%} right'
      report(iteration + 1, cfg.num_iterations, told)
  accuracy = float(np.mean(hits))
  trained = Identifier(network, params, mean, std, np.zeros(1), accuracy)
  center = np.mean([_embedding(trained, item.features) for item in speech], 0)
  return trained._replace(center=center)


def identify(
  identifier: Identifier,
  enrolled: Mapping[str, Sequence[Features]],
  probes: Sequence[Utterance],
) -> Identification:
  """Ranks of the probes' speakers among those enrolled.

  A speaker is the mean direction of the embeddings of what is enrolled. Of
  equal cosines the true speaker's comes last.

  Raises:
    SpeakerError: no probe, a speaker with nothing enrolled, or a probe of one
      who is not among them.
  """
  if not probes:
    raise SpeakerError('no utterances to identify the speakers of.')
  names = sorted(enrolled)
  centroids = np.stack(
    [_centroid(identifier, name, enrolled[name]) for name in names]
  )
  ranks = [_rank(identifier, names, centroids, probe) for probe in probes]
  return Identification(
    top1=float(np.mean([rank == 1 for rank in ranks])),
    top5=float(np.mean([rank <= 5 for rank in ranks])),
    mrr=float(np.mean([1 / rank for rank in ranks])),
    num_candidates=len(names),
    ranks=tuple(ranks),
  )


def _centroid(
  identifier: Identifier, name: str, speech: Sequence[np.ndarray]
) -> np.ndarray:
  directions = [_direction(identifier, item) for item in speech if len(item)]
  if not directions:
    raise SpeakerError(f'speaker {name!r}: nothing is enrolled.')
  return _unit(np.mean(directions, axis=0))


def _rank(
  identifier: Identifier,
  names: list[str],
  centroids: np.ndarray,
  probe: Utterance,
) -> int:
  if probe.speaker not in names:
    raise SpeakerError(f'speaker {probe.speaker!r} is not enrolled.')
  if not len(probe.features) or not np.isfinite(probe.features).all():
    return len(names)
  cosines = centroids @ _direction(identifier, probe.features)
  return int((cosines >= cosines[names.index(probe.speaker)]).sum())


def _direction(identifier: Identifier, features: np.ndarray) -> np.ndarray:
  return _unit(_embedding(identifier, features) - identifier.center)


def _embedding(identifier: Identifier, features: np.ndarray) -> np.ndarray:
  values = (features - identifier.mean) / identifier.std
  padding = -len(values) % _PADDING
  padded = np.pad(values, ((0, padding), (0, 0))).astype(np.float32)
  return np.asarray(
    _embed(identifier.network, identifier.params, padded, len(values))
  )


@functools.partial(jax.jit, static_argnums=0)
def _embed(
  network: nn.Module,
  params: Any,
  features: Float[Array, 'frames features'],
  num_frames: Int[Array, ''],
) -> Float[Array, ' embedding']:
  outputs: Any = network.apply(params, features[None], num_frames[None])
  return outputs[1][0]


def _unit(vector: np.ndarray) -> np.ndarray:
  return vector / max(np.linalg.norm(vector), 1e-12)


def _by_speaker(speech: Sequence[Utterance]) -> list[list[np.ndarray]]:
  groups: dict[str, list[np.ndarray]] = {}
  for item in speech:
    if not len(item.features):
      raise SpeakerError(f'speaker {item.speaker!r}: an utterance is empty.')
    groups.setdefault(item.speaker, []).append(item.features)
  if len(groups) < 2:
    raise SpeakerError(
      f'{len(groups)} speakers to learn from; want two or more, none of them '
      'a victim.'
    )
  return [groups[name] for name in sorted(groups)]


@functools.partial(jax.jit, static_argnums=(0, 2))
def _initial(network: nn.Module, key: jax.Array, num_features: int) -> Any:
  frames = jnp.zeros((1, _CROP, num_features))
  return network.init(key, frames, jnp.ones(1, jnp.int32))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _step(
  network: nn.Module,
  learning_rate: float,
  params: Any,
  state: optax.OptState,
  features: Float[Array, 'batch frames features'],
  num_frames: Int[Array, ' batch'],
  speakers: Int[Array, ' batch'],
) -> tuple[Any, optax.OptState, Float[Array, '']]:
  """Parameters and optimizer state after a step, and its accuracy."""

  def loss(params: Any) -> tuple[jax.Array, jax.Array]:
    logits, _ = network.apply(params, features, num_frames)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, speakers)
    return losses.mean(), (logits.argmax(-1) == speakers).mean()

  gradient, hit = jax.grad(loss, has_aux=True)(params)
  updates, state = optax.adam(learning_rate).update(gradient, state)
  return optax.apply_updates(params, updates), state, hit


def _batch(
  rng: np.random.Generator, by_speaker: list[list[np.ndarray]], size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Random stretches; shorter utterances are whole and padded."""
  speakers = rng.integers(len(by_speaker), size=size)
  num_features = by_speaker[0][0].shape[1]
  features = np.zeros((size, _CROP, num_features), np.float32)
  num_frames = np.zeros(size, np.int32)
  for index, speaker in enumerate(speakers):
    spoken = by_speaker[speaker]
    chosen = spoken[rng.integers(len(spoken))]
    start = rng.integers(max(len(chosen) - _CROP, 0) + 1)
    crop = chosen[start : start + _CROP]
    features[index, : len(crop)] = crop
    num_frames[index] = len(crop)
  return features, num_frames, speakers


def _spliced(
  values: Float[Array, 'batch frames features'], offsets: tuple[int, ...]
) -> Float[Array, 'batch frames spliced']:
  """Frames beside those at their offsets, zeros beyond the ends."""
  reach = max(offsets)
  padded = jnp.pad(values, ((0, 0), (reach, reach), (0, 0)))
  length = values.shape[1]
  return jnp.concatenate(
    [padded[:, reach + offset :][:, :length] for offset in offsets], -1
  )


def _pooled(
  values: Float[Array, 'batch frames features'],
  num_frames: Int[Array, ' batch'],
) -> Float[Array, 'batch pooled']:
  """Mean and standard deviation over the frames that are real."""
  count = num_frames[:, None].astype(values.dtype)
  mean = values.sum(1) / count
  squares = convolution.zero_padding((values - mean[:, None]) ** 2, num_frames)
  # Not zero, where the root has no gradient.
  return jnp.concatenate([mean, jnp.sqrt(squares.sum(1) / count + 1e-5)], -1)
