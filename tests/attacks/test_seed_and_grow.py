"""Whole utterances out of layer 2's gradient of a small DeepSpeech 1."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.attacks import observation, seed_and_grow, window_system
from fedjax_asr.models import model

FEATURES, WIDTH = 4, 96
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


def _observation(utterances, time_stride=1, bias_stddev=0.0):
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
    update=jax.jit(jax.grad(loss))(params),
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


def _snr(original, found):
  assert found.shape == original.shape
  noise = np.sum((found - original) ** 2)
  return 10 * np.log10(np.sum(original**2) / noise)


def _attack(observed, cfg=CFG, seed=0):
  return seed_and_grow.reconstruct(observed, cfg, jax.random.key(seed))


@pytest.mark.parametrize(('time_stride', 'bias_stddev'), [(1, 0.0), (2, 0.1)])
def test_an_utterance_is_found_in_its_own_size_and_length(
  time_stride, bias_stddev
):
  original = 3 * _speech(0, 20)
  observed = _observation([original], time_stride, bias_stddev)
  # More windows than layer 1's update has dimensions.
  assert len(original) > 3 * FEATURES
  result = _attack(observed)
  assert result.is_certified
  assert result.certificate['num_windows'] == -(-20 // time_stride)
  assert _snr(original, result.features[0]) > 80


def test_utterances_of_a_batch_are_told_apart():
  originals = [_speech(1, 9), _speech(2, 13)]
  result = _attack(_observation(originals))
  assert result.is_certified
  found = sorted(result.features, key=len)
  for original, each in zip(originals, found, strict=True):
    assert _snr(original, each) > 80


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
  shape = window_system.Shape(9, 1, 26)
  assert seed_and_grow.num_seed_windows(1298, 750, shape) == 4
  assert seed_and_grow.num_seed_windows(4000, 750, shape) == 1
  # Never more windows than there are, nor than see the beginning.
  assert seed_and_grow.num_seed_windows(1298, 3, shape) == 3
  assert seed_and_grow.num_seed_windows(10, 750, shape) == 20
