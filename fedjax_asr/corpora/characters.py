"""The alphabet `corpus`: the characters of the training transcripts."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fedjax_asr import config
from fedjax_asr.corpora import problem, split, utterance
from fedjax_asr.speech import alphabets

_NUM_SHOWN = 20  # Characters, in a message.


class Spelled(NamedTuple):
  """An alphabet, the splits that it can spell, and what it cannot."""

  alphabet: alphabets.Alphabet
  parts: split.Splits
  problems: list[problem.Problem]


def of_training(
  utterances: Sequence[utterance.Utterance],
  parts: split.Splits,
  data: config.DataConfig,
  alphabet: alphabets.Alphabet | None,
) -> Spelled:
  """Counts characters, and leaves out what holds others.

  Those of held-out transcripts alone are none of the alphabet: what a run is
  measured on says nothing to it.

  Args:
    utterances: usable ones, with normalised texts.
    parts: of them.
    alphabet: of a run that has one; None: counted.

  Raises:
    CorpusError: no training utterance would be left.
  """
  problems = []
  if alphabet is None:
    rules = alphabets.of_config(data).rules
    texts = (utterances[index].text for index in parts.train)
    alphabet, rare = alphabets.of_texts(texts, rules, data.min_symbol_count)
    if rare:
      problems.append(_warning(rare, data))
  known = {*alphabet.symbols[1:]}
  for item in utterances:
    others = [each for each in dict.fromkeys(item.text) if each not in known]
    if others:
      problems.append(_problem(item, others, data))

  def spelled(part: np.ndarray) -> np.ndarray:
    return part[[known.issuperset(utterances[i].text) for i in part]]

  parts = parts._replace(
    train=spelled(parts.train),
    heldout_speakers=spelled(parts.heldout_speakers),
    heldout_utterances=spelled(parts.heldout_utterances),
  )
  if not len(parts.train):
    raise utterance.CorpusError(
      f'config.data.min_symbol_count={data.min_symbol_count}: every training '
      'transcript has a character that is rarer; want fewer.'
    )
  return Spelled(alphabet, parts, problems)


def _warning(
  rare: Mapping[str, int], data: config.DataConfig
) -> problem.Problem:
  shown = ', '.join(
    f'{each!r} {count}' for each, count in [*rare.items()][:_NUM_SHOWN]
  )
  more = len(rare) - _NUM_SHOWN
  return problem.Problem(
    '',
    data.path or data.corpus.value,
    problem.Kind.RARE_SYMBOLS,
    f'{len(rare)} characters are left out of the alphabet, being in training '
    f'transcripts less often than config.data.min_symbol_count='
    f'{data.min_symbol_count}: {shown}{f" and {more} more" * (more > 0)}.',
  )


def _problem(
  item: utterance.Utterance, others: Sequence[str], data: config.DataConfig
) -> problem.Problem:
  shown = ', '.join(map(repr, others))
  return problem.Problem(
    item.id,
    item.source.describe(),
    problem.Kind.RARE_SYMBOL,
    f'the transcript has {shown}, which training transcripts have fewer than '
    f'{data.min_symbol_count} times (config.data.min_symbol_count).',
  )
