import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick
import tiny_victim

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.matching import hessian_free

KEY = jax.random.key(1)
CENTRE = np.linspace(-3, 3, 15).reshape(5, 3).astype(np.float32)


@pytest.fixture
def _quick(monkeypatch):
  """Programs compiled as `quick.jit` does: nearly all the time is XLA's."""
  jit = functools.partial(jax.jit, compiler_options=quick.options())
  monkeypatch.setattr(jax, 'jit', jit)


def bowl(point):
  return jnp.square(point - CENTRE).sum()


def search(**fields):
  start = hessian_free.started(
    bowl, jnp.zeros((5, 3)), config.HessianFreeConfig()
  )
  return start._replace(
    **{name: jnp.asarray(value) for name, value in fields.items()}
  )


def path(objective, num_iterations, **fields):
  """Every stage of a search from the origin."""
  cfg = config.HessianFreeConfig(**fields)

  def body(state, _):
    key = jax.random.fold_in(KEY, state.iteration)
    state = hessian_free.judged(
      hessian_free.moved(objective, state, key, cfg), cfg
    )
    return state, state

  start = hessian_free.started(objective, jnp.zeros((5, 3)), cfg)
  return jax.lax.scan(body, start, length=num_iterations)[1]


def test_each_direction_is_a_unit_vector_in_one_frame():
  units = np.asarray(hessian_free.directions(KEY, 200, 5, 3))
  norms = np.linalg.norm(units, axis=2)
  assert ((norms > 0).sum(1) == 1).all()
  np.testing.assert_allclose(norms.sum(1), 1.0, rtol=1e-5)
  # Every frame has its turn, and directions differ.
  assert ((norms > 0).sum(0) > 20).all()
  assert len(np.unique(units.round(6), axis=0)) == 200


def test_the_steps_that_improve_are_added_up():
  cfg = config.HessianFreeConfig(num_directions=8, radius=0.01)
  state = search(radius=0.01)
  steps = 0.01 * np.asarray(hessian_free.directions(KEY, 8, 5, 3))
  start = float(bowl(np.zeros((5, 3))))
  better = [step for step in steps if float(bowl(step)) < start]
  assert 1 < len(better) < 8
  moved = hessian_free.moved(bowl, state, KEY, cfg)
  np.testing.assert_allclose(moved.point, np.sum(better, 0), atol=1e-6)
  np.testing.assert_allclose(moved.objective, bowl(moved.point), rtol=1e-6)


def test_where_their_sum_overshoots_the_best_of_them_is_taken():
  # From 0.4 off the bottom of a single number, steps of 0.5 to it improve,
  # two of them at once do not.
  cfg = config.HessianFreeConfig(num_directions=9)
  state = hessian_free.Search(
    jnp.full((1, 1), 0.4),
    jnp.array(0.16),
    jnp.array(0.16),
    jnp.array(0.5),
    jnp.zeros((), jnp.int32),
  )
  moved = hessian_free.moved(lambda x: jnp.square(x).sum(), state, KEY, cfg)
  np.testing.assert_allclose(moved.point, [[-0.1]], atol=1e-6)
  np.testing.assert_allclose(moved.objective, 0.01, rtol=1e-4)


def test_the_objective_never_rises():
  for objective in (
    bowl,
    lambda x: jnp.sin(5 * x).sum() + 0.1 * bowl(x),
    lambda x: jnp.where(x.sum() > 1, jnp.nan, -x.sum()),
  ):
    stages = path(objective, 100, num_directions=20)
    values = np.asarray(stages.objective)
    assert np.isfinite(values).all()
    assert (np.diff(values) <= 0).all()
    assert values[-1] < values[0]


@pytest.mark.parametrize(
  ('objective', 'iteration', 'radius'),
  [(0.96, 40, 0.5), (0.94, 40, 1.0), (0.96, 41, 1.0)],
)
def test_the_radius_is_halved_where_a_stretch_gained_too_little(
  objective, iteration, radius
):
  cfg = config.HessianFreeConfig(patience=20, min_gain=0.05)
  state = search(objective=objective, reference=1.0, iteration=iteration)
  judged = hessian_free.judged(state, cfg)
  assert float(judged.radius) == radius
  due = iteration == 40
  assert float(judged.reference) == pytest.approx(objective if due else 1.0)


def test_it_ends_under_the_least_radius_or_at_the_last_iteration():
  cfg = config.HessianFreeConfig(min_radius=0.25, max_iterations=10)
  assert hessian_free.is_going(search(radius=0.25, iteration=9), cfg)
  assert not hessian_free.is_going(search(radius=0.125, iteration=9), cfg)
  assert not hessian_free.is_going(search(radius=1.0, iteration=10), cfg)
  ended = hessian_free.advanced(bowl, search(), KEY, cfg)
  assert int(ended.iteration) == 10
  stuck = hessian_free.advanced(
    lambda x: 1.0 + 0 * x.sum(),
    search(objective=1.0, reference=1.0),
    KEY,
    config.HessianFreeConfig(patience=3, num_directions=2),
  )
  # 1, 1/2, 1/4, 1/8 after three, six and nine iterations.
  assert int(stuck.iteration) == 9
  assert float(stuck.radius) == 0.125


@pytest.mark.usefixtures('_quick')
def test_an_update_is_matched_better_than_at_the_start():
  made, features = tiny_victim.sent()
  lines = []
  found = hessian_free.reconstruct(
    made,
    config.HessianFreeConfig(max_iterations=100, num_directions=16),
    KEY,
    lines.append,
  )
  assert found.features[0].shape == features.shape
  objectives = [float(line.split()[-1]) for line in lines]
  assert len(objectives) == 2
  assert found.certificate['objective'] <= objectives[0] < 0.5
  assert found.ledger.layers == ('output/bias', 'output/kernel')
  assert found.ledger.knows_transcript
  assert not found.is_certified


def test_without_transcript_or_length_it_refuses():
  made, _ = tiny_victim.sent()
  cfg = config.HessianFreeConfig()
  for field in ('labels', 'num_frames'):
    told = made.declared._replace(**{field: None})
    with pytest.raises(observation.Refused, match='not declared'):
      hessian_free.reconstruct(made._replace(declared=told), cfg, KEY)
  with pytest.raises(observation.ObservationError, match="layer 'top'"):
    hessian_free.reconstruct(
      made, config.HessianFreeConfig(layers=('top',)), KEY
    )


@pytest.mark.usefixtures('_quick')
def test_what_is_there_of_the_layer_is_matched():
  made, _ = tiny_victim.sent()
  update = observation.without(made.update, ('output/bias',))
  cfg = config.HessianFreeConfig(max_iterations=1, num_directions=2)
  found = hessian_free.reconstruct(made._replace(update=update), cfg, KEY)
  assert found.ledger.layers == ('output/kernel',)
  update = observation.without(update, ('output/kernel',))
  with pytest.raises(observation.Refused, match='output/kernel is zero or'):
    hessian_free.reconstruct(made._replace(update=update), cfg, KEY)
