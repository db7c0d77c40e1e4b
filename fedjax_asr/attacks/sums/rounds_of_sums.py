"""Which utterances are in which rounds, from the sums of the rounds alone.

The server is honest but curious, and keeps what it saw of several rounds.

A round whose windows are no more than the first layer's capacity gives up all
of its utterances (`ds1.span`). Whether an utterance that one round gave is in
another is a question to that round's span alone, which may hold more windows
than could be solved for. Where two rounds are too large by themselves, what
both hold lies in the intersection of their spans, which is smaller.

An utterance is believed if the round that gave it was certified, or if a
second round holds it: spans of other parameters, other companions and other
signals do not agree on it by chance. One that an intersection gave is believed
by its gap of eigenvalues.

Assumes:
  observed: of each round the weighted sum of its clients' updates, as secure
    aggregation gives it (`Observation.treatment.num_clients` of them): of the
    first layer's kernel, and for the size what `ds1.span` needs.
  told: the parameters that the server sent in each round, the precision of the
    clients' products; neither who took part nor what they said, nor how much.
    Of public speech mean and deviation, for a size that no update tells.
  model: a DeepSpeech 1 of clipped ReLUs, in each round as it was sent.
  training: SGD or momentum, any number of steps. Some rounds of no more windows
    than the first layer's capacity, or pairs that share no more; in all of them
    fewer than it has units and a window has values.
  noise: rounding, or so little that each round's singular values still drop
    after the last window's.
  refused: no call, but rounds, each with its reason: another model, Adam's
    delta, no update of the kernel, a spectrum without a drop (noise, codes, too
    many windows). Those of more windows than the capacity are not solved by
    themselves, which is said too, but asked what they hold.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float64, Int

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.ds1 import span, window_system
from fedjax_asr.attacks.sums import round_span

# An error of this share of the energy is the same utterance, found twice.
_SAME = 0.01
_NUM_AROUND = 5
# Rounds with which one that is too large is intersected, at most.
_MAX_INTERSECTED = 8

Report = Callable[[str], None]


class Sums(NamedTuple):
  """What rounds of sums give up.

  utterances: [frames, features] of each, in the model's input units.
  presence: in which round which of them is.
  num_rounds: of each utterance.
  ranks: windows of each round; 0 where its spectrum tells nothing.
  is_explained: rounds of which the utterances make up all windows.
  refused: why of each round nothing was looked for by itself, '' where it was.
  """

  utterances: tuple[np.ndarray, ...]
  presence: Bool[np.ndarray, 'rounds utterances']
  ranks: Int[np.ndarray, ' rounds']
  is_explained: Bool[np.ndarray, ' rounds']
  refused: tuple[str, ...]


def found(
  observations: Sequence[observation.Observation],
  cfg: config.SpanConfig,
  key: jax.Array,
  report: Report | None = None,
  before: Sequence[np.ndarray] = (),
) -> Sums:
  """All utterances that several sums give up, and the rounds of each.

  A round of which known utterances make up the rank is not solved again.
  `before`: utterances that were found in fewer of these rounds.
  """
  tell = report or (lambda _: None)
  spans, refused = _spans(observations)
  known = list(before)
  is_certain = [True] * len(known)
  for index, each in enumerate(spans):
    if each is None or _num_known(each, known) >= each.rank:
      continue
    drawn = jax.random.fold_in(key, index)
    given, certified, reason = _given(observations[index], cfg, drawn)
    refused[index] = reason
    _add(known, is_certain, given, each, certified=certified)
    tell(f'round {index}: {len(given)} utterances, {len(known)} in all')
  _add_common(spans, known, is_certain, cfg, key, tell)
  presence = _presence(spans, known)
  believed = np.array(is_certain, bool) | (presence.sum(axis=0) >= 2)
  kept = np.flatnonzero(believed)
  utterances = tuple(known[index] for index in kept)
  return Sums(
    utterances=utterances,
    presence=presence[:, kept],
    ranks=np.array([each.rank if each else 0 for each in spans], int),
    is_explained=np.array(
      [
        each is not None and _num_known(each, utterances) == each.rank
        for each in spans
      ],
      bool,
    ),
    refused=tuple(refused),
  )


def _spans(
  observations: Sequence[observation.Observation],
) -> tuple[list[round_span.RoundSpan | None], list[str]]:
  """(of each round, why there is none)."""
  spans: list[round_span.RoundSpan | None] = []
  refused = [''] * len(observations)
  for index, observed in enumerate(observations):
    try:
      spans.append(round_span.of_sum(observed))
    except observation.Refused as error:
      spans.append(None)
      refused[index] = str(error)
  return spans, refused


def _given(
  observed: observation.Observation, cfg: config.SpanConfig, key: jax.Array
) -> tuple[tuple[np.ndarray, ...], bool, str]:
  """(utterances that one sum gives, whether certified, why there are none)."""
  try:
    given = span.every_utterance(observed, cfg, key)
  except observation.Refused as error:
    return (), False, str(error)
  utterances = tuple(np.asarray(each, np.float64) for each in given.features)
  return utterances, given.is_certified, ''


def _add(
  known: list[np.ndarray],
  is_certain: list[bool],
  given: Sequence[np.ndarray],
  its_span: round_span.RoundSpan,
  *,
  certified: bool,
) -> None:
  """Those that are in their own round, each once."""
  for features in given:
    if not np.any(features) or not round_span.holds(its_span, features):
      continue
    same = _index(known, features)
    if same is None:
      known.append(features)
      is_certain.append(certified)
    else:
      is_certain[same] = is_certain[same] or certified


def _index(known: Sequence[np.ndarray], features: np.ndarray) -> int | None:
  """Which of the known ones it is; None: none of them."""
  for index, each in enumerate(known):
    # One may have a frame of zeros more, where a stride goes beyond the end.
    frames = min(len(each), len(features))
    if abs(len(each) - len(features)) > 1 or not frames:
      continue
    error = np.sum((each[:frames] - features[:frames]) ** 2)
    if error <= _SAME * np.sum(features**2):
      return index
  return None


def _presence(
  spans: Sequence[round_span.RoundSpan | None], known: Sequence[np.ndarray]
) -> Bool[np.ndarray, 'rounds utterances']:
  return np.array(
    [
      [each is not None and round_span.holds(each, item) for item in known]
      for each in spans
    ],
    bool,
  ).reshape(len(spans), len(known))


def _num_known(
  its_span: round_span.RoundSpan, known: Sequence[np.ndarray]
) -> int:
  """Windows of the round that known utterances make up."""
  return sum(
    round_span.num_windows(each, its_span.shape)
    for each in known
    if round_span.holds(its_span, each)
  )


def _add_common(
  spans: Sequence[round_span.RoundSpan | None],
  known: list[np.ndarray],
  is_certain: list[bool],
  cfg: config.SpanConfig,
  key: jax.Array,
  tell: Report,
) -> None:
  """What recurs in rounds that are too large by themselves."""
  rng = span.generator(key)
  unsolved = [
    (index, each)
    for index, each in enumerate(spans)
    if each is not None and _num_known(each, known) < each.rank
  ]
  for place, (index, one) in enumerate(unsolved):
    for other, another in unsolved[place + 1 :][:_MAX_INTERSECTED]:
      both = round_span.common([one, another])
      if not 0 < both.rank <= both.shape.capacity:
        continue
      given = recurring(both, cfg, rng)
      given = [each for each in given if round_span.holds(another, each)]
      before = len(known)
      # Two rounds were solved for them, so that these do not bear witness: the
      # gap of eigenvalues does.
      _add(known, is_certain, given, one, certified=False)
      if len(known) > before:
        tell(
          f'rounds {index} and {other} share {len(known) - before} utterances'
        )


def recurring(
  both: round_span.RoundSpan,
  cfg: config.SpanConfig,
  rng: np.random.Generator,
) -> list[np.ndarray]:
  """Utterances all of whose windows lie in an intersection of spans.

  Their shape alone: of norm 1, of either sign. One of each length, where its
  eigenvalue is `min_eigenvalue_gap` under those of lengths around and under the
  next of its own.
  """
  basis, _ = np.linalg.qr(both.outside)
  projector = basis @ basis.T
  longest = min(both.rank, both.shape.capacity)
  values = window_system.eigenvalues_by_length(
    projector, both.shape, longest, 1
  )[:, 0]
  scores = values / _around(values)
  found = []
  for length in np.argsort(scores)[: cfg.max_utterances] + 1:
    if scores[length - 1] * cfg.min_eigenvalue_gap > 1:
      break
    solved = window_system.smallest(projector, both.shape, int(length), 2, rng)
    if solved.values[0] * cfg.min_eigenvalue_gap <= solved.values[1]:
      found.append(solved.utterances[0])
  return found


def _around(
  values: Float64[np.ndarray, ' lengths'],
) -> Float64[np.ndarray, ' lengths']:
  """Median of the neighbours of each."""
  padded = np.pad(values, _NUM_AROUND, constant_values=np.nan)
  each = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NUM_AROUND + 1)
  return np.nanmedian(np.delete(each, _NUM_AROUND, axis=1), axis=1)
