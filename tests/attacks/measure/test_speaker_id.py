import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks.measure import speaker_id

_FEATURES = 6
_CONFIG = config.SpeakerIdConfig(
  num_iterations=100, batch_size=8, embedding_size=16, learning_rate=3e-3
)


def _spoken(speaker, index, frames=60):
  """Correlated noise; how the features mix is the speaker's own."""
  mixing = np.random.default_rng([speaker, 1]).normal(
    size=(_FEATURES, _FEATURES)
  )
  noise = np.random.default_rng([speaker, index, 2]).normal(
    size=(frames, _FEATURES)
  )
  values = noise @ mixing
  return ((values - values.mean(0)) / values.std(0)).astype(np.float32)


def _utterances(speakers, indices, frames=60):
  return [
    speaker_id.Utterance(f's{speaker}', _spoken(speaker, index, frames))
    for speaker in speakers
    for index in indices
  ]


@pytest.fixture(scope='module')
def identifier():
  speech = _utterances(range(8), range(3), 110)
  lines = []
  trained = speaker_id.train(
    speech, _CONFIG, jax.random.key(0), lambda *told: lines.append(told)
  )
  ((done, total, told),) = lines
  assert (done, total) == (100, _CONFIG.num_iterations)
  assert told.endswith('% right')
  return trained


@pytest.fixture(scope='module')
def enrolled():
  return {
    f's{speaker}': [_spoken(speaker, index) for index in range(3)]
    for speaker in range(20, 28)
  }


def test_speakers_that_were_not_trained_on_are_told_apart(identifier, enrolled):
  assert identifier.accuracy > 0.8
  probes = _utterances(range(20, 28), [9])
  found = speaker_id.identify(identifier, enrolled, probes)
  assert found.num_candidates == 8
  assert found.top1 >= 0.6  # By chance 1/8.
  assert found.top5 >= 0.9
  ranks = np.array(found.ranks)
  assert found.mrr == pytest.approx(np.mean(1 / ranks))
  assert found.top1 == np.mean(ranks == 1)


def test_noise_is_nobody(identifier, enrolled):
  probes = [
    item._replace(features=_spoken(99, index))
    for index, item in enumerate(_utterances(range(20, 28), range(6)))
  ]
  found = speaker_id.identify(identifier, enrolled, probes)
  assert found.top1 < 0.4


@pytest.mark.parametrize(
  'features',
  [np.zeros((0, _FEATURES)), np.full((9, _FEATURES), np.nan)],
)
def test_what_was_not_reconstructed_ranks_last(identifier, enrolled, features):
  probe = speaker_id.Utterance('s21', features)
  found = speaker_id.identify(identifier, enrolled, [probe])
  assert found.ranks == (8,)
  assert (found.top1, found.top5, found.mrr) == (0, 0, 1 / 8)


def test_an_embedding_that_says_nothing_ranks_last(identifier, enrolled):
  twice = {name: enrolled['s20'] for name in enrolled}
  (probe,) = _utterances([20], [9])
  assert speaker_id.identify(identifier, twice, [probe]).ranks == (8,)


def test_embeddings_do_not_depend_on_padding(identifier):
  features = jnp.asarray(_spoken(0, 0, 40))[None]
  frames = jnp.asarray([40])
  garbage = jnp.full((1, 30, _FEATURES), 7.0)
  apply = jax.jit(identifier.network.apply)
  logits, embedding = apply(identifier.params, features, frames)
  padded = jnp.concatenate([features, garbage], 1)
  padded_logits, padded_embedding = apply(identifier.params, padded, frames)
  np.testing.assert_allclose(padded_embedding, embedding, atol=1e-5)
  np.testing.assert_allclose(padded_logits, logits, atol=1e-4)


def test_training_is_a_function_of_its_key():
  cfg = dataclasses.replace(_CONFIG, num_iterations=2)
  speech = _utterances(range(8), range(1))
  first, again, other = (
    speaker_id.train(speech, cfg, jax.random.key(seed)) for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(first.center, again.center)
  assert np.abs(first.center - other.center).max() > 1e-3


def test_frames_are_spliced_with_those_at_their_offsets():
  values = jnp.arange(1.0, 6.0)[None, :, None]
  spliced = speaker_id._spliced(values, (-2, 0, 2))[0]
  np.testing.assert_array_equal(
    spliced, [[0, 1, 3], [0, 2, 4], [1, 3, 5], [2, 4, 0], [3, 5, 0]]
  )


def test_pooling_is_mean_and_deviation_of_real_frames():
  values = np.random.default_rng(0).normal(size=(1, 9, 4)).astype(np.float32)
  values[:, 6:] = 0
  pooled = speaker_id._pooled(jnp.asarray(values), jnp.asarray([6]))[0]
  real = values[0, :6]
  np.testing.assert_allclose(pooled[:4], real.mean(0), rtol=1e-5)
  np.testing.assert_allclose(pooled[4:], real.std(0), rtol=1e-4)


def test_speech_that_cannot_be_used_is_named(identifier, enrolled):
  def trains(speech):
    return speaker_id.train(speech, _CONFIG, jax.random.key(0))

  empty = np.zeros((0, _FEATURES), np.float32)
  (probe,) = _utterances([20], [9])
  with pytest.raises(speaker_id.SpeakerError, match='1 speakers to learn'):
    trains(_utterances([0], [0, 1]))
  with pytest.raises(speaker_id.SpeakerError, match="'a': an utterance is emp"):
    trains([speaker_id.Utterance('a', empty), probe])
  stranger = probe._replace(speaker='x')
  with pytest.raises(speaker_id.SpeakerError, match="'x' is not enrolled"):
    speaker_id.identify(identifier, enrolled, [stranger])
  with pytest.raises(speaker_id.SpeakerError, match="'b': nothing is enrolled"):
    speaker_id.identify(identifier, enrolled | {'b': [empty]}, [probe])
  with pytest.raises(speaker_id.SpeakerError, match='no utterances'):
    speaker_id.identify(identifier, enrolled, [])
