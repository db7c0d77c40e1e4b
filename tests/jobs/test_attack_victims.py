"""Who is attacked, and what each of them sends."""

import jax
import numpy as np
import pytest
import tiny_attack

from fedjax_asr import config
from fedjax_asr.attacks.ds1 import span
from fedjax_asr.corpora import utterance


@pytest.fixture(scope='module', autouse=True)
def place(cached_throughout, tmp_path_factory):
  return tmp_path_factory.mktemp('victims')


@pytest.fixture
def cfg(place):
  return tiny_attack.fresh(place)


def _assert_close(got, want):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
    got,
    want,
  )


def _mean(*trees):
  return jax.tree.map(lambda *leaves: np.mean(leaves, 0), *trees)


def test_aggregate_is_the_mean_of_its_clients(cfg, place):
  """Each sends one utterance, so weights are equal."""
  cfg.attack.stretch_seconds = 0.8
  cfg.attack.num_victims = 2
  singles, alone = tiny_attack.observed(cfg, place)
  cfg.attack.num_victims, cfg.attack.num_aggregated = 1, 2
  (victim,), (observed,) = tiny_attack.observed(cfg, place)
  assert victim.name == '+'.join(each.name for each in singles)
  assert victim.clients == singles[0].clients + singles[1].clients
  _assert_close(observed.update, _mean(*[each.update for each in alone]))
  assert observed.declared.num_utterances == 2
  found = span.reconstruct(observed, cfg.attack.span, jax.random.key(0))
  assert len(found.features) == 2


def test_batch_of_two_sends_one_gradient_of_both(cfg, place):
  cfg.attack.batch_size, cfg.attack.num_victims = 2, 1
  cfg.attack.stretch_seconds = 0.8
  (victim,), (observed,) = tiny_attack.observed(cfg, place)
  assert sorted(victim.steps[0].ravel().tolist()) == [0, 1]
  assert len({item.utterance for item in victim.spoken}) == 2
  found = span.reconstruct(observed, cfg.attack.span, jax.random.key(0))
  assert [len(each) for each in found.features] == [16, 16]


def test_delta_of_k_steps_is_k_gradients_for_a_small_rate(cfg, place):
  cfg.federated.client.learning_rate = 1e-6
  cfg.attack.num_victims = 1
  _, (gradient,) = tiny_attack.observed(cfg, place)
  cfg.attack.observed = config.Observed.DELTA
  cfg.attack.local_steps = 3
  (victim,), (delta,) = tiny_attack.observed(cfg, place)
  assert delta.num_steps == 3
  assert victim.steps[0].shape == (3, 1)
  assert delta.learning_rate == pytest.approx(1e-6)
  got = np.asarray(delta.update['dense_0']['kernel']) / 3e-6
  want = np.asarray(gradient.update['dense_0']['kernel'])
  # A delta is a difference of rounded parameters.
  assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.99
  assert np.linalg.norm(got) == pytest.approx(np.linalg.norm(want), rel=0.05)


def test_batches_and_steps_may_be_those_of_the_run(cfg, place):
  """All 3 utterances of a speaker: one alone, the shortest, then two."""
  cfg.attack.observed = config.Observed.DELTA
  cfg.attack.batch_size = cfg.attack.local_steps = 0
  cfg.attack.num_victims = 1
  (victim,), (observed,) = tiny_attack.observed(cfg, place)
  (steps,) = victim.steps
  assert steps.shape == (2, 2)
  assert steps[0, 0] == -1
  assert sorted(steps.ravel()[1:].tolist()) == [0, 1, 2]
  lengths = [len(item.features) for item in victim.spoken]
  assert lengths[steps[0, 1]] == min(lengths)
  assert observed.num_steps == 2


def test_epochs_of_the_run_are_steps_on_one_batch(cfg, place):
  cfg.attack.observed = config.Observed.DELTA
  cfg.attack.local_steps = 0
  cfg.federated.client.local_epochs = 4
  _, victims = tiny_attack.attacked(cfg, place)
  assert [victim.steps[0].shape for victim in victims] == [(4, 1), (4, 1)]


def test_stretch_is_the_middle_of_an_utterance(cfg, place):
  _, (whole, _) = tiny_attack.attacked(cfg, place)
  cfg.attack.stretch_seconds = 0.5
  _, (cut, _) = tiny_attack.attacked(cfg, place)
  (long,), (short,) = whole.spoken, cut.spoken
  assert long.utterance == short.utterance
  start = (len(long.features) - 10) // 2
  np.testing.assert_array_equal(
    short.features, long.features[start : start + 10]
  )
  assert short.text in long.text
  assert 0 < len(short.text) < len(long.text)


@pytest.mark.parametrize('is_told', [True, False])
def test_what_is_declared_is_what_the_config_says(cfg, place, is_told):
  cfg.attack.knows_transcript = cfg.attack.knows_length = is_told
  cfg.attack.num_victims = 1
  (victim,), (observed,) = tiny_attack.observed(cfg, place)
  declared = observed.declared
  assert declared.num_utterances == 1
  if is_told:
    assert declared.labels is not None
    np.testing.assert_array_equal(declared.labels[0], victim.spoken[0].labels)
    assert declared.num_frames == (len(victim.spoken[0].features),)
  else:
    assert declared.labels is declared.num_frames is None


def test_public_speech_is_that_of_others(cfg, place):
  run, victims = tiny_attack.attacked(cfg, place)
  speakers = {item.speaker for each in victims for item in each.spoken}
  others = np.concatenate(
    [
      run.examples.features(index)
      for index, speaker in enumerate(run.examples.speakers)
      if speaker not in speakers
    ]
  )
  _, (observed, _) = tiny_attack.observed(cfg, place)
  speech = observed.declared.speech
  assert speech is not None
  np.testing.assert_allclose(speech.mean, others.mean(0), rtol=1e-3)
  np.testing.assert_allclose(speech.std, others.std(0), rtol=1e-3)


def test_named_victim_is_attacked(cfg, place):
  for name in ('s0000', 's0003'):
    cfg.attack.victim = name
    _, victims = tiny_attack.attacked(cfg, place)
    assert [victim.name for victim in victims] == [name]
    assert [item.speaker for item in victims[0].spoken] == [name]


def test_named_victim_is_aggregated_with_others(cfg, place):
  cfg.attack.victim, cfg.attack.num_aggregated = 's0000', 2
  _, (victim,) = tiny_attack.attacked(cfg, place)
  first, second = victim.name.split('+')
  assert first == 's0000' != second
  assert len(victim.spoken) == len(victim.clients) == 2


def test_more_victims_than_the_cohort_are_clients_beside_it(cfg, place):
  cfg.attack.num_victims = 2
  _, cohort = tiny_attack.attacked(cfg, place)
  cfg.attack.num_victims = tiny_attack.NUM_CLIENTS
  _, victims = tiny_attack.attacked(cfg, place)
  names = [victim.name for victim in victims]
  assert names[:2] == [victim.name for victim in cohort]
  assert len(set(names)) == tiny_attack.NUM_CLIENTS


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'num_victims': 9}, '3 clients have .* want config.attack.num_victims=9'),
    ({'min_seconds': 2.39}, 'of 2.39 to 2.4 seconds'),
    ({'stretch_seconds': 2.39}, 'of 2.39 to 2.4 seconds'),
    ({'batch_size': 4}, '0 clients have config.attack.batch_size=4'),
    ({'num_aggregated': 2}, 'num_victims=2 times num_aggregated=2'),
    (
      {'victim': 's0000', 'batch_size': 4},
      "0 clients have .* want config.attack.victim='s0000'",
    ),
    ({'victim': 's0009'}, 's0009.*: no such client among 3'),
  ],
)
def test_too_few_victims_are_refused(cfg, place, fields, message):
  for name, value in fields.items():
    setattr(cfg.attack, name, value)
  with pytest.raises(config.UserError, match=message) as caught:
    tiny_attack.attacked(cfg, place)
  assert isinstance(caught.value, utterance.CorpusError) or 'such' in message


def test_deltas_of_another_algorithm_than_fedavg_are_refused(cfg, place):
  """Their local steps are not what the attacker undoes; one line says so."""
  cfg.federated.algorithm = config.AlgorithmName.FEDSGD
  cfg.attack.num_victims = 1
  cfg.attack.observed = config.Observed.DELTA
  with pytest.raises(config.ConfigError, match='want gradient, or a run of'):
    tiny_attack.observed(cfg, place)
  cfg.attack.observed = config.Observed.GRADIENT
  tiny_attack.observed(cfg, place)
