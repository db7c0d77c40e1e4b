"""Utterances of a batch, one by one, from the updates of one or more rounds."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick

from fedjax_asr import config
from fedjax_asr.attacks import context_windows, observation
from fedjax_asr.attacks.ds1 import (
  beginnings,
  client_rounds,
  hidden_span,
  round_spans,
)
from fedjax_asr.models import activation, model

FEATURES, WIDTH = 4, 96
SHAPE = context_windows.Shape(1, 1, FEATURES)
# Of one layer and few starts: what attacks is compiled sooner.
CFG = config.ClientRoundsConfig(num_starts=192, num_parallel=32, num_layers=1)


@functools.cache
def _model():
  cfg = config.ModelConfig(
    architecture=config.Architecture.DS1,
    ds1=config.DeepSpeech1Config(
      context_frames=1,
      dense_sizes=(WIDTH, WIDTH, WIDTH),
      recurrent_size=32,
      final_size=WIDTH,
      bias_stddev=0.1,
    ),
  )
  acoustic = model.acoustic(cfg, FEATURES)
  return cfg, acoustic, quick.jit(acoustic.init)(jax.random.key(1))


def _speech(seed, num_frames):
  rng = np.random.default_rng(seed)
  steps = rng.standard_normal((num_frames, FEATURES))
  frames = [steps[0]]
  for step in steps[1:]:
    frames.append(0.8 * frames[-1] + 0.6 * step)
  return 3 * np.array(frames, np.float32)


def _observation(utterances, params=None):
  """Of the gradient of an arbitrary function of the logits."""
  cfg, acoustic, (first, norm_state) = _model()
  params = first if params is None else params
  num_frames = jnp.array([len(each) for each in utterances])
  longest = int(num_frames.max())
  batch = jnp.stack(
    [np.pad(each, ((0, longest - len(each)), (0, 0))) for each in utterances]
  )

  def loss(params):
    logits, _, _ = acoustic.apply(
      params, norm_state, batch, num_frames, train=False
    )
    return jnp.sum(logits * jax.random.normal(jax.random.key(2), logits.shape))

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
    declared=observation.Declared(),
  )


def _other_params():
  """As a server may have them some rounds later."""
  leaves, structure = jax.tree.flatten(_model()[2][0])
  rng = np.random.default_rng(5)
  return jax.tree.unflatten(
    structure,
    [
      leaf + 0.05 * rng.standard_normal(leaf.shape).astype(np.float32)
      for leaf in leaves
    ],
  )


def _snr(original, found):
  assert found.shape == original.shape
  return 10 * np.log10(np.sum(original**2) / np.sum((found - original) ** 2))


def _spans(observed, num_layers):
  return observed, round_spans.of_update(observed, num_layers)


def test_each_utterance_of_a_batch_is_found_and_certified():
  originals = [_speech(seed, length) for seed, length in enumerate((6, 8, 10))]
  result = client_rounds.reconstruct(
    _observation(originals), CFG, jax.random.key(0)
  )
  assert result.is_whole
  assert result.certificate['num_utterances'] == 3
  found = sorted(result.features, key=len)
  for original, each in zip(originals, found, strict=True):
    assert _snr(original, each) > 80


def test_what_is_found_of_a_batch_is_certified_but_not_whole(monkeypatch):
  originals = [_speech(seed, length) for seed, length in enumerate((6, 8, 10))]
  grown = client_rounds._grown
  known = []

  def only_one(*args):
    utterance = grown(*args)
    known.append(utterance)
    if len(known) == 1:
      return utterance
    return utterance._replace(
      chain=utterance.chain._replace(is_whole=False), is_certified=False
    )

  monkeypatch.setattr(client_rounds, '_grown', only_one)
  cfg = dataclasses.replace(CFG, num_starts=32)
  result = client_rounds.reconstruct(
    _observation(originals), cfg, jax.random.key(0)
  )
  assert result.is_certified
  assert not result.is_whole
  (found,) = result.features
  (original,) = (each for each in originals if len(each) == len(found))
  assert _snr(original, found) > 80


def test_windows_of_speech_solve_the_equations_of_all_layers_and_rounds():
  original = _speech(0, 20)
  rounds = [
    _spans(_observation([original]), 3),
    _spans(_observation([original], _other_params()), 3),
  ]
  span = round_spans.joint(rounds, SHAPE)
  # Two rounds of three layers of WIDTH units and 20 windows.
  assert hidden_span.num_equations_of(span) == 6 * (WIDTH - 20)
  left = round_spans.residuals(span, SHAPE, original.astype(np.float64), 20)
  assert left.max() < 1e-9
  other = round_spans.residuals(
    span, SHAPE, _speech(1, 20).astype(np.float64), 20
  )
  assert other.min() > 1e-3
  windows = context_windows.windows(original.astype(np.float64), SHAPE, 20)
  single = hidden_span.fractions(hidden_span.cast(span), jnp.float32(windows))
  assert single.max() < 1e-7


@pytest.mark.slow
def test_of_two_rounds_only_what_both_hold_is_found():
  both, first, second = _speech(0, 12), _speech(1, 14), _speech(2, 14)
  observed = _observation([both, first])._replace(
    others=(_observation([both, second], _other_params()),)
  )
  result = client_rounds.reconstruct(
    observed, dataclasses.replace(CFG, num_starts=32), jax.random.key(0)
  )
  assert result.is_certified
  assert not result.is_whole
  (found,) = result.features
  assert _snr(both, found) > 80


def test_the_rank_is_read_past_units_that_are_never_or_hardly_active():
  rng = np.random.default_rng(0)
  inputs = rng.random((60, 20))
  inputs[40:] = 0
  inputs[36:40] *= 1e-6
  kernel = (inputs @ rng.standard_normal((20, 60))).astype(np.float32)
  space = round_spans.column_space(kernel.astype(np.float64))
  assert space.rank == 20
  assert space.complement.shape == (60, 40)
  assert np.abs(space.complement.T @ space.complement - np.eye(40)).max() < 1e-9
  unit = inputs / np.linalg.norm(inputs, axis=0)
  assert np.abs(space.complement.T @ unit).max() < 1e-5


def test_a_known_beginning_is_not_found_again():
  original = _speech(0, 20)
  kernel = np.asarray(_model()[2][0]['dense_0']['kernel'], np.float64)
  windows = context_windows.windows(original.astype(np.float64), SHAPE, 20)
  values = np.clip(windows @ kernel, 0, activation.CLIP)
  basis, _ = np.linalg.qr(values.T, mode='complete')
  span = hidden_span.cast(
    hidden_span.HiddenSpan(
      kernel,
      np.zeros(WIDTH),
      basis[:, 20:],
      np.zeros(FEATURES),
      np.ones(FEATURES),
    )
  )
  keys = jax.random.split(jax.random.key(0), 32)
  starts = beginnings.starts(keys, 3, FEATURES)
  towards = beginnings.direction(span, original[:3])

  def num_found(known):
    points, costs = beginnings.fitted(span, SHAPE, 2, starts, known, 30)
    units = points / jnp.linalg.norm(points, axis=1, keepdims=True)
    is_it = 1 - (units @ towards) ** 2 < beginnings.SAME
    return int((is_it & (costs < 1e-8)).sum())

  unknown = jnp.zeros((1, len(towards)))
  assert num_found(unknown) > 0
  assert num_found(jnp.asarray(towards)[None]) == 0


def test_an_update_without_its_second_layer_is_refused():
  observed = _observation([_speech(0, 9)])
  update = observation.without(observed.update, ('dense_1/kernel',))
  with pytest.raises(observation.Refused, match='dense_1/kernel'):
    client_rounds.reconstruct(
      observed._replace(update=update), CFG, jax.random.key(0)
    )


def test_adam_at_the_client_is_refused():
  observed = _observation([_speech(0, 9)])._replace(
    client=config.ClientConfig(optimizer=config.ClientOptimizer.ADAM),
    observed=config.Observed.DELTA,
  )
  with pytest.raises(observation.Refused, match='adam'):
    client_rounds.reconstruct(observed, CFG, jax.random.key(0))
