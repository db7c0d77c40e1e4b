import functools
import threading

import derivatives
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick
import tiny_victim

from fedjax_asr import config
from fedjax_asr.attacks import observation, together
from fedjax_asr.attacks.matching import (
  gradient_matching,
  matching_objective,
  matching_progress,
)
from fedjax_asr.speech import features as features_lib

KEY = jax.random.key(1)
SPEECH = features_lib.Statistics(
  np.array([0.5, -1.0, 2.0], np.float32), np.array([1.0, 2.0, 0.5], np.float32)
)


@pytest.fixture
def _quick(monkeypatch):
  """Programs compiled as `quick.jit` does: nearly all the time is XLA's."""
  options = quick.options()
  jit = functools.partial(jax.jit, compiler_options=options)
  _forget_programs()
  with monkeypatch.context() as patched:
    patched.setattr(jax, 'jit', jit)
    yield
  _forget_programs()


def _forget_programs():
  together._alone.cache_clear()
  together._mapped.cache_clear()


def matching(**fields):
  settings = {'num_restarts': 2, 'num_iterations': 4}
  return config.MatchingConfig(**settings | fields)


def declared(made, **fields):
  return made._replace(declared=made.declared._replace(**fields))


CASES = {
  'ds1': {'architecture': 'ds1'},
  'ds2': {'architecture': 'ds2'},
  'ds2, batch norm': {'architecture': 'ds2', 'norm': config.Norm.BATCH},
  'ds2, one-way with a lookahead': {
    'architecture': 'ds2',
    'bidirectional': False,
    'lookahead': 2,
  },
  'two steps': {
    'architecture': 'ds1',
    'observed': config.Observed.DELTA,
    'num_steps': 2,
  },
}


# The others are of the same code; these have what it might treat otherwise.
_SLOW = ('ds2, one-way with a lookahead', 'ds2')


@pytest.mark.parametrize(
  'case',
  [
    pytest.param(case, marks=pytest.mark.slow if case in _SLOW else ())
    for case in CASES
  ],
)
def test_the_double_backward_pass_is_the_slope_of_the_objective(case):
  """Through CTC, the recurrence and clipped ReLU, away from kinks."""
  made, features = tiny_victim.sent(**CASES[case])
  made = declared(made, speech=SPEECH)
  cfg = matching(
    distance=config.Distance.COSINE_L2,
    per_layer=True,
    first_difference=0.1,
    speech_prior=0.1,
  )
  with derivatives.float64():
    settings, problem = matching_objective.opened(made, cfg)
    problem = derivatives.in_float64(problem)
    point = jnp.asarray(features, jnp.float64) + 0.3
    direction = derivatives.direction_like(point)
    objective = functools.partial(
      matching_objective.objective, settings, 0.0, problem
    )
    # One program: the slope's own backward pass is not compiled twice.
    both = quick.jit(jax.value_and_grad(objective))
    value, gradient = both(point)
    wanted = derivatives.central_difference(
      lambda at: both(at)[0], point, direction, 1e-6
    )
    got = derivatives.slope(gradient, direction)
    assert float(value) > 0.01
  assert abs(float(wanted)) > 0.01
  assert float(got) == pytest.approx(float(wanted), rel=1e-6)


@pytest.mark.usefixtures('_quick')
def test_a_tiny_models_speech_is_recovered_from_noise():
  made, features = tiny_victim.sent(frames=(4,))
  lines = []
  found = gradient_matching.reconstruct(
    made,
    config.MatchingConfig(
      distance=config.Distance.COSINE_L2,
      num_restarts=16,
      num_iterations=3000,
      halve_every=600,
    ),
    KEY,
    lines.append,
  )
  assert len(found.features) == 1
  np.testing.assert_allclose(found.features[0], features, atol=1e-3)
  assert found.is_certified
  assert found.certificate['relative_squared_distance'] < 1e-8
  assert found.ledger.knows_transcript
  assert found.ledger.knows_length
  assert found.ledger.prior == ''
  assert len(found.ledger.layers) == len(jax.tree.leaves(made.params))
  assert lines[0].startswith('grid 1 of 1, iteration 50 of 3000, objective ')


@pytest.mark.slow
@pytest.mark.usefixtures('_quick')
def test_a_one_way_model_with_a_lookahead_is_matched():
  """Its update says how near a start is, and nearer in a few steps."""
  made, features = tiny_victim.sent(**CASES['ds2, one-way with a lookahead'])
  assert 'lookahead' in made.params
  near = features + 0.3
  cfg = matching(num_restarts=1, num_iterations=60, learning_rate=0.02)
  found = gradient_matching.reconstruct(made, cfg, KEY, start=near[None])
  assert found.features[0].shape == features.shape
  assert np.isfinite(found.features[0]).all()
  assert set(found.ledger.layers) == set(observation.flat(made.params))
  sent, of_start = (
    np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(update)])
    for update in (made.update, tiny_victim.update_of(made, near))
  )
  before = np.sum((sent - of_start) ** 2) / np.sum(sent**2)
  assert 0 < found.certificate['relative_squared_distance'] < 0.5 * before


@pytest.mark.slow
@pytest.mark.usefixtures('_quick')
def test_interrupted_grids_end_as_they_would_have_without(tmp_path):
  """Random search, which needs no second backward pass to be compiled."""
  made, _ = tiny_victim.sent(frames=(9,))
  cfg = matching(
    optimizer=config.MatchingOptimizer.RANDOM_SEARCH,
    learning_rate=0.5,
    layers=('output',),
    grid_frames=4,
    grid_overlap=2,
  )
  whole = gradient_matching.reconstruct(made, cfg, KEY)
  path = tmp_path / 'progress.npz'

  def interrupt(line):
    if 'grid 3 of 4' in line:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    gradient_matching.reconstruct(made, cfg, KEY, interrupt, progress=path)
  lines = []
  resumed = gradient_matching.reconstruct(
    made, cfg, KEY, lines.append, progress=path
  )
  assert 'grid 3 of 4' in lines[0]
  np.testing.assert_array_equal(resumed.features[0], whole.features[0])
  assert resumed.certificate == whole.certificate
  assert whole.ledger.layers == ('output/bias', 'output/kernel')
  with pytest.raises(matching_progress.ProgressError, match='another update'):
    gradient_matching.reconstruct(made, matching(l2=0.1), KEY, progress=path)


@pytest.mark.slow
@pytest.mark.usefixtures('_quick')
def test_a_start_is_kept_where_nothing_is_better():
  """The truth, from units of public speech and back; batches come apart."""
  made, features = tiny_victim.sent(frames=(5, 3), texts=('ab', 'c'))
  made = declared(made, speech=SPEECH)
  start = np.stack([features + 1, features])
  found = gradient_matching.reconstruct(
    made,
    matching(optimizer=config.MatchingOptimizer.RANDOM_SEARCH),
    KEY,
    start=start,
  )
  for got, want in zip(
    found.features, (features[:5], features[5:]), strict=True
  ):
    np.testing.assert_allclose(got, want, atol=1e-2)
  assert found.ledger.prior == gradient_matching.PRIOR
  with pytest.raises(ValueError, match=r'want .restarts'):
    gradient_matching.reconstruct(made, matching(), KEY, start=start[:, :7])


@pytest.mark.slow
@pytest.mark.parametrize(
  ('architecture', 'optimizer'),
  [('ds1', 'lbfgs'), ('ds2', 'adam'), ('ds2', 'lbfgs')],
)
def test_a_near_solution_is_polished_to_the_exact_one(architecture, optimizer):
  made, features = tiny_victim.sent(architecture, frames=(5,))
  noise = np.random.default_rng(1).standard_normal((2, *features.shape))
  found = gradient_matching.reconstruct(
    made,
    config.MatchingConfig(
      distance=config.Distance.L2,
      optimizer=config.MatchingOptimizer(optimizer),
      learning_rate=0.02,
      halve_every=400,
      num_iterations=200 if optimizer == 'lbfgs' else 2000,
    ),
    KEY,
    start=(features + 0.05 * noise).astype(np.float32),
  )
  np.testing.assert_allclose(found.features[0], features, atol=1e-3)
  assert found.is_certified


def test_what_it_needs_and_lacks_is_said_before_anything_is_computed():
  made, _ = tiny_victim.sent()
  run = functools.partial(gradient_matching.reconstruct, key=KEY)
  with pytest.raises(observation.Refused, match='transcript is not declared'):
    run(declared(made, labels=None), matching())
  with pytest.raises(observation.Refused, match='length is not declared'):
    run(declared(made, num_frames=None), matching())
  with pytest.raises(observation.Refused, match='but no public'):
    run(made, matching(speech_prior=0.1))
  with pytest.raises(observation.ObservationError, match="layer 'lstm'; want"):
    run(made, matching(layers=('lstm',)))
  silent = jax.tree.map(np.zeros_like, made.update)
  with pytest.raises(observation.Refused, match='is zero'):
    run(made._replace(update=silent), matching())


@pytest.mark.usefixtures('_quick')
def test_what_was_sent_is_matched_and_nothing_else():
  """Layers that are withheld, or that a code made zero, do not count."""
  made, features = tiny_victim.sent()
  update = observation.without(
    jax.device_get(made.update), ('dense_0/bias', 'output/kernel')
  )
  update['dense_1']['bias'] = np.zeros_like(update['dense_1']['bias'])
  found = gradient_matching.reconstruct(
    made._replace(update=update),
    matching(num_iterations=1),
    KEY,
    start=features[None],
  )
  missing = {'dense_0/bias', 'output/kernel', 'dense_1/bias'}
  every = set(observation.flat(made.params))
  assert set(found.ledger.layers) == every - missing
  # The start is the truth.
  assert found.certificate['relative_squared_distance'] < 1e-8


def test_the_smoothed_objective_goes_to_the_exact_one():
  made, features = tiny_victim.sent()
  settings, problem = matching_objective.opened(made, matching())
  values = [
    float(
      quick.jit(
        functools.partial(matching_objective.objective, settings, width)
      )(problem, jnp.asarray(features) + 0.3)
    )
    for width in (0.5, 1e-4, 0.0)
  ]
  assert abs(values[0] - values[2]) > 1e-3
  assert values[1] == pytest.approx(values[2], abs=1e-4)


@pytest.mark.usefixtures('_quick')
def test_victims_of_one_length_are_matched_by_one_program(monkeypatch):
  """And each as it would be alone, though their transcripts differ."""
  made = [tiny_victim.sent(texts=(text,)) for text in ('ab', 'b')]
  point = jnp.asarray(made[0][1])[None] + 0.3
  (first, _), (other, _) = made
  # Of one model, as victims of a run are.
  other = other._replace(
    params=first.params, norm_state=first.norm_state, acoustic=first.acoustic
  )
  opened = [
    matching_objective.opened(each, matching()) for each in (first, other)
  ]
  sizes = []
  computed = together._computed

  def counted(function, static, shared, owned, *, size):
    sizes.append(len(owned))
    return computed(function, static, shared, owned, size=size)

  def objectives(settings, problem):
    (stage,) = gradient_matching._stages(settings)
    return stage.objectives(problem, point)

  monkeypatch.setattr(together, '_computed', counted)
  # A thread that begins late would find the other one's call computed.
  both_there = threading.Barrier(2)

  def in_group(settings, problem):
    both_there.wait()
    return objectives(settings, problem)

  found = [
    float(value[0]) for *_, value in together.in_order(in_group, opened, 2)
  ]
  assert sizes == [2]
  alone = [float(objectives(*each)[0]) for each in opened]
  assert found == pytest.approx(alone, rel=1e-2)
  assert found[0] != pytest.approx(found[1], rel=0.1)


def test_programs_are_those_of_the_settings_that_are_compiled_in():
  made, _ = tiny_victim.sent(texts=('ab',))
  settings, _ = matching_objective.opened(made, matching())
  own = matching_objective.Compiled(settings)
  assert own == matching_objective.Compiled(settings)
  assert hash(own) == hash(matching_objective.Compiled(settings))
  assert not jax.tree.leaves(own.settings.observed.params)
  others = (
    settings._replace(cfg=matching(l1=0.1)),
    settings._replace(names=settings.names[1:]),
    settings._replace(observed=made._replace(learning_rate=0.5)),
    settings._replace(
      spoken=settings.spoken._replace(num_frames=np.array([9], np.int32))
    ),
  )
  for other in others:
    assert own != matching_objective.Compiled(other)
  assert own != matching_objective.Compiled(settings, 'options')
