"""Ranks of planted sentences, and who holds them."""

import numpy as np
import population
import pytest
import scipy.stats

from fedjax_asr import config
from fedjax_asr.audits import exposure
from fedjax_asr.federated import partition


def test_sentences_are_uniform_and_have_no_neighbours_alike():
  rng = np.random.default_rng(0)
  found = exposure.sentences([3, 5, 9], 3, 12_000, rng)
  assert (found[:, 1:] != found[:, :-1]).all()
  kinds, counts = np.unique(found, axis=0, return_counts=True)
  assert len(kinds) == 3 * 2 * 2
  assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_bits_are_of_the_rank():
  others = np.arange(1.0, 8.0)
  assert exposure.exposure(0.5, others).bits == 3
  assert exposure.exposure(1.0, others)[1:3] == (2, 2.0)
  assert exposure.exposure(9.0, others)[1:3] == (8, 0.0)


def test_a_sentence_like_the_others_has_log2_e_bits_on_average():
  rng = np.random.default_rng(1)
  drawn = rng.normal(size=(3000, 256))
  found = [exposure.exposure(row[0], row[1:]) for row in drawn]
  mean = np.mean([each.bits for each in found])
  assert mean == pytest.approx(np.log2(np.e), abs=0.1)


def test_extrapolation_goes_on_where_ranks_end():
  """Of a skew-normal, whose tail SciPy has."""
  rng = np.random.default_rng(2)
  law = scipy.stats.skewnorm(3.0, 20.0, 5.0)
  others = law.rvs(20_000, random_state=rng)
  for loss in (25.0, 19.0):
    found = exposure.exposure(loss, others)
    assert found.extrapolated == pytest.approx(
      -np.log2(law.cdf(loss)), rel=0.15
    )
  assert exposure.exposure(0.0, np.ones(20)).extrapolated is None


def test_a_client_has_its_sentence_so_often_and_the_truth_no_more():
  examples = population.examples(population.uneven())
  clients = partition.partition(
    examples.speakers, examples.texts, population.federated(), 0
  )
  own = config.ExposureConfig(repeats=(1, 3), num_sentences=2, num_symbols=4)
  planted = exposure.chosen(
    clients, examples, lambda frames: frames // 2, own, np.random.default_rng(3)
  )
  assert [each.repeats for each in planted] == [1, 1, 3, 3]
  assert len({each.client for each in planted}) == 4
  held, both = exposure.with_planted(clients, examples, planted)
  for index, each in enumerate(planted):
    had = held[each.client].utterances
    place = len(examples) + index
    assert (had == place).sum() == each.repeats
    assert each.position not in had
    np.testing.assert_array_equal(both.labels[place], each.labels)
    np.testing.assert_array_equal(
      both.features(place), examples.features(each.position)
    )
    assert both.ids[place] == examples.ids[each.position]
  assert len(examples.labels) == len(examples) == len(both) - 4


def test_too_little_speech_is_one_line():
  examples = population.examples(population.uneven())
  clients = partition.partition(
    examples.speakers, examples.texts, population.federated(), 0
  )
  own = config.ExposureConfig(num_symbols=12)
  with pytest.raises(config.ConfigError, match=r'num_sentences=4: 12 sent'):
    exposure.chosen(
      clients, examples, lambda frames: frames // 2, own,
      np.random.default_rng(0),
    )  # fmt: skip
