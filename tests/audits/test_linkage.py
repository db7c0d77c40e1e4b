"""Linking vectors of one speaker, where how well it can be done is known."""

import numpy as np
import pytest
import scipy.stats

from fedjax_asr.audits import attributes, detection, linkage, linkage_backend


def _pairs(spread, num_speakers=150, size=12, seed=0):
  """Speakers of a variance `spread`^2 in each feature; 1 within speakers."""
  rng = np.random.default_rng(seed)
  speakers = rng.normal(0, spread, (num_speakers, 1, size))
  return speakers + rng.normal(0, 1, (num_speakers, 2, size))


def _fold(num_speakers=150):
  return linkage.folds(num_speakers, 5, np.random.default_rng(7))


def _rate(trials):
  return detection.equal_error_rate(trials.genuine, trials.impostor)


_METHODS = [linkage.cosine_trials, linkage.trained_trials]


def test_back_end_scores_are_ratios_of_gaussian_likelihoods():
  pairs = _pairs(1.0, num_speakers=30, size=3)
  backend = linkage_backend.fitted(pairs, 3)
  found = linkage_backend.scores(backend, pairs[:4])
  low = (pairs[:4] - backend.mean) @ backend.basis
  for first in range(4):
    for second in range(4):
      want = 0.0
      for place, between in enumerate(backend.between):
        both = [low[first, 0, place], low[second, 1, place]]
        total = between + 1
        one = [[total, between], [between, total]]
        normal = scipy.stats.multivariate_normal
        want += normal.logpdf(both, [0, 0], one)
        want -= normal.logpdf(both, [0, 0], np.diag([total, total]))
      assert found[first, second] == pytest.approx(want, abs=1e-6)


def test_linkage_reaches_what_the_true_model_reaches():
  """The rate of likelihood ratios with the covariances that vectors have."""
  pairs = _pairs(1.0, size=12)
  truth = linkage_backend.Backend(np.zeros(12), np.eye(12), np.ones(12))
  exact = linkage_backend.scores(truth, pairs)
  best = detection.equal_error_rate(
    np.diag(exact), exact[~np.eye(len(exact), dtype=bool)]
  )
  found = _rate(linkage.trained_trials([pairs], _fold()))
  assert 0.1 < best < 0.2
  assert abs(found - best) < 0.05


def test_training_finds_the_few_features_that_tell_speakers():
  """What a cosine drowns in 40 features of noise, a back-end finds."""
  rng = np.random.default_rng(3)
  noise = rng.normal(0, 2, (150, 2, 40))
  blocks = [_pairs(3.0, size=4), noise]
  mixed = [np.concatenate(blocks, -1)]
  cosine = _rate(linkage.cosine_trials(mixed, _fold()))
  trained = _rate(linkage.trained_trials(mixed, _fold()))
  assert trained < cosine - 0.05


@pytest.mark.parametrize('method', _METHODS)
def test_speakers_that_do_not_differ_are_not_linked(method):
  """More features than speakers: any leak of the tested would show."""
  trials = method([_pairs(0.0, size=400)], _fold())
  assert _rate(trials) == pytest.approx(0.5, abs=0.08)
  assert (trials.ranks == 1).mean() < 0.1  # 1 of 30 by chance.


@pytest.mark.parametrize('method', _METHODS)
def test_shuffled_labels_are_at_chance(method):
  """Vectors that are linked well, once the second halves change hands."""
  pairs = _pairs(2.0, size=60)
  assert _rate(method([pairs], _fold())) < 0.05
  shuffled = np.random.default_rng(5).permutation(len(pairs))
  pairs[:, 1] = pairs[shuffled, 1]
  assert _rate(method([pairs], _fold())) == pytest.approx(0.5, abs=0.08)


def test_a_speaker_has_no_part_in_its_own_test():
  """What the others score stays as it is, whatever its vectors are."""
  pairs = _pairs(1.0, num_speakers=40)
  fold = np.arange(40) % 4
  before = linkage.trained_trials([pairs], fold)
  pairs[0] += 100.0
  after = linkage.trained_trials([pairs], fold)
  is_tested_with_it = (fold == 0) & (np.arange(40) > 0)
  np.testing.assert_allclose(
    after.genuine[is_tested_with_it], before.genuine[is_tested_with_it]
  )
  assert not np.allclose(after.genuine[fold == 1], before.genuine[fold == 1])


def test_those_apart_are_scored_by_the_others_alone():
  pairs = _pairs(2.0, num_speakers=60)
  is_tested = np.arange(60) >= 50
  before = linkage.apart_trials([pairs], is_tested)
  assert len(before.genuine) == 10
  assert set(before.first) == set(range(10))
  assert _rate(before) < 0.2
  pairs[:50] = pairs[:50][::-1, ::-1]
  after = linkage.apart_trials([pairs], is_tested)
  assert after.num_candidates.tolist() == [10] * 10


def _guess(pairs, targets):
  return attributes.guessed([pairs], targets, _fold()).values


def test_attributes_are_found_where_they_are_and_not_elsewhere():
  rng = np.random.default_rng(2)
  # 80% of one class: whoever always says it has half of the balanced rate.
  sex = np.where(rng.random(150) < 0.8, 1.0, -1.0)
  rate = rng.normal(size=150)
  pairs = rng.normal(0, 1, (150, 2, 300))
  assert attributes.balanced_accuracy(_guess(pairs, sex), sex) == pytest.approx(
    0.5, abs=0.12
  )
  assert abs(attributes.rank_correlation(_guess(pairs, rate), rate)) < 0.2
  pairs[..., :10] += 2 * sex[:, None, None]
  pairs[..., 10:20] += 3 * rate[:, None, None]
  assert attributes.balanced_accuracy(_guess(pairs, sex), sex) > 0.9
  found = _guess(pairs, rate)
  assert attributes.rank_correlation(found, rate) > 0.8
  assert attributes.explained_variance(found, rate) > 0.6
  shuffled = rng.permutation(sex)
  assert attributes.balanced_accuracy(
    _guess(pairs, shuffled), shuffled
  ) == pytest.approx(0.5, abs=0.12)
