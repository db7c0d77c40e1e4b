import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick
import tiny_victim

from fedjax_asr import config
from fedjax_asr.attacks import client_gradient, known_scale, observation
from fedjax_asr.attacks.ds2 import (
  front_inversion,
  span_descent,
  span_residual,
)
from fedjax_asr.attacks.matching import matching_objective
from fedjax_asr.speech import features as features_lib

KEY = jax.random.key(1)
FRAMES = 16
SMALL = {
  'conv_channels': (8, 16),
  'conv_time_kernels': (5, 3),
  'conv_frequency_kernels': (3, 3),
  'conv_time_strides': (2, 1),
  'conv_frequency_strides': (1, 1),
  'recurrent_size': 16,
  'norm': config.Norm.NONE,
}
SPEECH = features_lib.Statistics(
  np.array([0.5, -1.0, 2.0], np.float32), np.array([1.0, 2.0, 0.5], np.float32)
)
# One point throughout, so that one program does.
SHORT = config.SpanDescentConfig(
  num_starts=1,
  max_shift=0,
  num_iterations=2,
  num_shifted=1,
  num_shift_iterations=2,
  num_refined=1,
  num_refinement_iterations=2,
  num_polish=0,
)


@functools.cache
def small(**fields):
  """(what the attacker sees, the truth); nothing is declared."""
  made, features = tiny_victim.sent('ds2', (FRAMES,), **SMALL | fields)
  made = made._replace(declared=observation.Declared())
  return made, jnp.asarray(features)


@pytest.fixture
def _quick(monkeypatch):
  """Programs compiled as `quick.jit` does: nearly all the time is XLA's."""
  jit = functools.partial(jax.jit, compiler_options=quick.options())
  monkeypatch.setattr(jax, 'jit', jit)


def settings(**fields):
  return dataclasses.replace(SHORT, **fields)


def say(state, schedule):
  del state, schedule


def decibels(truth, found):
  return 10 * np.log10(np.square(truth).sum() / np.square(truth - found).sum())


def descended(made, schedule, points, say=say):
  return span_descent.descended(
    front_inversion.front(made),
    schedule,
    span_residual.opened(made),
    jnp.asarray(points),
    say,
  )


def test_the_objective_is_what_numpy_makes_of_the_update():
  made, truth = small()
  made = made._replace(declared=made.declared._replace(speech=SPEECH))
  point = np.random.default_rng(1).standard_normal(truth.shape)
  point = point.astype(np.float32)
  values, _, _ = made.acoustic.front(
    made.params,
    made.norm_state,
    jnp.asarray(point * SPEECH.std + SPEECH.mean)[None],
    jnp.array([FRAMES]),
    train=False,
  )
  frames = np.asarray(values[0], np.float64)
  update = np.asarray(made.update['recurrent_0']['input_kernel'], np.float64)
  span = np.linalg.svd(update)[0][:, : len(frames)]
  outside = frames - frames @ span @ span.T
  wanted = np.mean(
    np.square(outside).sum(1) / np.square(frames).sum(1)
  ) + 0.3 * np.mean(np.square(point))
  got = span_residual.objective(
    front_inversion.front(made),
    span_residual.opened(made),
    jnp.float32(0.3),
    jnp.asarray(point),
  )
  assert len(frames) == FRAMES // 2
  assert float(got) == pytest.approx(wanted, rel=1e-5)


def test_the_truth_has_no_residual_and_zeros_have_all():
  made, truth = small()
  front, problem = front_inversion.front(made), span_residual.opened(made)
  assert int(problem.num_frames[0]) == FRAMES
  run = quick.jit(functools.partial(span_residual.residual, front))
  assert float(run(problem, truth)) < 1e-11
  dead = problem._replace(params=jax.tree.map(jnp.zeros_like, problem.params))
  slope = quick.jit(
    jax.grad(functools.partial(span_residual.residual, front), 1)
  )(dead, truth)
  assert float(run(dead, truth)) == 1
  assert not np.any(slope)


def test_a_descent_is_adam_with_cosine_and_fading_prior(monkeypatch):
  """As a loop does it, in chunks that do not divide the iterations."""
  monkeypatch.setattr(span_descent, '_CHUNK', 2)
  made, truth = small()
  schedule = span_descent.Schedule(5, 0.07, 0.4)
  starts = np.stack([truth + 0.5, 0.3 * truth])
  seen = []
  points, residuals = descended(
    made, schedule, starts, lambda state, _: seen.append(int(state.iteration))
  )
  front, problem = front_inversion.front(made), span_residual.opened(made)
  slope = jax.jit(
    jax.grad(functools.partial(span_residual.objective, front), 2)
  )
  for start, got in zip(starts, points, strict=True):
    point, mean, square = np.asarray(start, np.float64), 0.0, 0.0
    for index in range(5):
      gradient = np.asarray(
        slope(problem, jnp.float32(0.4 - 0.08 * index), jnp.float32(point))
      )
      mean = 0.9 * mean + 0.1 * gradient
      square = 0.999 * square + 0.001 * gradient**2
      rate = 0.07 * (1 + np.cos(np.pi * index / 5)) / 2
      moments = (
        mean / (1 - 0.9 ** (index + 1)),
        square / (1 - 0.999 ** (index + 1)),
      )
      point = point - rate * moments[0] / (np.sqrt(moments[1]) + 1e-8)
    np.testing.assert_allclose(got, point, atol=2e-4)
  assert seen == [2, 4, 5]
  assert residuals[1] == pytest.approx(
    float(span_residual.residual(front, problem, points[1])), rel=1e-4
  )


def test_lags_are_whole_output_frames_up_to_a_third_of_the_utterance():
  assert span_descent.lags(100, 2, 30) == list(range(-30, 31, 2))
  assert span_descent.lags(30, 2, 30) == list(range(-10, 11, 2))
  assert span_descent.lags(100, 4, 7) == [-4, 0, 4]
  assert span_descent.lags(100, 2, 0) == [0]


def test_shifted_copies_let_zeros_in():
  points = jnp.array([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]])
  got = span_descent.shifted(points, [-2, 0, 1])[..., 0]
  np.testing.assert_array_equal(
    got,
    [[3, 0, 0], [1, 2, 3], [0, 1, 2], [6, 0, 0], [4, 5, 6], [0, 4, 5]],
  )


@pytest.mark.parametrize(('max_shift', 'is_found'), [(4, True), (0, False)])
def test_shift_repair_finds_the_lag_of_a_shifted_truth(max_shift, is_found):
  made, truth = small()
  late = jnp.concatenate([jnp.zeros((4, 3)), truth[:-4]])
  cfg = settings(
    max_shift=max_shift, num_shift_iterations=300, shift_amplitude_prior=0.0
  )
  (found,) = span_descent.repaired(
    made, cfg, span_residual.opened(made), late[None], print
  )
  assert (decibels(truth, found) > 30) == is_found
  assert (decibels(late, found) > 0) != is_found


def test_near_the_truth_it_closes_to_the_certificate():
  made, truth = small()
  noise = np.random.default_rng(1).standard_normal(truth.shape)
  start = jnp.asarray(truth + 0.1 * noise, jnp.float32)[None]
  assert decibels(truth, start[0]) < 22
  cfg = settings(num_refinement_iterations=1500)
  (found,), (residual,) = span_descent.refined(
    front_inversion.front(made), cfg, span_residual.opened(made), start, print
  )
  assert residual < span_descent.CERTIFIED
  assert decibels(truth, found) > 60


def test_an_utterance_is_found_from_noise():
  made, truth = small()
  lines = []
  cfg = settings(
    num_starts=5,
    max_shift=4,
    num_iterations=600,
    num_shifted=1,
    num_shift_iterations=400,
    num_refined=5,
    num_refinement_iterations=1500,
  )
  found = span_descent.reconstruct(made, cfg, KEY, lines.append)
  assert found.is_certified
  assert found.certificate['residual'] < 1e-8
  assert found.certificate['scale_is_free'] == 0
  assert decibels(truth, found.features[0]) > 60
  assert found.ledger.layers == ('recurrent_0/input_kernel',)
  assert not found.ledger.knows_transcript
  assert not found.ledger.knows_length
  assert found.ledger.prior == ''
  assert lines[0].startswith('noise, iteration 100 of 600, res')
  assert len(lines) == 6 + 4 + 15


SCALES = {
  'per utterance': (config.Normalization.UTTERANCE, None, 1.0),
  'of public speech': (
    config.Normalization.NONE,
    SPEECH,
    (1.25 + 5 + 4.25) / 3,
  ),
}


@pytest.mark.parametrize('case', SCALES)
def test_a_scale_that_normalisation_hides_is_the_known_one(case):
  normalization, speech, wanted = SCALES[case]
  made, _ = without_biases(normalization, speech)
  found = span_descent.reconstruct(made, SHORT, KEY)
  assert found.certificate['scale_is_free'] == 1
  assert np.square(found.features[0]).mean() == pytest.approx(wanted, rel=1e-5)
  assert found.ledger.prior == (
    known_scale.PUBLIC_SPEECH if speech else known_scale.UNIT_VARIANCE
  )


def test_no_scale_is_invented_where_none_is_known():
  made, _ = without_biases(config.Normalization.NONE, None)
  found = span_descent.reconstruct(made, SHORT, KEY)
  assert found.certificate['scale_is_free'] == 1
  assert found.ledger.prior == ''


def without_biases(normalization, speech):
  """With layer norm, whose directions are then the same at every scale."""
  made, features = small(norm=config.Norm.LAYER)
  params = {
    name: leaves | {'bias': jnp.zeros_like(leaves['bias'])}
    if name in ('conv_0', 'conv_1')
    else leaves
    for name, leaves in made.params.items()
  }
  return made._replace(
    params=params,
    features=dataclasses.replace(made.features, normalization=normalization),
    declared=observation.Declared(speech=speech),
  ), features


@pytest.mark.slow
@pytest.mark.usefixtures('_quick')
def test_what_does_not_close_is_polished_where_the_transcript_is_told():
  simple = {'cell': config.Cell.RNN, 'bidirectional': False}
  norm = config.Norm.NONE
  made, _ = tiny_victim.sent('ds2', recurrent_size=20, norm=norm, **simple)
  told = made.declared
  plain = span_descent.reconstruct(made, SHORT, KEY)
  polished = span_descent.reconstruct(
    made, settings(num_polish=49, polish_learning_rate=0.05), KEY
  )
  untold = span_descent.reconstruct(
    made._replace(declared=told._replace(labels=None)),
    settings(num_polish=49, polish_learning_rate=0.05),
    KEY,
  )
  before = matching_objective.relative_residual(
    made, client_gradient.transcripts(made), jnp.asarray(plain.features[0])
  )
  assert polished.certificate['relative_squared_distance'] < 0.9 * before
  assert polished.ledger.knows_transcript
  assert len(polished.ledger.layers) == len(jax.tree.leaves(made.params))
  assert not polished.is_certified
  np.testing.assert_array_equal(untold.features[0], plain.features[0])
  assert not untold.ledger.knows_transcript
  assert untold.ledger.knows_length
  assert plain.ledger.layers == ('recurrent_0/input_kernel',)


def with_kernel(made, kernel):
  update = dict(made.update)
  update['recurrent_0'] = update['recurrent_0'] | {'input_kernel': kernel}
  return made._replace(update=update)


def test_what_it_cannot_do_is_refused():
  made, _ = small()
  kernel = made.update['recurrent_0']['input_kernel']
  noise = np.random.default_rng(0).standard_normal(kernel.shape)
  adam = made._replace(
    client=config.ClientConfig(optimizer=config.ClientOptimizer.ADAM),
    observed=config.Observed.DELTA,
  )
  several = made._replace(declared=observation.Declared(num_utterances=2))
  many = noise[:, :45] @ noise[:45]
  for what, reason in (
    (tiny_victim.sent()[0], 'architecture ds1: want ds2'),
    (with_kernel(made, noise), 'no drop in its 48 singular values'),
    (with_kernel(made, many[:, : kernel.shape[1]]), '3 equations for 6'),
    (adam, 'client optimizer adam'),
    (several, '2 utterances: want one'),
    (with_kernel(made, 0 * noise), 'input_kernel: its update is zero'),
  ):
    with pytest.raises(observation.Refused, match=reason):
      span_descent.reconstruct(what, SHORT, KEY)
