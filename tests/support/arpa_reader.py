"""Reads ARPA files by the format's definition; knows nothing of the package."""

import math


def read(content):
  """({n-gram: natural log probability}, {n-gram: natural log weight})."""
  probs, backoffs = {}, {}
  length = 0
  for line in content.splitlines():
    if line.startswith('\\') and line.endswith('-grams:'):
      length = int(line[1:-7])
    elif line and length and line != '\\end\\':
      prob, symbols, *backoff = line.split('\t')
      ngram = tuple(symbols.split(' '))
      assert len(ngram) == length
      probs[ngram] = float(prob) * math.log(10)
      backoffs[ngram] = float(backoff[0]) * math.log(10) if backoff else 0.0
  return probs, backoffs


def score(arpa, context, symbol):
  """log p(symbol | context), by the definition of back-off."""
  probs, backoffs = arpa
  ngram = (*context, symbol)
  if ngram in probs:
    return probs[ngram]
  assert context, f'{symbol} is unlisted'
  return backoffs.get(tuple(context), 0.0) + score(arpa, context[1:], symbol)


def sentence(arpa, order, symbols):
  """log p of a whole sentence, its end included."""
  symbols = ['<s>', *symbols, '</s>']
  return sum(
    score(arpa, tuple(symbols[max(0, i - order + 1) : i]), symbols[i])
    for i in range(1, len(symbols))
  )
