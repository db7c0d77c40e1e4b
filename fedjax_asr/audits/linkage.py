"""Whether two vectors are of one speaker: scores, and how well they tell.

Vectors may be of anything: of updates, or of the speech behind them. A speaker
has two, of utterances that differ. Whoever is tested has no part in what the
scores were fitted on.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fedjax_asr.audits import detection, feature_blocks, linkage_backend

# Of principal components, that which tells fitting's speakers apart best.
_NUM_COMPONENTS = (20, 40, 80, 120)
_NUM_INNER_FOLDS = 3

Pairs = Float[np.ndarray, 'speakers halves features']
# Parts of the same vectors.
Blocks = Sequence[feature_blocks.Block]


class Trials(NamedTuple):
  """Scores between all first and all second vectors of tested speakers.

  genuine: of each speaker with itself, in the speakers' order.
  folds: which test a speaker was in; scores are between those of one.
  impostor: those of a test, row by row without the diagonal.
  first, second: the speakers of each impostor score.
  ranks: of each speaker, the place of its first vector among those of its test
    by their scores with its second, 1 the best; of equal ones, the last.
  num_candidates: speakers in each one's test.
  num_components: of each test's back-end; () where there are none.
  """

  genuine: Float[np.ndarray, ' speakers']
  folds: Int[np.ndarray, ' speakers']
  impostor: Float[np.ndarray, ' pairs']
  first: Int[np.ndarray, ' pairs']
  second: Int[np.ndarray, ' pairs']
  ranks: Int[np.ndarray, ' speakers']
  num_candidates: Int[np.ndarray, ' speakers']
  num_components: tuple[int, ...]


def folds(
  num_speakers: int, num_folds: int, rng: np.random.Generator
) -> Int[np.ndarray, ' speakers']:
  """Which fold each speaker is in: random, of sizes that differ by one."""
  return rng.permutation(np.arange(num_speakers) % num_folds)


def cosine_trials(blocks: Blocks, fold: Int[np.ndarray, ' speakers']) -> Trials:
  """By the cosine, each feature brought to the mean and the deviation that it
  has in the other folds."""

  def scored(fitted, tested):
    pairs = feature_blocks.levelled(blocks, fitted)
    return linkage_backend.cosines(pairs[fitted], pairs[tested]), 0

  return _trials(fold, scored)._replace(num_components=())


def trained_trials(
  blocks: Blocks, fold: Int[np.ndarray, ' speakers']
) -> Trials:
  """By a back-end that learns from the other folds what a speaker changes.

  How many components it has is chosen by folds of those others.
  """
  return _trials(fold, functools.partial(_trained, blocks))


def apart_trials(
  blocks: Blocks, is_tested: Bool[np.ndarray, ' speakers']
) -> Trials:
  """As `trained_trials`, of some speakers by a back-end of all others.

  Speakers of the trials are counted among those that are tested.
  """
  tested = np.flatnonzero(is_tested)
  scores, size = _trained(blocks, np.flatnonzero(~is_tested), tested)
  return _trials(np.zeros(len(tested), int), lambda *_: (scores, size))


def _trained(blocks, fitted, tested):
  pairs = feature_blocks.levelled(blocks, fitted)
  # Once for all sizes and folds: their components lie in this span.
  pairs = linkage_backend.spanned(pairs, fitted)
  size = _chosen_size(pairs[fitted])
  backend = linkage_backend.fitted(pairs[fitted], size)
  return linkage_backend.scores(backend, pairs[tested]), size


def _chosen_size(pairs: Pairs) -> int:
  """With the lowest equal error rate between inner folds; of equal, fewest."""
  inner = np.arange(len(pairs)) % min(_NUM_INNER_FOLDS, len(pairs) // 2)
  most = linkage_backend.most_components(int((inner != 0).sum()))
  sizes = [size for size in _NUM_COMPONENTS if size < most] or [most]
  if len(sizes) == 1 or not inner.any():
    return sizes[0]
  rates = []
  for size in sizes:

    def scored(fitted, tested, size=size):
      backend = linkage_backend.fitted(pairs[fitted], size)
      return linkage_backend.scores(backend, pairs[tested]), size

    found = _trials(inner, scored)
    rates.append(detection.equal_error_rate(found.genuine, found.impostor))
  return sizes[int(np.argmin(rates))]


def _trials(fold, scored) -> Trials:
  """`scored(others, members)`: scores [first, second] and a size, by fold."""
  genuine = np.zeros(len(fold))
  ranks, candidates = np.zeros((2, len(fold)), int)
  impostor, first, second, sizes = [], [], [], []
  for each in np.unique(fold):
    members = np.flatnonzero(fold == each)
    scores, size = scored(np.flatnonzero(fold != each), members)
    own = np.diag(scores)
    genuine[members] = own
    ranks[members] = (scores >= own).sum(0)
    candidates[members] = len(members)
    rows, columns = np.nonzero(~np.eye(len(members), dtype=bool))
    impostor.append(scores[rows, columns])
    first.append(members[rows])
    second.append(members[columns])
    sizes.append(size)
  return Trials(
    genuine=genuine,
    folds=np.asarray(fold),
    impostor=np.concatenate(impostor),
    first=np.concatenate(first),
    second=np.concatenate(second),
    ranks=ranks,
    num_candidates=candidates,
    num_components=tuple(sizes),
  )
