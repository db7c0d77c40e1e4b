"""What the attacker takes for a client is what the client computes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick
import tiny_victim

from fedjax_asr import config
from fedjax_asr.attacks import client_gradient, observation, victim
from fedjax_asr.federated import algorithm, cohort

ROUND_KEY = jax.random.key(3)
CLIENTS = [
  config.ClientConfig(),
  config.ClientConfig(optimizer=config.ClientOptimizer.MOMENTUM),
  config.ClientConfig(optimizer=config.ClientOptimizer.ADAM, clip_norm=0.5),
]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
  """Programs compiled as `quick.jit` does: nearly all the time is XLA's."""
  jit = functools.partial(jax.jit, compiler_options=quick.options())
  monkeypatch.setattr(jax, 'jit', jit)


def sent_by_client(made, features):
  """By the round's own code."""
  federated = config.FederatedConfig(client=made.client)
  send = victim.make_send(
    made.acoustic, federated, config.AugmentConfig(), made.observed, 1
  )
  spoken = client_gradient.transcripts(made)
  batch = client_gradient.batch(jnp.asarray(features), spoken)
  steps = cohort.Batch(
    *(np.broadcast_to(leaf, (made.num_steps, *leaf.shape)) for leaf in batch)
  )
  broadcast = algorithm.Broadcast(
    made.params, made.norm_state, (), made.learning_rate
  )
  nobody = algorithm.Participant(0)
  return send(broadcast, nobody, (), steps, ROUND_KEY).update.params


def assert_close(got, want):
  scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(want))
  for ours, theirs in zip(
    jax.tree.leaves(got), jax.tree.leaves(want), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, atol=3e-6 * scale)


@pytest.mark.parametrize(
  'client', CLIENTS, ids=lambda client: client.optimizer.value
)
def test_unrolled_local_steps_send_the_clients_delta(client):
  made, features = tiny_victim.unsent(
    frames=(5, 3),
    texts=('ab', 'c'),
    client=client,
    observed=config.Observed.DELTA,
    num_steps=3,
  )
  got = tiny_victim.update_of(made, features)
  assert_close(got, sent_by_client(made, features))


def test_a_gradient_is_clipped_as_the_client_clips_it():
  made, features = tiny_victim.unsent(client=config.ClientConfig(clip_norm=0.1))
  got = tiny_victim.update_of(made, features)
  norms = [np.square(leaf).sum() for leaf in jax.tree.leaves(got)]
  assert np.sqrt(sum(norms)) == pytest.approx(0.1, rel=1e-4)
  assert_close(got, sent_by_client(made, features))


def test_batch_norm_takes_the_statistics_of_the_batch_as_clients_do():
  made, features = tiny_victim.unsent('ds2', norm=config.Norm.BATCH)
  got = tiny_victim.update_of(made, features)
  assert_close(got, sent_by_client(made, features))


def test_the_gradient_goes_back_through_clients_adam():
  """Entries of the gradient that are exactly zero make no NaN."""
  made, features = tiny_victim.unsent(
    client=CLIENTS[2], observed=config.Observed.DELTA, num_steps=2
  )
  names = observation.selected(made.params, ())
  spoken = client_gradient.transcripts(made)

  def total(features):
    start = client_gradient.Start(made.params, made.norm_state)
    batch = client_gradient.batch(features, spoken)
    delta = client_gradient.update(made, made.acoustic, names, start, batch)
    zeros = sum((leaf == 0).sum() for leaf in delta.values())
    return sum(jnp.square(leaf).sum() for leaf in delta.values()), zeros

  slope = quick.jit(jax.grad(total, has_aux=True))(jnp.asarray(features))[0]
  assert np.isfinite(slope).all()
  assert np.abs(slope).max() > 0


def test_only_the_asked_parameters_are_given():
  made, features = tiny_victim.unsent()
  names = observation.selected(made.params, ('output',))
  spoken = client_gradient.transcripts(made)
  start = client_gradient.Start(made.params, made.norm_state)
  got = quick.jit(
    lambda features: client_gradient.update(
      made,
      made.acoustic,
      names,
      start,
      client_gradient.batch(features, spoken),
    )
  )(jnp.asarray(features))
  assert set(got) == {'output/kernel', 'output/bias'}
  whole = observation.flat(tiny_victim.update_of(made, features))
  for name, leaf in got.items():
    np.testing.assert_allclose(leaf, whole[name], atol=1e-6)


def test_utterances_are_padded_apart_and_put_together_again():
  made, features = tiny_victim.unsent(frames=(5, 3), texts=('ab', 'c'))
  spoken = client_gradient.transcripts(made)
  batch = client_gradient.batch(jnp.asarray(features), spoken)
  assert batch.features.shape == (2, 5, tiny_victim.NUM_FEATURES)
  np.testing.assert_array_equal(batch.features[0], features[:5])
  np.testing.assert_array_equal(batch.features[1, :3], features[5:])
  np.testing.assert_array_equal(batch.features[1, 3:], 0)
  first, second = client_gradient.utterances(features, spoken.num_frames)
  np.testing.assert_array_equal(first, features[:5])
  np.testing.assert_array_equal(second, features[5:])
  np.testing.assert_array_equal(batch.num_labels, [2, 1])


def test_the_attacked_model_drops_nothing_and_leaves_the_config_alone():
  made, _ = tiny_victim.unsent(dropout=0.5)
  acoustic = client_gradient.attacked_model(made)
  values = jnp.ones((1, 5, tiny_victim.NUM_FEATURES))
  arguments = (made.params, made.norm_state, values, jnp.array([5]))
  trained = acoustic.apply(*arguments, train=True)[0]
  evaluated = made.acoustic.apply(*arguments, train=False)[0]
  np.testing.assert_array_equal(trained, evaluated)
  assert made.model.ds1.dropout == 0.5
  plain, _ = tiny_victim.unsent()
  assert client_gradient.attacked_model(plain) is plain.acoustic


@pytest.mark.parametrize(
  ('declared', 'reason'),
  [
    ({'labels': None}, 'the transcript is not declared'),
    ({'num_frames': None}, 'the length is not declared'),
    ({'num_frames': (5, 5)}, '2 lengths but 1 transcripts'),
    ({'num_utterances': 3}, '3 utterances but 1 transcripts'),
    (
      {'num_frames': (1,)},
      'has 2 labels, which need 2 output frames; it has 1',
    ),
  ],
)
def test_without_a_transcript_that_fits_it_refuses(declared, reason):
  made, _ = tiny_victim.unsent()
  told = made.declared._replace(**declared)
  with pytest.raises(observation.Refused, match=reason):
    client_gradient.transcripts(made._replace(declared=told))
