"""When each word is said, by the posteriors of a CTC model.

The path that greedy decoding takes says it of what was recognised. Of what
was said, the likeliest path that spells it (forced alignment; Graves et al.
2006, by Viterbi's algorithm) does, however unlikely it is.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fedjax_asr.speech import alphabets


class Word(NamedTuple):
  """Outputs from `start` to before `end`."""

  text: str
  start: int
  end: int


def greedy_path(
  log_posteriors: Float[np.ndarray, 'outputs vocab'],
) -> Int[np.ndarray, ' outputs']:
  """The likeliest symbol of each output, blanks and repetitions included."""
  return np.asarray(log_posteriors).argmax(1)


def starts(path: Int[np.ndarray, ' outputs']) -> Int[np.ndarray, ' labels']:
  """Outputs of a path at which a label begins: its text is theirs."""
  is_other = np.append(True, path[1:] != path[:-1])[: len(path)]
  return np.flatnonzero(is_other & (path != alphabets.BLANK))


def forced_path(
  log_posteriors: Float[np.ndarray, 'outputs vocab'],
  labels: Int[np.ndarray, ' labels'],
) -> Int[np.ndarray, ' outputs'] | None:
  """The likeliest path that spells `labels`.

  None where none does: too few outputs, or posteriors that are not finite.
  """
  scores = np.asarray(log_posteriors, np.float64)
  num_outputs = len(scores)
  if alphabets.min_ctc_frames(labels) > num_outputs or np.isnan(scores).any():
    return None
  if not num_outputs:
    return np.zeros(0, int)
  # Blanks between and around the labels.
  states = np.full(2 * len(labels) + 1, alphabets.BLANK)
  states[1::2] = labels
  may_skip = np.zeros(len(states), bool)
  may_skip[3::2] = states[3::2] != states[1:-2:2]
  best = np.full(len(states), -np.inf)
  best[:2] = scores[0, states[:2]]
  steps = np.zeros((num_outputs, len(states)), int)
  for index in range(1, num_outputs):
    came = np.stack([_moved(best, 0), _moved(best, 1), _moved(best, 2)])
    came[2, ~may_skip] = -np.inf
    steps[index] = came.argmax(0)
    best = came.max(0) + scores[index, states]
  state = len(states) - 1
  if len(labels) and best[state - 1] > best[state]:
    state -= 1
  if best[state] == -np.inf:
    return None
  path = np.zeros(num_outputs, int)
  for index in range(num_outputs - 1, -1, -1):
    path[index] = states[state]
    state -= steps[index, state]
  return path


def _moved(values: np.ndarray, count: int) -> np.ndarray:
  """Each value so many states later."""
  ahead = np.full(count, -np.inf)
  return np.concatenate([ahead, values])[: len(values)]


def words(
  path: Int[np.ndarray, ' outputs'], alphabet: alphabets.Alphabet
) -> list[Word]:
  """Of a path, in order; of an alphabet that tells no words apart, symbols.

  A word is from its first symbol to its last, with the repetitions of this.
  """
  found = []
  for group in _groups(path, alphabet):
    text = alphabet.decode(path[group]).strip()
    if text:
      found.append(Word(text, int(group[0]), _end(path, int(group[-1]))))
  return found


def _groups(
  path: np.ndarray, alphabet: alphabets.Alphabet
) -> Iterator[Sequence[int]]:
  """Places at which the symbols of a word begin."""
  group: list[int] = []
  for place in starts(path).tolist():
    symbol = path[place]
    is_space = symbol == alphabet.space
    if group and (
      is_space or alphabet.starts_word[symbol] or not alphabet.has_words
    ):
      yield group
      group = []
    if not is_space:
      group.append(place)
  if group:
    yield group


def _end(path: np.ndarray, place: int) -> int:
  """Where the repetitions of a symbol end."""
  others = np.flatnonzero(path[place:] != path[place])
  return place + int(others[0]) if len(others) else len(path)
