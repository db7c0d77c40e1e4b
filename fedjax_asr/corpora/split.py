"""Training and held-out sets, as a function of the seed."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from fedjax_asr import config, streams
from fedjax_asr.corpora import utterance

_Indices = Int[np.ndarray, '_']


class Splits(NamedTuple):
  """Ascending indices into the utterances; the three are disjoint."""

  train: Int[np.ndarray, 'train']
  # None of their speakers is in `train`.
  heldout_speakers: Int[np.ndarray, 'unseen']
  # Each of their speakers may be.
  heldout_utterances: Int[np.ndarray, 'seen']
  num_dropped_transcripts: int  # Left out by `data.disjoint_transcripts`.


def split(
  utterances: Sequence[utterance.Utterance],
  data: config.DataConfig,
  seed: int,
  heldout_speakers: Collection[str] = (),
) -> Splits:
  """Splits what the audit kept, with transcripts in the alphabet.

  Held-out speakers are `heldout_speakers` where given (those of
  `data.heldout_path`), else `data.heldout_speakers`, else
  `data.num_heldout_speakers` drawn by the seed; for -1 a tenth, and one of two
  to 19.
  Held-out utterances are a fraction of the remaining ones, and leave each
  training speaker at least one, with each client that has speech of his. With
  `data.disjoint_transcripts` a speaker all of whose transcripts are held out
  leaves training.

  Raises:
    ConfigError: if no speaker would be left to train on.
    CorpusError: if no utterance would be.
  """
  rng = streams.rng(seed, streams.Stream.SPLIT)
  speakers = np.array([item.speaker for item in utterances], dtype=object)
  pairs = [(item.speaker, item.client) for item in utterances]
  reserved = heldout_speakers or _drawn_speakers(speakers, data, rng)
  is_reserved = np.array([name in reserved for name in speakers], dtype=bool)
  candidates = np.flatnonzero(~is_reserved)
  heldout = _drawn_utterances(
    candidates, pairs, data.heldout_utterance_fraction, rng
  )
  train = np.setdiff1d(candidates, heldout)
  num_dropped = 0
  if data.disjoint_transcripts:
    held = np.concatenate([np.flatnonzero(is_reserved), heldout])
    disjoint = _without_transcripts(utterances, train, held)
    num_dropped = len(train) - len(disjoint)
    train = disjoint
  if not len(train):
    raise utterance.CorpusError(
      f'None of {len(utterances)} usable utterances is left to train on: '
      f'{_why_none(num_dropped)}.'
    )
  return Splits(train, np.flatnonzero(is_reserved), heldout, num_dropped)


def _why_none(num_dropped: int) -> str:
  if num_dropped:
    return (
      f'the transcripts of {num_dropped} are held out too; want more '
      'transcripts, or config.data.disjoint_transcripts=false'
    )
  return 'all are of held-out speakers; want some of others'


def _drawn_speakers(
  speakers: np.ndarray, data: config.DataConfig, rng: np.random.Generator
) -> set[str]:
  names = sorted(set(speakers))
  if data.heldout_speakers:
    return _named_speakers(names, data.heldout_speakers)
  count = data.num_heldout_speakers
  if count < 0:
    count = max(len(names) // 10, min(1, len(names) - 1))
  if names and count >= len(names):
    raise config.ConfigError(
      f'config.data.num_heldout_speakers={data.num_heldout_speakers}; want '
      f'fewer than the {len(names)} speakers of the corpus.'
    )
  order = rng.permutation(len(names))
  return {names[index] for index in order[:count]}


def _named_speakers(names: list[str], wanted: Sequence[str]) -> set[str]:
  unknown = [name for name in wanted if name not in names]
  if unknown:
    raise config.ConfigError(
      f'config.data.heldout_speakers: {unknown[0]!r}; want some of the '
      f'{len(names)} speakers of the corpus, as {", ".join(names[:3])}.'
    )
  if set(wanted) == set(names):
    raise config.ConfigError(
      f'config.data.heldout_speakers: all {len(names)} speakers of the corpus; '
      'want one left to train on.'
    )
  return set(wanted)


def _drawn_utterances(
  candidates: _Indices,
  pairs: Sequence[tuple[str, str]],
  fraction: float,
  rng: np.random.Generator,
) -> _Indices:
  """The fraction, as far as each pair's first in the order may stay."""
  seen, drawable = set(), []
  for index in rng.permutation(candidates):
    if pairs[index] in seen:
      drawable.append(index)
    seen.add(pairs[index])
  count = round(fraction * len(candidates))
  return np.sort(np.array(drawable[:count], dtype=np.int64))


def _without_transcripts(
  utterances: Sequence[utterance.Utterance], train: _Indices, held: _Indices
) -> _Indices:
  transcripts = {utterances[index].text for index in held}
  keep = [index for index in train if utterances[index].text not in transcripts]
  return np.array(keep, dtype=np.int64)
