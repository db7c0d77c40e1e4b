"""Who the clients of a run are, and what each has, written down for figures."""

import collections
import json

import numpy as np

from fedjax_asr import config
from fedjax_asr.corpora import datasets
from fedjax_asr.jobs import cohort_feed, metrics

# Beyond these, clients and symbols are counted but not told apart.
_MOST_CLIENTS = 500
_MOST_SYMBOLS = 40
_DURATION_BINS = 40


def content(
  data: datasets.Datasets,
  feed: cohort_feed.CohortFeed,
  cfg: config.FeaturesConfig,
) -> str:
  """Of `population.json`.

  utterances, speakers: of each set, how many. problems: utterances left out,
  by kind. durations: a histogram of the training set, in seconds. clients: of
  the largest, by falling number of utterances, name, utterances, seconds and
  how often each of `symbols` (the most frequent) is in their labels. layout: of
  a round's cohort.
  """
  sets = {
    'train': data.train,
    'heldout_speakers': data.heldout_speakers,
    'heldout_utterances': data.heldout_utterances,
  }
  seconds = 3600 * metrics.hours(1, cfg) * data.train.num_frames
  counts, edges = np.histogram(seconds, _DURATION_BINS)
  problems = collections.Counter(
    each.kind for each in data.problems if not each.is_warning
  )
  record = {
    'utterances': {name: len(each) for name, each in sets.items()},
    'speakers': {name: len(set(each.speakers)) for name, each in sets.items()},
    'dropped_transcripts': data.num_dropped_transcripts,
    'problems': dict(problems),
    'durations': {'edges': _rounded(edges), 'counts': counts.tolist()},
    'num_clients': len(feed.clients),
    **_clients(data, feed, seconds),
    'layout': feed.layout._asdict(),
  }
  return json.dumps(record, ensure_ascii=True) + '\n'


def _clients(
  data: datasets.Datasets, feed: cohort_feed.CohortFeed, seconds: np.ndarray
) -> dict:
  labels, size = data.train.labels, data.alphabet.size
  totals = np.bincount(
    np.concatenate([np.zeros(0, int), *labels]).astype(int), minlength=size
  )
  chosen = np.argsort(-totals, kind='stable')[:_MOST_SYMBOLS]
  chosen = chosen[totals[chosen] > 0]
  rows = []
  largest = sorted(feed.clients, key=lambda each: -len(each.utterances))
  for client in largest[:_MOST_CLIENTS]:
    held = [labels[index] for index in client.utterances]
    found = np.bincount(np.concatenate(held).astype(int), minlength=size)
    rows.append(
      {
        'name': client.name,
        'utterances': len(client.utterances),
        'seconds': round(float(seconds[client.utterances].sum()), 3),
        'labels': found[chosen].tolist(),
      }
    )
  return {
    'symbols': [data.alphabet.symbols[index] for index in chosen],
    'labels': totals[chosen].tolist(),
    'clients': rows,
  }


def _rounded(values: np.ndarray) -> list[float]:
  return [round(float(value), 4) for value in values]
