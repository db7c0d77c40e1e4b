import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.measure import alignment
from fedjax_asr.models import ctc, model
from fedjax_asr.speech import alphabets

_SENTENCES = ('easy going', "a driver's hope")
_FRAMES = 40
_FEATURES = 8


class _Layers(nn.Module):
  @nn.compact
  def __call__(self, features):
    hidden = nn.tanh(nn.Dense(120, name='hidden')(features))
    return nn.Dense(alphabets.ENGLISH.size, name='output')(hidden)


def _acoustic():
  module = _Layers()

  def init(key):
    return module.init(key, jnp.zeros((1, 1, _FEATURES)))['params'], {}

  def apply(params, norm_state, features, num_frames, *, train, key=None):
    del train, key
    logits = module.apply({'params': params}, features)
    return logits, num_frames, norm_state

  return model.Model(init, apply, lambda num_frames: num_frames)


_ACOUSTIC = _acoustic()


def _logits(params, speech):
  return _ACOUSTIC.apply(params, {}, speech, None, train=False)[0]


def _losses(logits):
  rows = np.zeros((len(_SENTENCES), 16), np.int32)
  for row, sentence in zip(rows, _SENTENCES, strict=True):
    row[: len(sentence)] = alphabets.ENGLISH.encode(sentence)
  lengths = jnp.asarray([len(sentence) for sentence in _SENTENCES])
  frames = jnp.full(len(_SENTENCES), _FRAMES)
  return ctc.loss(logits, frames, jnp.asarray(rows), lengths)


@pytest.fixture(scope='module')
def scene():
  """Parameters, speech, the update of its batch, and the posteriors."""
  params, _ = _ACOUSTIC.init(jax.random.key(0))
  noise = np.random.default_rng(0).normal(
    size=(len(_SENTENCES), _FRAMES, _FEATURES)
  )
  speech = (2 * noise).astype(np.float32)
  update = jax.jit(
    jax.grad(lambda params: _losses(_logits(params, speech)).mean())
  )(params)
  logits = _logits(params, speech)
  errors = jax.jit(jax.grad(lambda logits: _losses(logits).sum()))(logits)
  return params, speech, update, np.asarray(jax.nn.softmax(logits) - errors)


def _observed(update, params, **options):
  defaults = {
    'client': config.ClientConfig(),
    'observed': config.Observed.GRADIENT,
    'num_steps': 1,
    'learning_rate': 1.0,
  }
  return observation.Observation(
    update=jax.tree.map(np.asarray, update),
    params=params,
    norm_state={},
    acoustic=_ACOUSTIC,
    model=config.ModelConfig(),
    features=config.FeaturesConfig(),
    round=0,
    declared=observation.Declared(),
    **(defaults | options),
  )


def test_posteriors_of_a_batch_are_solved_from_the_update(scene):
  params, speech, update, wanted = scene
  found = alignment.align(list(speech), _observed(update, params))
  np.testing.assert_allclose(found.posteriors, wanted, atol=2e-3)
  assert found.residual < 1e-5
  assert [len(text) > 0 for text in found.texts] == [True, True]


def test_the_scale_of_a_step_is_divided_out(scene):
  params, speech, update, wanted = scene
  delta = jax.tree.map(lambda leaf: 0.05 * leaf, update)
  observed = _observed(
    delta, params, observed=config.Observed.DELTA, learning_rate=0.05
  )
  found = alignment.align(list(speech), observed)
  np.testing.assert_allclose(found.posteriors, wanted, atol=2e-3)


@pytest.mark.parametrize('where', ['client', 'treatment'])
def test_a_clipped_gradient_is_read_too(scene, where):
  """By the symbols that the transcripts lack."""
  params, speech, update, wanted = scene
  clipped = jax.tree.map(lambda leaf: 0.013 * leaf, update)
  record = {
    'client': config.ClientConfig(clip_norm=1.0),
    'treatment': observation.Treatment(clip_norm=1.0),
  }[where]
  observed = _observed(clipped, params, **{where: record})
  found = alignment.align(list(speech), observed)
  np.testing.assert_allclose(found.posteriors, wanted, atol=5e-3)


@pytest.mark.parametrize('how', ['withheld', 'zero'])
def test_the_kernel_does_without_the_bias(scene, how):
  params, speech, update, wanted = scene
  output = {'kernel': update['output']['kernel']}
  if how == 'zero':
    output['bias'] = jnp.zeros(alphabets.ENGLISH.size)
  observed = _observed({**update, 'output': output}, params)
  found = alignment.align(list(speech), observed)
  np.testing.assert_allclose(found.posteriors, wanted, atol=2e-3)
  assert found.layers == ('output/kernel',)


def test_an_update_without_the_kernel_is_refused(scene):
  params, speech, update, _ = scene
  output = {'bias': update['output']['bias']}
  observed = _observed({**update, 'output': output}, params)
  with pytest.raises(observation.Refused, match='output/kernel'):
    alignment.align(list(speech), observed)


def test_wrong_speech_shows_in_the_residual(scene):
  params, speech, update, _ = scene
  wrong = speech + 0.3 * np.random.default_rng(1).normal(size=speech.shape)
  found = alignment.align(list(wrong), _observed(update, params))
  assert found.residual > 0.01


def test_texts_are_the_likeliest_symbols_merged():
  posteriors = np.zeros((7, alphabets.ENGLISH.size))
  path = [0, 5, 5, 0, 5, 3, 0]
  posteriors[np.arange(7), path] = 1
  assert alignment._spelled(posteriors, alphabets.ENGLISH) == 'cca'


def test_what_was_not_reconstructed_has_no_posteriors(scene):
  params, speech, update, _ = scene
  nothing = np.zeros((0, _FEATURES), np.float32)
  observed = _observed(update, params)
  found = alignment.align([nothing, *speech], observed)
  assert found.posteriors[0].shape == (0, alphabets.ENGLISH.size)
  assert found.texts[0] == ''
  with pytest.raises(observation.Refused, match='no features'):
    alignment.align([nothing], observed)


def test_too_many_frames_and_updates_of_no_gradient_are_refused(scene):
  params, speech, update, _ = scene
  observed = _observed(update, params)
  with pytest.raises(observation.Refused, match=r'160 frames .* than 121'):
    alignment.align([*speech, *speech], observed)
  adam = config.ClientConfig(optimizer=config.ClientOptimizer.ADAM)
  for changed in (
    {'num_steps': 2},
    {'observed': config.Observed.DELTA, 'client': adam},
  ):
    with pytest.raises(observation.Refused, match='want one gradient'):
      alignment.align(list(speech), observed._replace(**changed))
