"""What is written down of a run's clients, counted again by hand."""

import collections
import json

import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.corpora import datasets, problem
from fedjax_asr.federated import devices
from fedjax_asr.jobs import cohort_feed, run_population
from fedjax_asr.speech import alphabets


def described(monkeypatch, **limits):
  for name, limit in limits.items():
    monkeypatch.setattr(run_population, name, limit)
  examples = population.examples(population.uneven())
  feed = cohort_feed.CohortFeed(
    examples,
    population.PLAIN,
    population.SEED,
    devices.select(population.PLAIN),
  )
  bad = [
    problem.Problem('a', 'a.wav', kind, 'why')
    for kind in ('silent', 'silent', *sorted(problem.WARNINGS)[:1])
  ]
  data = datasets.Datasets(
    train=examples,
    heldout_speakers=examples,
    heldout_utterances=examples,
    statistics=None,
    problems=bad,
    num_dropped_transcripts=3,
    num_heldout_speakers=1,
    was_cached=True,
    alphabet=alphabets.ENGLISH,
  )
  features = config.FeaturesConfig(hop_ms=20.0)
  content = run_population.content(data, feed, features)
  return examples, feed, json.loads(content)


def test_clients_have_their_utterances_seconds_and_labels(monkeypatch):
  examples, feed, found = described(monkeypatch)
  assert found['num_clients'] == len(feed.clients) == len(found['clients'])
  sizes = [each['utterances'] for each in found['clients']]
  assert sizes == sorted(sizes, reverse=True)
  by_name = {each['name']: each for each in found['clients']}
  for client in feed.clients:
    row = by_name[client.name]
    frames = examples.num_frames[client.utterances].sum()
    assert row['seconds'] == pytest.approx(0.02 * frames)
    said = collections.Counter(
      ''.join(examples.texts[index] for index in client.utterances)
    )
    assert dict(zip(found['symbols'], row['labels'], strict=True)) == {
      symbol: said[symbol] for symbol in found['symbols']
    }


def test_labels_are_the_most_frequent_first(monkeypatch):
  examples, _, found = described(monkeypatch)
  said = collections.Counter(''.join(examples.texts))
  assert found['labels'] == sorted(said.values(), reverse=True)
  assert found['labels'] == [said[symbol] for symbol in found['symbols']]


def test_sets_and_problems_are_counted(monkeypatch):
  examples, feed, found = described(monkeypatch)
  assert set(found['utterances'].values()) == {len(examples)}
  assert set(found['speakers'].values()) == {len(set(examples.speakers))}
  # A warning leaves nothing out.
  assert found['problems'] == {'silent': 2}
  assert found['dropped_transcripts'] == 3
  assert sum(found['durations']['counts']) == len(examples)
  ends = np.array([examples.num_frames.min(), examples.num_frames.max()])
  np.testing.assert_allclose(
    np.array(found['durations']['edges'])[[0, -1]], 0.02 * ends, atol=1e-4
  )
  assert found['layout']['num_steps'] == feed.layout.num_steps


def test_of_many_clients_and_symbols_the_largest_are_told(monkeypatch):
  _, feed, found = described(monkeypatch, _MOST_CLIENTS=2, _MOST_SYMBOLS=1)
  assert found['num_clients'] == len(feed.clients)
  assert len(found['clients']) == 2
  assert len(found['labels']) == len(found['symbols']) == 1
