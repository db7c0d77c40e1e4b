"""Whole utterances out of layer 2's gradient of a small DeepSpeech 1."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick

from fedjax_asr import config
from fedjax_asr.attacks import context_windows, known_scale, observation
from fedjax_asr.attacks.ds1 import chain_growth, hidden_span, seed_and_grow
from fedjax_asr.models import activation, model
from fedjax_asr.speech import features

FEATURES, WIDTH = 4, 96
# Of the utterances that are found: what attacks them is compiled once.
LENGTH = 20
CFG = config.SeedAndGrowConfig(num_starts=256, num_parallel=64)


def _model(**changes):
  return config.ModelConfig(
    architecture=config.Architecture.DS1,
    ds1=config.DeepSpeech1Config(
      **{
        'context_frames': 1,
        'dense_sizes': (WIDTH, WIDTH, WIDTH),
        'recurrent_size': 32,
        'final_size': WIDTH,
        **changes,
      }
    ),
  )


def _speech(seed, num_frames):
  """Frames that resemble the ones before, as speech does."""
  rng = np.random.default_rng(seed)
  steps = rng.standard_normal((num_frames, FEATURES))
  frames = [steps[0]]
  for step in steps[1:]:
    frames.append(0.8 * frames[-1] + 0.6 * step)
  return np.array(frames, np.float32)


@functools.cache
def _apply(time_stride, bias_stddev):
  cfg = _model(time_stride=time_stride, bias_stddev=bias_stddev)
  acoustic = model.acoustic(cfg, FEATURES)
  params, norm_state = acoustic.init(jax.random.key(1))
  return cfg, acoustic, params, norm_state


def _observation(utterances, time_stride=1, bias_stddev=0.0, speech=None):
  """Of the gradient of an arbitrary function of the logits."""
  cfg, acoustic, params, norm_state = _apply(time_stride, bias_stddev)
  num_frames = jnp.array([len(each) for each in utterances])
  longest = int(num_frames.max())
  batch = jnp.stack(
    [np.pad(each, ((0, longest - len(each)), (0, 0))) for each in utterances]
  )

  def loss(params):
    logits, _, _ = acoustic.apply(
      params, norm_state, batch, num_frames, train=False
    )
    wanted = jax.random.normal(jax.random.key(2), logits.shape)
    return jnp.sum(logits * wanted)

  return observation.Observation(
    update=quick.jit(jax.grad(loss))(params),
    params=params,
    norm_state=norm_state,
    acoustic=acoustic,
    model=cfg,
    features=config.FeaturesConfig(),
    client=config.ClientConfig(optimizer=config.ClientOptimizer.SGD),
    observed=config.Observed.GRADIENT,
    num_steps=1,
    learning_rate=0.1,
    round=0,
    declared=observation.Declared(speech=speech),
  )


def _snr(original, found):
  assert found.shape == original.shape
  noise = np.sum((found - original) ** 2)
  return 10 * np.log10(np.sum(original**2) / noise)


def _attack(observed, cfg=CFG, seed=0):
  return seed_and_grow.reconstruct(observed, cfg, jax.random.key(seed))


@pytest.mark.parametrize(
  ('time_stride', 'bias_stddev'),
  [(1, 0.0), pytest.param(2, 0.1, marks=pytest.mark.slow)],
)
def test_an_utterance_is_found_in_its_own_size_and_length(
  time_stride, bias_stddev
):
  original = 3 * _speech(0, LENGTH)
  observed = _observation([original], time_stride, bias_stddev)
  # More windows than layer 1's update has dimensions.
  assert len(original) > 3 * FEATURES
  result = _attack(observed)
  assert result.is_certified
  assert result.certificate['num_windows'] == -(-LENGTH // time_stride)
  assert _snr(original, result.features[0]) > 80


def test_utterances_of_a_batch_are_told_apart():
  originals = [_speech(1, 8), _speech(2, LENGTH - 8)]
  result = _attack(_observation(originals))
  assert result.is_certified
  found = sorted(result.features, key=len)
  for original, each in zip(originals, found, strict=True):
    assert _snr(original, each) > 80


@pytest.mark.slow
def test_features_of_very_different_sizes_are_found_where_the_clip_comes_late():
  mean = np.array([-30.0, 2.0, 0.0, 0.0], np.float32)
  std = np.array([8.0, 2.0, 0.5, 0.1], np.float32)
  loudness = np.linspace(0.5, 3.0, 20, dtype=np.float32)[:, None]
  original = loudness * (mean + std * _speech(4, 20))
  kernel = _apply(1, 0.0)[2]['dense_0']['kernel']
  inputs = _windows(original) @ kernel
  # What the first windows say of their size is nothing.
  assert inputs[:3].max() < activation.CLIP < inputs.max()
  observed = _observation([original], speech=features.Statistics(mean, std))
  result = _attack(observed)
  assert result.is_certified
  assert _snr(original, result.features[0]) > 80


def _windows(frames):
  """Of 3 frames, with zeros before and after."""
  padded = np.pad(frames, ((1, 1), (0, 0)))
  return np.stack([padded[t : t + 3].ravel() for t in range(len(frames))])


def _span(windows):
  """The span that they leave behind, without biases."""
  kernel = np.asarray(_apply(1, 0.0)[2]['dense_0']['kernel'], np.float64)
  values = np.clip(windows @ kernel, 0, activation.CLIP)
  basis, _ = np.linalg.qr(values.T, mode='complete')
  return hidden_span.cast(
    hidden_span.HiddenSpan(
      kernel=kernel,
      bias=np.zeros(WIDTH),
      complement=basis[:, len(windows) :],
      mean=np.zeros(FEATURES),
      std=np.ones(FEATURES),
    )
  )


SHAPE = context_windows.Shape(1, 1, FEATURES)


def _grown(span, seed, missing):
  return chain_growth.grown(
    chain_growth.Search(span, SHAPE, CFG, print),
    jnp.asarray(seed),
    len(seed) - 1,
    missing,
    jax.random.key(0),
  )


@pytest.mark.parametrize('size', [0.4, 0.9])
def test_a_seed_of_another_size_takes_the_size_that_the_clip_shows(size):
  original = np.linspace(3, 60, 20, dtype=np.float32)[:, None] * _speech(0, 20)
  chain = _grown(_span(_windows(original)), size * original[:3], 20)
  assert chain.is_whole
  assert _snr(original, chain.frames) > 80


def test_a_seed_of_nothing_does_not_become_a_chain():
  span = _span(_windows(30 * _speech(0, 20)))
  chain = _grown(span, 1e-3 * _speech(5, 3), 20)
  assert not chain.is_whole
  assert chain.num_windows < 5
  assert np.isfinite(chain.frames).all()
  assert chain.frames.any()


def test_an_utterance_grows_backwards_from_its_end():
  original = 3 * _speech(0, 20)
  windows = _windows(original)
  span = hidden_span.mirrored(_span(windows))
  backwards = original[::-1]
  chain = _grown(span, backwards[:3], 20)
  assert chain.is_whole
  assert _snr(backwards, chain.frames) > 80


def test_an_update_of_other_windows_does_not_close():
  observed = _observation([_speech(0, 20)])
  rng = np.random.default_rng(0)
  factors = rng.standard_normal((2, WIDTH, 20))
  other = (factors[0] @ factors[1].T).astype(np.float32)
  update = {**observed.update, 'dense_1': {'kernel': other, 'bias': other[0]}}
  with pytest.raises(observation.Refused, match='none of 2 starts closes'):
    _attack(
      observed._replace(update=update),
      config.SeedAndGrowConfig(num_starts=2, num_parallel=2, num_iterations=10),
    )


def test_too_long_for_layer_2_is_refused():
  with pytest.raises(observation.Refused, match='windows'):
    _attack(_observation([_speech(0, 90)]))


def test_an_update_that_is_zero_in_layer_2_is_refused():
  """As sending the largest hundredth of an update may leave it."""
  observed = _observation([_speech(0, 20)])
  zero = jax.tree.map(np.zeros_like, observed.update['dense_1'])
  with pytest.raises(observation.Refused, match='its update is zero'):
    _attack(observed._replace(update={**observed.update, 'dense_1': zero}))


def _changed(observed, **changes):
  return observed._replace(model=_model(**changes))


REFUSED = {
  'architecture': lambda o: o._replace(
    model=config.ModelConfig(architecture=config.Architecture.DS2)
  ),
  'dropout 0.2': lambda o: _changed(o, dropout=0.2),
  'one dense layer': lambda o: _changed(o, dense_sizes=(WIDTH,)),
  'time stride 4': lambda o: _changed(o, time_stride=4),
  'adam': lambda o: o._replace(
    client=config.ClientConfig(optimizer=config.ClientOptimizer.ADAM),
    observed=config.Observed.DELTA,
  ),
}


@pytest.mark.parametrize('reason', REFUSED)
def test_what_cannot_work_is_refused_with_the_reason(reason):
  observed = REFUSED[reason](_observation([_speech(0, 6)]))
  with pytest.raises(observation.Refused, match=reason):
    _attack(observed)


def test_seeds_have_enough_equations_for_each_unknown():
  shape = context_windows.Shape(9, 1, 26)
  assert seed_and_grow.num_seed_windows(1298, 750, shape) == 4
  assert seed_and_grow.num_seed_windows(4000, 750, shape) == 1
  # Never more windows than there are, nor than see the beginning.
  assert seed_and_grow.num_seed_windows(1298, 3, shape) == 3
  assert seed_and_grow.num_seed_windows(10, 750, shape) == 20


def _withheld(observed, *names):
  return observed._replace(update=observation.without(observed.update, names))


def test_without_its_kernel_it_is_refused_by_name():
  observed = _withheld(_observation([_speech(0, 9)]), 'dense_1/kernel')
  with pytest.raises(
    observation.Refused, match='dense_1/kernel: its update is withheld'
  ):
    _attack(observed)


def test_without_its_bias_the_size_is_the_public_level():
  original = 3 * _speech(0, LENGTH)
  speech = features.Statistics(
    mean=np.zeros(FEATURES, np.float32), std=np.full(FEATURES, 2.0, np.float32)
  )
  observed = _withheld(_observation([original], speech=speech), 'dense_1/bias')
  plain = config.FeaturesConfig(normalization=config.Normalization.NONE)
  result = _attack(observed._replace(features=plain))
  assert result.is_certified
  assert not result.is_whole
  assert result.certificate['scale_is_free'] == 1
  assert np.isfinite(list(result.certificate.values())).all()
  assert result.ledger.layers == ('dense_1/kernel',)
  assert known_scale.PUBLIC_SPEECH in result.ledger.prior
  found = result.features[0]
  np.testing.assert_allclose(np.mean(found**2), 2.0**2, rtol=1e-5)
  factor = np.vdot(found, original) / np.vdot(found, found)
  assert _snr(original, factor * found) > 60


def test_without_its_bias_biases_of_layer_one_tell_the_size():
  original = 3 * _speech(0, LENGTH)
  observed = _withheld(
    _observation([original], bias_stddev=0.1), 'dense_1/bias'
  )
  result = _attack(observed)
  assert result.is_certified
  assert result.certificate['scale_is_free'] == 0
  assert 'bias_cosine' not in result.certificate
  assert _snr(original, result.features[0]) > 60
