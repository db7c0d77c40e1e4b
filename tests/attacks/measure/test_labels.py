"""Against an output layer alone, whose CTC gradient is cheap and exact."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.measure import labels
from fedjax_asr.models import ctc, model
from fedjax_asr.speech import alphabets

_SENTENCES = ('easy going', 'northanger abbey', 'the news of the day')
_FRAMES = 64
_SIZE = 12
_THREE = observation.Declared(num_utterances=3)
_LENGTH = observation.Declared(num_frames=(_FRAMES,))


def _linear():
  """A model that is its output layer: logits = features @ kernel + bias."""

  def init(key):
    kernel = jax.random.normal(key, (_SIZE, alphabets.ENGLISH.size))
    return {'output': {'kernel': kernel, 'bias': jnp.zeros(29)}}, {}

  def apply(params, norm_state, features, num_frames, *, train, key=None):
    del train, key
    output = params['output']
    return features @ output['kernel'] + output['bias'], num_frames, norm_state

  return model.Model(init, apply, lambda num_frames: num_frames)


@functools.partial(jax.jit, static_argnums=0)
def _gradient(acoustic, params, speech, sentences, lengths):
  """Of the mean loss over utterances of one length."""

  def loss(params):
    counts = jnp.full(len(speech), speech.shape[1])
    logits, counts, _ = acoustic.apply(params, {}, speech, counts, train=False)
    return ctc.loss(logits, counts, sentences, lengths).mean()

  return jax.grad(loss)(params)


_LINEAR = _linear()


def _labels(sentences):
  rows = np.zeros((len(sentences), 24), np.int32)
  for row, sentence in zip(rows, sentences, strict=True):
    row[: len(sentence)] = alphabets.ENGLISH.encode(sentence)
  return rows, np.array([len(sentence) for sentence in sentences])


def _speech(seed, sentences=_SENTENCES, spread=1.0):
  noise = np.random.default_rng([seed, 7]).normal(
    size=(len(sentences), _FRAMES, _SIZE)
  )
  return (1 + spread * noise).astype(np.float32)


def _observed(update, params, acoustic=_LINEAR, **options):
  defaults = {
    'client': config.ClientConfig(),
    'observed': config.Observed.GRADIENT,
    'num_steps': 1,
    'learning_rate': 1.0,
    'declared': observation.Declared(),
  }
  return observation.Observation(
    update=jax.tree.map(np.asarray, update),
    params=params,
    norm_state={},
    acoustic=acoustic,
    model=config.ModelConfig(),
    features=config.FeaturesConfig(),
    round=0,
    **(defaults | options),
  )


def _params(seed, scale):
  params, _ = _LINEAR.init(jax.random.key(seed))
  return jax.tree.map(lambda leaf: scale * leaf, params)


def _scene(seed, scale=0.1, sentences=_SENTENCES, spread=1.0):
  params = _params(seed, scale)
  speech = _speech(seed, sentences, spread)
  update = _gradient(_LINEAR, params, speech, *_labels(sentences))
  return params, speech, update


def _score(estimated, sentences=_SENTENCES):
  spelled = [alphabets.ENGLISH.encode(item) for item in sentences]
  return labels.compare(estimated, spelled, alphabets.ENGLISH)


@pytest.mark.parametrize('seed', range(4))
def test_the_kernel_tells_characters_without_the_bias(seed):
  """Of inputs of one sign, as a ReLU gives."""
  params = _params(seed, 0.1)
  speech = np.abs(_speech(seed))
  update = _gradient(_LINEAR, params, speech, *_labels(_SENTENCES))
  sent = {'output': {'kernel': update['output']['kernel']}}
  ds1 = config.ModelConfig(architecture=config.Architecture.DS1)
  observed = _observed(sent, params)._replace(model=ds1)
  estimated = labels.estimate(observed)
  assert estimated.layers == ('output/kernel',)
  assert estimated.counts is None
  score = _score(estimated)
  assert score.certain_precision == 1
  assert score.certain_recall > 0.3
  # Where inputs have both signs, a sign says nothing.
  ds2 = config.ModelConfig(architecture=config.Architecture.DS2)
  with pytest.raises(observation.Refused, match='output/bias'):
    labels.estimate(observed._replace(model=ds2))


def test_the_bias_tells_signs_without_the_kernel():
  params, _, update = _scene(0)
  whole = labels.estimate(_observed(update, params))
  sent = {'output': {'bias': update['output']['bias']}}
  estimated = labels.estimate(_observed(sent, params))
  assert estimated.certain == estimated.characters == whole.certain
  assert estimated.counts is None
  assert estimated.layers == ('output/bias',)


@pytest.mark.parametrize('scale', [0.01, 0.3, 2.0])
@pytest.mark.parametrize('seed', range(4))
def test_characters_of_negative_entries_occur_in_the_batch(seed, scale):
  params, _, update = _scene(seed, scale)
  estimated = labels.estimate(_observed(update, params))
  assert estimated.certain
  assert set(estimated.certain) <= set(''.join(_SENTENCES))
  assert set(estimated.certain) <= set(estimated.characters)
  assert _score(estimated).certain_precision == 1


@pytest.mark.parametrize('rate', [1e-5, 0.05])
def test_characters_are_certain_after_several_steps_too(rate):
  params, speech, _ = _scene(0, 0.1)
  rows = _labels(_SENTENCES)
  local = params
  for _ in range(4):
    step = _gradient(_LINEAR, local, speech, *rows)
    local = jax.tree.map(lambda p, g: p - rate * g, local, step)
  delta = jax.tree.map(lambda p, q: p - q, params, local)
  observed = _observed(
    delta,
    params,
    observed=config.Observed.DELTA,
    num_steps=4,
    learning_rate=rate,
    declared=_LENGTH,
  )
  estimated = labels.estimate(observed)
  assert estimated.certain
  assert set(estimated.certain) <= set(''.join(_SENTENCES))
  if rate == 1e-5:  # The mean of gradients that are nearly one.
    gradient = _gradient(_LINEAR, params, speech, *rows)
    single = labels.estimate(_observed(gradient, params, declared=_LENGTH))
    np.testing.assert_allclose(estimated.counts, single.counts, atol=0.2)


def test_the_scale_of_a_step_is_divided_out():
  params, _, update = _scene(0)
  whole = labels.estimate(_observed(update, params))
  delta = jax.tree.map(lambda leaf: 0.05 * leaf, update)
  observed = _observed(
    delta, params, observed=config.Observed.DELTA, learning_rate=0.05
  )
  np.testing.assert_allclose(
    labels.estimate(observed).counts, whole.counts, atol=1e-4
  )


def _exact_occupancies(sentence, rates, num_frames):
  """Mean frames of each symbol over all paths that spell the sentence."""
  total, held = 0.0, np.zeros(len(rates))
  for path in itertools.product(range(len(rates)), repeat=num_frames):
    spelled = [key for key, _ in itertools.groupby(path) if key]
    if spelled == sentence:
      weight = np.prod(rates[list(path)])
      total += weight
      held += weight * np.bincount(path, minlength=len(rates))
  return held / total


@pytest.mark.parametrize('sentence', [[1, 2], [1, 2, 1], [2, 1, 2, 1, 2]])
def test_counts_follow_from_the_occupancies_of_all_paths(sentence):
  rates = np.array([0.5, 0.3, 0.2])
  held = _exact_occupancies(sentence, rates, 9)
  wanted = np.bincount(sentence, minlength=3)
  counts = labels._occurrences(held, rates)
  np.testing.assert_allclose(counts, wanted, rtol=0.1)
  assert counts[0] == 0


def test_counts_are_near_where_probabilities_are_constant_in_time():
  params, _, update = _scene(0, spread=0.0)
  observed = _observed(update, params, declared=_THREE)
  estimated = labels.estimate(observed)
  np.testing.assert_allclose(estimated.num_outputs, _FRAMES, rtol=0.02)
  scored = _score(estimated)
  assert (scored.precision, scored.recall) == (1, 1)
  assert scored.length_error < 0.05
  assert scored.count_error < 0.1


def test_counts_rest_on_the_frames_that_are_declared():
  params, _, update = _scene(0)
  declared = observation.Declared(num_frames=(60, 80))
  observed = _observed(update, params, declared=declared)
  assert labels.estimate(observed).num_outputs == 70


@pytest.mark.parametrize(
  'client',
  [
    config.ClientConfig(optimizer=config.ClientOptimizer.ADAM),
    config.ClientConfig(optimizer=config.ClientOptimizer.MOMENTUM),
    config.ClientConfig(clip_norm=1.0),
  ],
)
def test_where_the_scale_is_lost_certain_characters_are_left(client):
  params, _, update = _scene(0, 0.5)
  estimated = labels.estimate(
    _observed(
      update,
      params,
      observed=config.Observed.DELTA,
      client=client,
      declared=_LENGTH,
    )
  )
  assert estimated.counts is estimated.num_labels is None
  assert estimated.characters == estimated.certain != ''
  assert _score(estimated).length_error is None


def test_without_absent_symbols_that_agree_there_are_no_counts():
  params, _, update = _scene(0)
  bias = np.asarray(update['output']['bias']).copy()
  bias[1:] *= np.geomspace(1e-6, 1, 28)
  update = {'output': {'kernel': update['output']['kernel'], 'bias': bias}}
  assert labels.estimate(_observed(update, params)).counts is None
  told = _observed(update, params, declared=_LENGTH)
  assert labels.estimate(told).counts is not None


def test_an_update_without_output_layer_is_refused():
  params, _, update = _scene(0)
  nothing = jax.tree.map(jnp.zeros_like, update)
  with pytest.raises(observation.Refused, match='output/bias'):
    labels.estimate(_observed(nothing, params))


def test_scores_by_hand():
  counts = np.zeros(29)
  counts[alphabets.ENGLISH.encode('abc')] = (2, 1, 1)
  estimated = labels.LabelEstimate(('a',), ('a', 'b', 'c'), counts, 4.0, 10.0)
  scored = _score(estimated, ('aab', 'ada'))
  assert scored.precision == pytest.approx(2 / 3)
  assert scored.recall == pytest.approx(2 / 3)
  assert (scored.certain_precision, scored.certain_recall) == (1, 1 / 3)
  assert scored.length_error == pytest.approx(1 / 3)
  # Means are 2 a, 0.5 b, 0.5 d of 3 labels.
  assert scored.count_error == pytest.approx(2 / 3)
