"""Span inversion of a small DeepSpeech 1: what it recovers and refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import quick

from fedjax_asr import config
from fedjax_asr.attacks import context_windows, observation, subspace
from fedjax_asr.attacks.ds1 import span, window_system
from fedjax_asr.federated import cohort, local_gradient
from fedjax_asr.models import model

NUM_FEATURES = 6
# Windows of 5 frames: 30 taps, and at stride 1 a capacity of 24 windows.
CAPACITY = 24
NUM_UNITS = 128
MAX_FRAMES = 30
MAX_UTTERANCES = 3


def _model(**fields):
  ds1 = config.DeepSpeech1Config(
    context_frames=2,
    dense_sizes=(NUM_UNITS, 48, 32),
    recurrent_size=16,
    final_size=32,
  )
  for name, value in fields.items():
    setattr(ds1, name, value)
  return config.ModelConfig(architecture=config.Architecture.DS1, ds1=ds1)


def _speech(seed, num_frames, sizes=1.0):
  """Smooth in time, as speech is; features of these sizes."""
  noise = np.random.default_rng(seed).standard_normal(
    (num_frames + 2, NUM_FEATURES)
  )
  smooth = (noise[:-2] + noise[1:-1] + noise[2:]) / 3
  return (smooth * sizes).astype(np.float32)


def _batch(utterances):
  """Padded to one shape, so that each model is compiled once."""
  missing = MAX_UTTERANCES - len(utterances)
  lengths = [len(utterance) for utterance in utterances] + missing * [0]
  features = np.zeros((MAX_UTTERANCES, MAX_FRAMES, NUM_FEATURES), np.float32)
  for row, utterance in zip(features, utterances, strict=False):
    row[: len(utterance)] = utterance
  return cohort.Batch(
    features=jnp.asarray(features),
    num_frames=jnp.array(lengths),
    labels=jnp.tile(jnp.array([[1, 2]]), (MAX_UTTERANCES, 1)),
    num_labels=jnp.where(jnp.array(lengths) > 0, 2, 0),
  )


@functools.cache
def _gradient(stride, dropout):
  """(parameters, jitted gradient) of the model."""
  cfg = _model(time_stride=stride, dropout=dropout)
  acoustic = model.acoustic(cfg, NUM_FEATURES)
  params, norm_state = acoustic.init(jax.random.key(1))
  loss = functools.partial(local_gradient.batch_loss, acoustic)

  def gradient(params, batch):
    key = jax.random.key(2)
    return jax.grad(loss, has_aux=True)(params, norm_state, batch, key)[0]

  return params, quick.jit(gradient)


def _observed(utterances, *, stride=1, dropout=0.0, num_steps=1):
  params, gradient = _gradient(stride, dropout)
  cfg = _model(time_stride=stride, dropout=dropout)
  update, local = None, params
  for _ in range(num_steps):
    update = gradient(local, _batch(utterances))
    local = optax.apply_updates(
      local, jax.tree.map(lambda g: -0.05 * g, update)
    )
  if num_steps > 1:
    update = jax.tree.map(jnp.subtract, params, local)
  is_delta = num_steps > 1
  return observation.Observation(
    update=update,
    params=params,
    norm_state={},
    acoustic=model.acoustic(cfg, NUM_FEATURES),
    model=cfg,
    features=config.FeaturesConfig(),
    client=config.ClientConfig(),
    observed=config.Observed.DELTA if is_delta else config.Observed.GRADIENT,
    num_steps=num_steps,
    learning_rate=0.05,
    round=0,
    declared=observation.Declared(),
  )


def _reconstruct(observed, **fields):
  return span.reconstruct(
    observed, config.SpanConfig(**fields), jax.random.key(0)
  )


def _snr(truth, found):
  truth, found = truth.astype(np.float64), found.astype(np.float64)
  error = max(np.sum((found - truth) ** 2), 1e-300)
  return 10 * np.log10(np.sum(truth**2) / error)


def _worst_snr(utterances, result):
  """Each utterance against the nearest of its own length."""
  assert sorted(map(len, result.features)) == sorted(map(len, utterances))
  return min(
    max(_snr(each, x) for x in result.features if len(x) == len(each))
    for each in utterances
  )


@pytest.mark.parametrize('num_frames', [3, 11, 21])
@pytest.mark.parametrize('dropout', [0.0, 0.3])
def test_an_utterance_is_exact_with_dropout_and_without(num_frames, dropout):
  utterance = _speech(num_frames, num_frames)
  result = _reconstruct(_observed([utterance], dropout=dropout))
  assert result.is_certified
  assert _worst_snr([utterance], result) > 80


def test_features_of_very_different_sizes_are_exact():
  sizes = np.array([300.0, 30, 3, 1, 0.5, 0.3])
  utterance = _speech(0, 15, sizes)
  result = _reconstruct(_observed([utterance]))
  assert result.is_certified
  worst = min(
    _snr(utterance[:, each], result.features[0][:, each])
    for each in range(NUM_FEATURES)
  )
  assert worst > 60


@pytest.mark.parametrize('num_frames', [15, 16])
def test_stride_two_tells_an_even_length_from_an_odd_one(num_frames):
  utterance = _speech(1, num_frames)
  result = _reconstruct(_observed([utterance], stride=2))
  assert result.is_certified
  assert _worst_snr([utterance], result) > 80


@pytest.mark.parametrize('lengths', [(7, 12), (9, 9), (5, 6, 8), (6, 6, 9)])
def test_a_batch_comes_apart_whether_lengths_are_equal_or_not(lengths):
  utterances = [_speech(10 + i, n) for i, n in enumerate(lengths)]
  result = _reconstruct(_observed(utterances))
  assert result.is_certified
  assert _worst_snr(utterances, result) > 60


def test_local_steps_of_sgd_leave_the_span():
  utterance = _speech(3, 14)
  result = _reconstruct(_observed([utterance], num_steps=8))
  assert result.is_certified
  assert result.ledger.local_steps == 8
  assert _worst_snr([utterance], result) > 50


def test_it_uses_the_first_layer_and_nothing_that_is_declared():
  result = _reconstruct(_observed([_speech(3, 10)]))
  ledger = result.ledger
  assert ledger.layers == ('dense_0/kernel', 'dense_0/bias')
  assert not ledger.prior
  assert not ledger.knows_length
  assert not ledger.knows_transcript


@pytest.mark.parametrize('rank', [5, 14, 20])
def test_a_space_that_no_utterance_spans_is_not_certified(rank):
  observed = _observed([_speech(4, 14)])
  rng = np.random.default_rng(rank)
  left, right = rng.standard_normal((30, rank)), rng.standard_normal((rank, 1))
  kernel = left @ (right * rng.standard_normal((rank, NUM_UNITS)))
  layer = {**observed.update['dense_0'], 'kernel': kernel}
  update = {**observed.update, 'dense_0': layer}
  result = _reconstruct(observed._replace(update=update))
  assert result.certificate['eigenvalue_gap'] < 20
  assert not result.is_certified


def test_no_wrong_length_fits_like_the_right_one():
  kernel = _observed([_speech(4, 14)]).update['dense_0']['kernel']
  space = subspace.column_space(np.asarray(kernel, np.float64))
  projector = space.complement @ space.complement.T
  shape = context_windows.Shape(2, 1, NUM_FEATURES)
  rng = np.random.default_rng(0)
  gaps = {}
  for length in range(8, 20):
    lowest = window_system.smallest(projector, shape, length, 2, rng).values
    gaps[length] = lowest[1] / lowest[0]
  assert gaps.pop(14) > 1e6
  assert max(gaps.values()) < 100


def test_a_bias_that_does_not_belong_is_not_certified():
  observed = _observed([_speech(5, 12)])
  bias = np.random.default_rng(0).standard_normal(NUM_UNITS)
  layer = {**observed.update['dense_0'], 'bias': bias}
  update = {**observed.update, 'dense_0': layer}
  result = _reconstruct(observed._replace(update=update))
  assert result.certificate['bias_cosine'] < 0.9
  assert not result.is_certified


def test_the_wrong_sign_reaches_units_that_are_not_active():
  observed = _observed([_speech(6, 12)])
  layer = dict(observed.update['dense_0'])
  layer['bias'] = -layer['bias']
  update = {**observed.update, 'dense_0': layer}
  result = _reconstruct(observed._replace(update=update))
  assert result.certificate['bias_cosine'] > 0.99
  assert result.certificate['inactive_energy'] > 0.5
  assert not result.is_certified


def test_more_windows_than_the_capacity_are_refused():
  with pytest.raises(observation.Refused, match=f'{CAPACITY}'):
    _reconstruct(_observed([_speech(7, CAPACITY + 3)]))
  with pytest.raises(observation.Refused, match='windows'):
    _reconstruct(_observed([_speech(7, MAX_FRAMES)]))


def test_a_quantised_update_is_refused_or_not_certified():
  observed = _observed([_speech(8, 20)])
  update = jax.tree.map(jnp.sign, observed.update)
  with pytest.raises(observation.Refused, match='no drop'):
    _reconstruct(observed._replace(update=update))


def test_adam_is_refused_in_a_delta_and_does_not_matter_to_a_gradient():
  adam = config.ClientConfig(optimizer=config.ClientOptimizer.ADAM)
  observed = _observed([_speech(9, 10)])._replace(client=adam)
  assert _reconstruct(observed).is_certified
  with pytest.raises(observation.Refused, match='adam'):
    _reconstruct(observed._replace(observed=config.Observed.DELTA))


def test_another_model_and_a_zero_update_are_refused():
  observed = _observed([_speech(9, 10)])
  zero = jax.tree.map(jnp.zeros_like, observed.update)
  with pytest.raises(observation.Refused, match='its update is zero'):
    _reconstruct(observed._replace(update=zero))
  other = config.ModelConfig(architecture=config.Architecture.DS2)
  with pytest.raises(observation.Refused, match='ds2'):
    _reconstruct(observed._replace(model=other))


def test_lengths_are_those_that_drop_below_their_neighbours():
  values = np.geomspace(1.0, 1e-4, 20)[:, None] * np.array([1.0, 2.0, 4.0])
  values[6, :2] = 1e-9
  values[3, 0] = 1e-8
  assert span.singular_lengths(values, 18) == [(4, 1), (7, 2)]
  # The rank was one too many: the drops decide.
  assert span.singular_lengths(values, 19) == [(4, 1), (7, 2)]


def test_an_utterance_without_its_last_windows_is_found_as_far_as_it_was_seen():
  utterance = _speech(3, 14)
  observed = _observed([utterance])
  shape = context_windows.Shape(2, 1, NUM_FEATURES)
  windows = context_windows.windows(utterance.astype(float), shape, 14)
  layer = observed.update['dense_0']
  signals, *_ = np.linalg.lstsq(
    windows.T, np.asarray(layer['kernel'], float), rcond=None
  )
  signals[-2:] = 0
  first = {
    'kernel': (windows.T @ signals).astype(np.float32),
    'bias': signals.sum(0).astype(np.float32),
  }
  observed = observed._replace(update={**observed.update, 'dense_0': first})
  found = span.reconstruct(observed, config.SpanConfig(), jax.random.key(0))
  assert found.is_certified
  assert found.certificate['is_open_end'] == 1
  assert found.certificate['num_windows'] == 12
  np.testing.assert_allclose(found.features[0], utterance, atol=1e-3)
