"""n-gram language models: interpolated modified Kneser-Ney, as ARPA files.

Chen & Goodman 1998, "An Empirical Study of Smoothing Techniques for Language
Modeling", Harvard TR-10-98, section 4.1.6 (equations 26 and 27).
"""

import collections
import itertools
import math
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

START, END, UNKNOWN = '<s>', '</s>', '<unk>'

Ngram = tuple[str, ...]
_Counts = dict[Ngram, int]

# log10 of what never happens, as ARPA files have it.
_NEVER = -99.0
# Discounts of counts 1, 2 and 3 or more where too few n-grams were counted to
# estimate them, as KenLM's --discount_fallback has them.
_FALLBACK = (0.5, 1.0, 1.5)


class Model(NamedTuple):
  """A back-off model; for every context its probabilities sum to one.

  p(w | h) is that of the n-gram (h, w) where it is listed, else the back-off
  weight of h (1 where it is not listed) times p(w | h without its first).
  """

  order: int
  # log10 p(last | others), of n-grams of all lengths.
  log_probs: dict[Ngram, float]
  # log10 of weights.
  backoffs: dict[Ngram, float]

  def num_ngrams(self) -> list[int]:
    """How many n-grams of each length are listed."""
    lengths = collections.Counter(map(len, self.log_probs))
    return [lengths[length] for length in range(1, self.order + 1)]


class Fit(NamedTuple):
  """How well a model predicts sentences, their ends included."""

  perplexity: float  # For each symbol; infinite where one is impossible.
  num_symbols: int
  num_unknown: int  # Symbols read as <unk>.


def train(
  sentences: Collection[Sequence[str]],
  order: int,
  alphabet: Collection[str] = (),
  report: Callable[[int, int], None] = lambda done, total: None,
) -> Model:
  """A model of the sentences' symbols.

  Args:
    sentences: symbols of each; none is START, END or UNKNOWN.
    order: symbols in the longest n-grams, at most those of the longest
      sentence with START and END.
    alphabet: if given, every symbol that there can be, and any other is
      impossible; if not, other symbols are UNKNOWN, as likely as a symbol is
      of which nothing was seen.
    report: called with (steps done, all): each length is counted, and then
      interpolated.
  """
  raw = []
  for length in range(1, order + 1):
    report(len(raw), 2 * order)
    raw.append(_windows(sentences, length))
  counts = [_continuations(*pair) for pair in itertools.pairwise(raw)]
  counts.append(raw[-1])
  del raw
  counts[0].pop((START,), None)
  symbols = {symbol for (symbol,) in counts[0]} | {*alphabet}
  if not alphabet:
    symbols.add(UNKNOWN)
  counts[0] = {(symbol,): 0 for symbol in symbols} | counts[0]
  log_probs = {(START,): _NEVER, (UNKNOWN,): _NEVER}
  backoffs, lower = {}, {(): 1 / len(symbols)}
  # One length after the other, so that few of the largest are there at once.
  while counts:
    report(2 * order - len(counts), 2 * order)
    lower, weights = _interpolated(counts.pop(0), lower)
    log_probs |= _log10(lower)
    backoffs |= _log10({h: w for h, w in weights.items() if h})
  return Model(order=order, log_probs=log_probs, backoffs=backoffs)


def log_prob(model: Model, context: Sequence[str], symbol: str) -> float:
  """log10 p(symbol | context); an unlisted symbol is UNKNOWN."""
  if (symbol,) not in model.log_probs:
    symbol = UNKNOWN
  ngram = (*context, symbol)[-model.order :]
  weight = 0.0
  while ngram not in model.log_probs:
    weight += model.backoffs.get(ngram[:-1], 0.0)
    ngram = ngram[1:]
  return weight + model.log_probs[ngram]


def fit(model: Model, sentences: Collection[Sequence[str]]) -> Fit:
  """Perplexity on sentences that the model may not have seen."""
  total, count, unknown = 0.0, 0, 0
  reach = model.order - 1
  for sentence in sentences:
    symbols = [START, *sentence, END]
    for place in range(1, len(symbols)):
      context = symbols[max(place - reach, 0) : place]
      total += log_prob(model, context, symbols[place])
    count += len(symbols) - 1
    unknown += sum((symbol,) not in model.log_probs for symbol in sentence)
  perplexity = 10 ** (-total / count) if count else math.nan
  return Fit(perplexity, count, unknown)


def arpa(model: Model) -> str:
  """The model as the text of an ARPA file."""
  lines = ['\\data\\']
  by_length: dict[int, list[Ngram]] = {
    length: [] for length in range(1, model.order + 1)
  }
  for ngram in model.log_probs:
    by_length[len(ngram)].append(ngram)
  for length, ngrams in by_length.items():
    lines.append(f'ngram {length}={len(ngrams)}')
  for length, ngrams in by_length.items():
    lines += ['', f'\\{length}-grams:']
    for ngram in sorted(ngrams):
      fields = [f'{model.log_probs[ngram]:.7f}', ' '.join(ngram)]
      if ngram in model.backoffs:
        fields.append(f'{model.backoffs[ngram]:.7f}')
      lines.append('\t'.join(fields))
  return '\n'.join([*lines, '', '\\end\\', ''])


def _windows(sentences: Collection[Sequence[str]], length: int) -> _Counts:
  """How often each n-gram occurs."""
  counts: _Counts = collections.Counter()
  for sentence in sentences:
    symbols = (START, *sentence, END)
    for first in range(len(symbols) - length + 1):
      counts[symbols[first : first + length]] += 1
  return counts


def _continuations(counts: _Counts, longer: _Counts) -> _Counts:
  """After how many different symbols each n-gram occurs.

  What begins a sentence has nothing before it and keeps its count.
  """
  followed = collections.Counter(ngram[1:] for ngram in longer)
  return {
    ngram: count if ngram[0] == START else followed[ngram]
    for ngram, count in counts.items()
  }


def _interpolated(
  counts: _Counts, lower: dict[Ngram, float]
) -> tuple[dict[Ngram, float], dict[Ngram, float]]:
  """Probabilities of the n-grams, and the weight of each context.

  What discounting takes from a context's n-grams is the weight of the lower
  order.
  """
  discount = _discount(counts)
  totals, taken = collections.Counter(), collections.defaultdict(float)
  for ngram, count in counts.items():
    totals[ngram[:-1]] += count
    taken[ngram[:-1]] += discount(count)
  weights = {context: taken[context] / totals[context] for context in totals}
  probs = {
    ngram: (count - discount(count)) / totals[ngram[:-1]]
    + weights[ngram[:-1]] * lower[ngram[1:]]
    for ngram, count in counts.items()
  }
  return probs, weights


def _discount(counts: _Counts) -> Callable[[int], float]:
  """What is taken from a count: never more than the count."""
  n = collections.Counter(counts.values())
  discounts = _FALLBACK
  if all(n[count] for count in (1, 2, 3, 4)):
    y = n[1] / (n[1] + 2 * n[2])
    estimated = tuple(c - (c + 1) * y * n[c + 1] / n[c] for c in (1, 2, 3))
    if min(estimated) > 0:
      discounts = estimated
  return lambda count: (0.0, *discounts)[min(count, 3)]


def _log10(values: dict[Ngram, float]) -> dict[Ngram, float]:
  """Rounding must not make a probability greater than one."""
  return {ngram: min(math.log10(v), 0.0) for ngram, v in values.items()}
