"""What several sums give up, of planted utterances in planted rounds."""

import jax
import numpy as np
import planted_sums

from fedjax_asr import config
from fedjax_asr.attacks.sums import round_span, rounds_of_sums

KEY = jax.random.key(0)
LENGTHS = (4, 5, 6, 7, 8)
MEMBERS = ((0, 1, 2), (1, 3), (0, 4), (2, 3))


def _planted(rng, members, lengths=LENGTHS):
  utterances = [planted_sums.spoken(rng, length) for length in lengths]
  rounds = [
    planted_sums.observed(rng, [utterances[index] for index in each], seed)
    for seed, each in enumerate(members)
  ]
  return utterances, rounds


def _match(found, truth):
  """Index of the one that equals it; None: none does."""
  for index, each in enumerate(truth):
    if each.shape == found.shape and np.allclose(each, found, atol=1e-2):
      return index
  return None


def test_utterances_and_the_rounds_of_each_are_found():
  rng = np.random.default_rng(0)
  utterances, rounds = _planted(rng, MEMBERS)
  found = rounds_of_sums.found(rounds, config.SpanConfig(), KEY)
  names = [_match(each, utterances) for each in found.utterances]
  assert sorted(names) == list(range(len(utterances)))
  wanted = [[name in each for name in names] for each in MEMBERS]
  np.testing.assert_array_equal(found.presence, wanted)
  assert found.is_explained.all()
  assert found.ranks.tolist() == [
    sum(LENGTHS[index] for index in each) for each in MEMBERS
  ]


def test_noise_is_refused_and_spoils_no_other_round():
  rng = np.random.default_rng(1)
  utterances, rounds = _planted(rng, MEMBERS)
  rounds.insert(1, planted_sums.noise(rng))
  found = rounds_of_sums.found(rounds, config.SpanConfig(), KEY)
  assert 'no drop' in found.refused[1]
  assert not found.presence[1].any()
  assert not found.is_explained[1]
  assert len(found.utterances) == len(utterances)


def test_of_noise_alone_nothing_is_found():
  rng = np.random.default_rng(2)
  rounds = [planted_sums.noise(rng) for _ in range(3)]
  found = rounds_of_sums.found(rounds, config.SpanConfig(), KEY)
  assert not found.utterances
  assert found.presence.shape == (3, 0)
  assert all(found.refused)


def test_what_two_rounds_share_is_found_beyond_the_capacity_of_either():
  rng = np.random.default_rng(3)
  lengths = (6, 6, 6)
  capacity = planted_sums.SHAPE.capacity
  utterances = [planted_sums.spoken(rng, length) for length in lengths]
  rest = [planted_sums.spoken(rng, 7) for _ in range(2)]
  rounds = [
    planted_sums.observed(rng, [utterances[0], utterances[1], rest[0]], 0),
    planted_sums.observed(rng, [utterances[0], utterances[2], rest[1]], 1),
  ]
  found = rounds_of_sums.found(rounds, config.SpanConfig(), KEY)
  assert (found.ranks > capacity).all()
  assert all('want at most' in reason for reason in found.refused)
  (shared,) = found.utterances
  cosine = np.vdot(shared, utterances[0]) / (
    np.linalg.norm(shared) * np.linalg.norm(utterances[0])
  )
  assert abs(cosine) > 0.999
  assert found.presence.all()


def test_only_what_is_in_a_round_is_held_by_it():
  rng = np.random.default_rng(4)
  utterances, rounds = _planted(rng, MEMBERS)
  span = round_span.of_sum(rounds[0])
  for index, each in enumerate(utterances):
    assert round_span.holds(span, each) == (index in MEMBERS[0])
    assert not round_span.holds(span, planted_sums.spoken(rng, len(each)))
  assert not round_span.holds(
    span, np.zeros((4, planted_sums.SHAPE.num_features))
  )


def test_an_utterance_twice_in_a_round_is_found_once():
  """Two clients that hold the same recording, or a client's two steps."""
  rng = np.random.default_rng(5)
  utterances = [planted_sums.spoken(rng, length) for length in (5, 7)]
  rounds = [planted_sums.observed(rng, [*utterances, utterances[0]])]
  found = rounds_of_sums.found(rounds, config.SpanConfig(), KEY)
  assert sorted(_match(each, utterances) for each in found.utterances) == [0, 1]
  assert found.ranks.tolist() == [12]
