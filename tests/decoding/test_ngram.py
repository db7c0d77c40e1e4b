import math
import pathlib

import arpa_reader
import numpy as np
import pytest

from fedjax_asr.decoding import language_model, ngram
from fedjax_asr.speech import alphabets, text

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_LETTERS = ('a', 'b', 'c', '|')


def random_sentences(count=60):
  """With more of some letters and of some successions than of others."""
  rng = np.random.default_rng(0)
  rows = [
    rng.choice(3, rng.integers(1, 12), p=(0.6, 0.3, 0.1)) for _ in 'x' * count
  ]
  return [[_LETTERS[place] for place in np.cumsum(row) % 4] for row in rows]


def documents():
  """Lines of real English: what the project says of itself."""
  names = ('README.md', 'ARCHITECTURE.md', 'SHARP_EDGES.md')
  lines = [
    text.normalize(line).text
    for name in names
    for line in (_ROOT / name).read_text(encoding='utf-8').splitlines()
  ]
  return [line for line in lines if len(line) > 20]


def prob(model, context, symbol):
  return 10 ** ngram.log_prob(model, context, symbol)


def test_bigrams_computed_by_hand():
  # Bigrams: <s>a twice; ab, aa, b</s>, a</s> once. Unigrams count what they
  # follow: a 2 (<s>, a), b 1, </s> 2. Discounts 0.5, 1, 1.5: too few n-grams.
  model = ngram.train([['a', 'b'], ['a', 'a']], 2)
  unigram = {'a': 1 / 5, 'b': 0.5 / 5, '</s>': 1 / 5, '<unk>': 0}
  unigram = {s: p + 0.5 / 4 for s, p in unigram.items()}
  for symbol, wanted in unigram.items():
    assert prob(model, (), symbol) == pytest.approx(wanted)
  assert prob(model, ['<s>'], 'a') == pytest.approx(0.5 + 0.5 * unigram['a'])
  assert prob(model, ['<s>'], 'b') == pytest.approx(0.5 * unigram['b'])
  assert prob(model, ['a'], 'b') == pytest.approx(0.5 / 3 + 0.5 * unigram['b'])
  assert prob(model, ['q'], 'q') == pytest.approx(unigram['<unk>'])


def test_discounts_are_those_of_chen_and_goodman():
  # n1..n4 = 4 (with </s>), 2, 2, 1: Y = 4 / 8, D = 0.5, 0.5, 2.
  model = ngram.train([list('abcddeefffggghhhh')], 1)
  for symbol, kept in {'a': 0.5, 'd': 1.5, 'f': 1.0, 'h': 2.0}.items():
    wanted = kept / 18 + 0.5 / 10
    assert prob(model, (), symbol) == pytest.approx(wanted)


@pytest.mark.parametrize('order', [2, 3, 5])
@pytest.mark.parametrize('alphabet', [(), (*_LETTERS, 'z')])
def test_probabilities_sum_to_one_after_every_context(order, alphabet):
  model = ngram.train(random_sentences(), order, alphabet)
  arpa = arpa_reader.read(ngram.arpa(model))
  symbols = {'</s>', *_LETTERS} | ({*alphabet} or {'<unk>'})
  contexts = {g[:-1] for g in model.log_probs} | {('z', 'a'), ('b', 'z')}
  for context in contexts:
    scores = [arpa_reader.score(arpa, context, s) for s in symbols]
    assert np.exp(scores).sum() == pytest.approx(1, abs=1e-5), context


def test_kenlm_reads_the_same_probabilities(tmp_path):
  pytest.importorskip('flashlight.lib.text')
  from flashlight.lib.text import dictionary
  from flashlight.lib.text.decoder import kenlm

  model = ngram.train(random_sentences(), 4, _LETTERS)
  (tmp_path / 'lm.arpa').write_text(ngram.arpa(model))
  theirs = kenlm.KenLM(
    str(tmp_path / 'lm.arpa'), dictionary.Dictionary([*_LETTERS])
  )
  arpa = arpa_reader.read(ngram.arpa(model))
  for symbols in (*random_sentences(9), ['c', 'c', '|', 'c'], []):
    state, total = theirs.start(False), 0.0
    for symbol in symbols:
      state, score = theirs.score(state, _LETTERS.index(symbol))
      total += score
    total += theirs.finish(state)[1]
    ours = sum(
      ngram.log_prob(model, ['<s>', *symbols][: i + 1], symbol)
      for i, symbol in enumerate([*symbols, '</s>'])
    )
    assert ours == pytest.approx(total, abs=1e-4)
    independent = arpa_reader.sentence(arpa, 4, symbols) / math.log(10)
    assert ours == pytest.approx(independent, abs=1e-5)


def test_longer_contexts_predict_real_text_better():
  sentences = [
    language_model.characters(line, alphabets.ENGLISH) for line in documents()
  ]
  trained = [s for i, s in enumerate(sentences) if i % 5]
  fits = [
    ngram.fit(
      ngram.train(trained, order, language_model.symbols(alphabets.ENGLISH)),
      sentences[::5],
    )
    for order in (1, 2, 3, 4)
  ]
  perplexities = [fit.perplexity for fit in fits]
  assert perplexities == sorted(perplexities, reverse=True)
  assert 12 < perplexities[0] < 20
  assert perplexities[-1] < 0.6 * perplexities[0]


def test_perplexity_computed_by_hand():
  model = ngram.train([['a'], ['b']], 1)
  # a and b 1, </s> 2, of 4; discounts 0.5, 0.5, 1 leave 0.5 to 4 symbols.
  fit = ngram.fit(model, [['a', 'new', 'b']])
  p = 0.5 / 4 + 0.5 / 4
  wanted = (p * p * (0.5 / 4) * (1 / 4 + 0.5 / 4)) ** (-1 / 4)
  assert fit == (pytest.approx(wanted), 4, 1)
