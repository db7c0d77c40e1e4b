"""Normalised features and labels of a set of utterances, by position."""

import copy
from collections.abc import Iterator, Sequence
from typing import SupportsIndex

import numpy as np

from fedjax_asr import config
from fedjax_asr.corpora import store, utterance
from fedjax_asr.speech import alphabets, features


class Dataset:
  """A subset of a feature store, ready for a model.

  `num_frames`, `labels`, `texts`, `speakers`, `clients` (who holds each), `ids`
  and `sources` are by position in the subset, as are the indices of `batch`.
  """

  def __init__(
    self,
    utterances: Sequence[utterance.Utterance],
    feature_store: store.FeatureStore,
    indices: Sequence[int],
    alphabet: alphabets.Alphabet,
    normalization: config.Normalization,
    statistics: features.Statistics | None = None,
  ):
    """`indices` into both `utterances` and the store; they are parallel.

    Raises:
      ValueError: a chosen utterance's text is not in the alphabet.
    """
    chosen = [utterances[index] for index in indices]
    self.alphabet = alphabet
    self._store = feature_store
    self._indices = np.asarray(indices, int)
    self._normalization = normalization
    self._statistics = statistics
    self._normalized: dict[int, np.ndarray] = {}
    self.ids = [item.id for item in chosen]
    self.sources = [item.source for item in chosen]
    self.speakers = [item.speaker for item in chosen]
    self.clients = [item.client or item.speaker for item in chosen]
    self.texts = [item.text for item in chosen]
    self.labels = [alphabet.encode(item) for item in self.texts]
    self.num_frames = feature_store.num_frames[self._indices]

  def __len__(self) -> int:
    return len(self._indices)

  @property
  def num_features(self) -> int:
    return self._store.num_features

  def said_otherwise(
    self, positions: Sequence[int], labels: Sequence[np.ndarray]
  ) -> 'Dataset':
    """These utterances, and behind them some again with other transcripts.

    The speech at `positions` is said to be `labels`.
    """
    both = copy.copy(self)
    both._indices = np.append(self._indices, self._indices[list(positions)])
    for name in ('ids', 'sources', 'speakers', 'clients'):
      own = getattr(self, name)
      setattr(both, name, own + [own[position] for position in positions])
    both.texts = self.texts + [self.alphabet.decode(item) for item in labels]
    both.labels = self.labels + list(labels)
    both.num_frames = self._store.num_frames[both._indices]
    return both

  def features(self, index: SupportsIndex) -> np.ndarray:
    """[frames, features], normalised; kept while the store is in memory."""
    place = self._indices[index]
    if place in self._normalized:
      return self._normalized[place]
    raw = self._store.features(place)
    normal = features.normalize(raw, self._normalization, self._statistics)
    if self._store.in_memory:
      self._normalized[place] = normal
    return normal

  def raw(self, index: SupportsIndex) -> np.ndarray:
    """[frames, features], before normalisation."""
    return self._store.features(self._indices[index])

  def batch(
    self, positions: np.ndarray, num_frames: int, num_labels: int
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Padded (features, num_frames, labels, num_labels).

    Args:
      positions: of any shape; -1 gives a padding utterance of no frames.
      num_frames: padded length, at least the longest utterance's.
      num_labels: padded number of labels.

    Returns:
      features [*positions, num_frames, features], num_frames [*positions],
      labels [*positions, num_labels], num_labels [*positions].
    """
    shape = positions.shape
    padded = np.zeros((*shape, num_frames, self.num_features), np.float32)
    labels = np.zeros((*shape, num_labels), np.int32)
    lengths = np.zeros((2, *shape), np.int32)
    for position, places in _places(positions):
      values, symbols = self.features(position), self.labels[position]
      for place in places:
        padded[place][: len(values)] = values
        labels[place][: len(symbols)] = symbols
        lengths[(slice(None), *place)] = len(values), len(symbols)
    return padded, lengths[0], labels, lengths[1]


def _places(
  positions: np.ndarray,
) -> Iterator[tuple[int, list[tuple[int, ...]]]]:
  """Each position that is not padding, and where it is, in ascending order.

  So each is read once, however many epochs use it, and the store in order.
  """
  places: dict[int, list[tuple[int, ...]]] = {}
  found = np.nonzero(positions >= 0)
  for position, *place in zip(positions[found].tolist(), *found, strict=True):
    places.setdefault(position, []).append(tuple(place))
  yield from sorted(places.items())
