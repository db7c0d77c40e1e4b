"""Sizes and signs of utterances without the first layer's bias."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import quick

from fedjax_asr import config
from fedjax_asr.attacks import known_scale, observation
from fedjax_asr.attacks.ds1 import span, span_evidence
from fedjax_asr.federated import cohort, local_gradient
from fedjax_asr.models import model
from fedjax_asr.speech import features as features_lib

NUM_FEATURES, NUM_UNITS = 6, 768
MAX_FRAMES = 22
KERNEL, BIAS = 'dense_0/kernel', 'dense_0/bias'
NEXT = ('dense_1/kernel', 'dense_1/bias')
SPEECH = features_lib.Statistics(
  mean=np.full(NUM_FEATURES, 1.5, np.float32),
  std=np.full(NUM_FEATURES, 2.0, np.float32),
)


def _model(dropout):
  return config.ModelConfig(
    architecture=config.Architecture.DS1,
    ds1=config.DeepSpeech1Config(
      context_frames=2,
      dense_sizes=(NUM_UNITS, 48, 32),
      recurrent_size=16,
      final_size=32,
      dropout=dropout,
    ),
  )


def _speech(seed, num_frames, size=1.0):
  noise = np.random.default_rng(seed).standard_normal(
    (num_frames + 2, NUM_FEATURES)
  )
  smooth = (noise[:-2] + noise[1:-1] + noise[2:]) / 3
  return (size * smooth).astype(np.float32)


def _batch(utterances):
  lengths = [len(each) for each in utterances] + (2 - len(utterances)) * [0]
  features = np.zeros((2, MAX_FRAMES, NUM_FEATURES), np.float32)
  for row, utterance in zip(features, utterances, strict=False):
    row[: len(utterance)] = utterance
  return cohort.Batch(
    features=jnp.asarray(features),
    num_frames=jnp.array(lengths),
    labels=jnp.tile(jnp.array([[1, 2]]), (2, 1)),
    num_labels=jnp.where(jnp.array(lengths) > 0, 2, 0),
  )


@functools.cache
def _gradient(dropout):
  """(parameters, jitted gradient) of the model, without biases."""
  acoustic = model.acoustic(_model(dropout), NUM_FEATURES)
  params, norm_state = acoustic.init(jax.random.key(1))
  loss = functools.partial(local_gradient.batch_loss, acoustic)

  def gradient(params, batch):
    key = jax.random.key(2)
    return jax.grad(loss, has_aux=True)(params, norm_state, batch, key)[0]

  return params, quick.jit(gradient)


def _observed(
  utterances, withheld=(BIAS,), *, biases=0.0, dropout=0.0, num_steps=0
):
  params, gradient = _gradient(dropout)
  drawn = np.random.default_rng(3).standard_normal(NUM_UNITS)
  first = {**params['dense_0'], 'bias': jnp.float32(biases * drawn)}
  params = {**params, 'dense_0': first}
  rate, batch = 1e-3, _batch(utterances)
  update, local = gradient(params, batch), params
  for _ in range(num_steps):
    local = optax.apply_updates(
      local, jax.tree.map(lambda g: -rate * g, gradient(local, batch))
    )
  if num_steps:
    update = jax.tree.map(jnp.subtract, params, local)
  return observation.Observation(
    update=observation.without(update, withheld),
    params=params,
    norm_state={},
    acoustic=model.acoustic(_model(dropout), NUM_FEATURES),
    model=_model(dropout),
    features=config.FeaturesConfig(normalization=config.Normalization.NONE),
    client=config.ClientConfig(),
    observed=config.Observed.DELTA if num_steps else config.Observed.GRADIENT,
    num_steps=max(num_steps, 1),
    learning_rate=rate,
    round=0,
    declared=observation.Declared(),
  )


def _reconstruct(observed, report=None):
  return span.reconstruct(
    observed, config.SpanConfig(), jax.random.key(0), report
  )


def _snr(truth, found, *, any_size=False):
  truth, found = truth.astype(np.float64), found.astype(np.float64)
  if any_size:
    found = found * np.vdot(truth, found) / np.vdot(found, found)
  error = max(np.sum((found - truth) ** 2), 1e-300)
  return 10 * np.log10(np.sum(truth**2) / error)


def _worst_snr(utterances, result, **how):
  assert sorted(map(len, result.features)) == sorted(map(len, utterances))
  return min(
    max(_snr(u, x, **how) for x in result.features if len(x) == len(u))
    for u in utterances
  )


def _is_known_in_size(result, layers):
  assert result.is_certified
  assert result.is_whole
  assert result.certificate['scale_is_free'] == 0
  assert 'bias_cosine' not in result.certificate
  assert np.isfinite(list(result.certificate.values())).all()
  assert result.ledger.layers == layers
  assert not result.ledger.prior
  return True


@pytest.mark.parametrize('sign', [1, -1])
@pytest.mark.parametrize('num_frames', [14, 20])
def test_which_units_are_active_tells_size_and_sign(num_frames, sign):
  utterance = _speech(num_frames, num_frames, 2.0 * sign)
  result = _reconstruct(_observed([utterance], (BIAS, *NEXT), biases=1.0))
  assert _is_known_in_size(result, (KERNEL,))
  assert _worst_snr([utterance], result) > 60


def test_a_bias_whose_update_is_zero_is_like_one_that_is_not_sent():
  utterance = _speech(0, 18, 2.0)
  observed = _observed([utterance], NEXT, biases=1.0)
  first = dict(observed.update['dense_0'])
  first['bias'] = jnp.zeros_like(first['bias'])
  update = {**observed.update, 'dense_0': first}
  result = _reconstruct(observed._replace(update=update))
  assert _is_known_in_size(result, (KERNEL,))
  assert _worst_snr([utterance], result) > 60


def test_dropout_leaves_the_size_that_active_units_allow():
  utterance = _speech(1, 20, 2.0)
  result = _reconstruct(_observed([utterance], biases=1.0, dropout=0.3))
  assert _is_known_in_size(result, (KERNEL,))
  assert _worst_snr([utterance], result) > 40


def test_units_at_the_clip_tell_the_size_without_biases():
  utterance = _speech(2, 20, 120.0)
  result = _reconstruct(_observed([utterance], (BIAS, *NEXT)))
  assert _is_known_in_size(result, (KERNEL,))
  assert _worst_snr([utterance], result) > 60


def test_utterances_of_a_batch_have_each_a_size_of_their_own():
  utterances = [_speech(3, 10, 3.0), _speech(4, 12, -1.0)]
  result = _reconstruct(_observed(utterances, biases=1.0))
  assert result.is_whole
  assert result.certificate['scale_is_free'] == 0
  assert _worst_snr(utterances, result) > 55


@pytest.mark.parametrize('sign', [1, -1])
def test_layer_two_tells_the_size_without_biases(sign):
  utterance = _speech(5, 16, 1.7 * sign)
  result = _reconstruct(_observed([utterance]))
  assert _is_known_in_size(result, (KERNEL, *NEXT))
  assert _worst_snr([utterance], result) > 60


def test_layer_two_tells_the_sizes_of_a_batch():
  utterances = [_speech(6, 9, 3.0), _speech(7, 12, -1.0)]
  result = _reconstruct(_observed(utterances))
  assert _is_known_in_size(result, (KERNEL, *NEXT))
  assert _worst_snr(utterances, result) > 60


def test_layer_two_tells_the_size_after_local_steps():
  utterance = _speech(8, 16, 1.7)
  result = _reconstruct(_observed([utterance], num_steps=4))
  assert _is_known_in_size(result, (KERNEL, *NEXT))
  assert _worst_snr([utterance], result) > 50


@pytest.mark.parametrize(
  ('withheld', 'dropout', 'num_steps'),
  [
    ((BIAS, NEXT[0]), 0.0, 0),
    ((BIAS, NEXT[1]), 0.0, 0),
    ((BIAS,), 0.3, 0),
    ((BIAS, *NEXT), 0.0, 4),
  ],
)
@pytest.mark.parametrize('sign', [1, -1])
def test_a_size_that_nothing_tells_is_the_public_level(
  withheld, dropout, num_steps, sign
):
  utterance = _speech(9, 16, 1.7 * sign)
  observed = _observed(
    [utterance], withheld, dropout=dropout, num_steps=num_steps
  )
  declared = observation.Declared(speech=SPEECH)
  result = _reconstruct(observed._replace(declared=declared))
  assert result.is_certified
  assert not result.is_whole
  assert result.certificate['scale_is_free'] == 1
  assert result.ledger.layers == (KERNEL,)
  assert result.ledger.prior == known_scale.PUBLIC_SPEECH
  found = result.features[0]
  np.testing.assert_allclose(np.mean(found**2), 1.5**2 + 2.0**2, rtol=1e-5)
  assert _worst_snr([utterance], result, any_size=True) > 60
  # The sign is told in any case.
  assert np.vdot(found, utterance) > 0


def test_utterances_normalised_by_themselves_are_exact_by_their_variance():
  utterance = _speech(10, 16)
  utterance /= np.sqrt(np.mean(utterance**2))
  observed = _observed([utterance], (BIAS, *NEXT))
  by_itself = config.FeaturesConfig(
    normalization=config.Normalization.UTTERANCE
  )
  result = _reconstruct(observed._replace(features=by_itself))
  assert result.certificate['scale_is_free'] == 1
  assert result.ledger.prior == known_scale.UNIT_VARIANCE
  assert _worst_snr([utterance], result) > 60


def test_without_any_level_the_shape_has_no_prior():
  utterance = _speech(11, 16)
  result = _reconstruct(_observed([utterance], (BIAS, *NEXT)))
  assert result.is_certified
  assert result.certificate['scale_is_free'] == 1
  assert not result.ledger.prior
  assert _worst_snr([utterance], result, any_size=True) > 60


def test_a_level_that_active_units_rule_out_gives_way_to_what_they_allow():
  """A few units more or less: the pattern is blunt, but not silent."""
  utterance = _speech(12, 3, 1.0)
  observed = _observed([utterance], (BIAS, *NEXT), biases=0.002)
  loud = SPEECH._replace(mean=np.full(NUM_FEATURES, 1e3, np.float32))
  result = _reconstruct(
    observed._replace(declared=observation.Declared(speech=loud))
  )
  assert result.certificate['scale_is_free'] == 1
  assert _worst_snr([utterance], result) > 15


def test_the_kernel_is_needed_and_named():
  observed = _observed([_speech(13, 12)], (KERNEL,))
  with pytest.raises(
    observation.Refused, match='kernel: its update is withheld'
  ):
    _reconstruct(observed)


def test_another_utterances_signals_are_not_believed_without_a_bias():
  """Reversed in time: the span is as good, the activity is not."""
  observed = _observed([_speech(14, 16)], biases=1.0)
  kernel = np.asarray(observed.update['dense_0']['kernel'])
  by_tap = kernel.reshape(-1, NUM_FEATURES, NUM_UNITS)[::-1]
  first = {'kernel': by_tap.reshape(kernel.shape)}
  update = {**observed.update, 'dense_0': first}
  result = _reconstruct(observed._replace(update=update))
  assert result.certificate['eigenvalue_gap'] > 1e4
  assert not result.is_certified


def test_utterances_of_silence_are_no_evidence_and_no_nan():
  rng = np.random.default_rng(0)
  kernel = rng.standard_normal((8, 5))
  found = span_evidence.gathered(
    np.zeros((3, 8)),
    kernel,
    span_evidence.Layer(kernel, np.zeros(5)),
    np.linalg.svd(kernel, compute_uv=False),
    np.ones(5),
    1e-6,
  )
  assert np.isfinite(found).all()
  assert span_evidence.most_inactive(found, config.SpanConfig()) < 0
