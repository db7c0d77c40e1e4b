import itertools
import math
import sys

import arpa_reader
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.decoding import beam, language_model, ngram, text_decoder
from fedjax_asr.speech import alphabets

pytest.importorskip(
  'flashlight.lib.text', reason="pip install 'fedjax_asr[decode]'"
)

_SYMBOLS = (alphabets.BLANK, *alphabets.ENGLISH.encode('a b'))
_LEXICON = ('a', 'ab', 'ba', 'bb')
_SENTENCES = ('ab a', 'ab ab', 'ba a', 'ab', 'a ab ba')


def decoder(**fields):
  """With room for every hypothesis of a tiny problem's four symbols."""
  wide = {'beam_size': 10_000, 'beam_size_token': 4, 'beam_threshold': 1e3}
  return beam.BeamDecoder(
    config.DecodeConfig(method=config.Decoder.BEAM, **wide | fields),
    alphabets.ENGLISH,
  )


def tiny_problem(seed, frames=5):
  """Log-probabilities of which only blank, space, a and b matter."""
  rng = np.random.default_rng(seed)
  logits = np.full((frames, alphabets.ENGLISH.size), -40.0)
  logits[:, list(_SYMBOLS)] = rng.normal(0, 1.5, (frames, len(_SYMBOLS)))
  return beam.log_softmax(logits)


def probabilities(log_probs):
  """{text: p}, every path enumerated."""
  found = {}
  for path in itertools.product(_SYMBOLS, repeat=len(log_probs)):
    runs = [s for s, _ in itertools.groupby(path)]
    spelled = ''.join(
      alphabets.ENGLISH.symbols[s] for s in runs if s != alphabets.BLANK
    )
    p = math.exp(sum(row[s] for row, s in zip(log_probs, path, strict=True)))
    found[spelled] = found.get(spelled, 0.0) + p
  return found


def best(scores):
  """The text of highest score, where it is far enough from the second."""
  (second, _), (first, winner) = sorted((s, t) for t, s in scores.items())[-2:]
  assert first - second > 1e-4
  return winner


@pytest.fixture
def characters(tmp_path):
  """The file of a trigram model of characters, and what is in it."""
  sentences = [
    language_model.characters(line, alphabets.ENGLISH) for line in _SENTENCES
  ]
  model = ngram.train(sentences, 3, language_model.symbols(alphabets.ENGLISH))
  path = tmp_path / 'characters.arpa'
  path.write_text(ngram.arpa(model))
  return str(path), arpa_reader.read(path.read_text())


@pytest.fixture
def words(tmp_path):
  """The file of a bigram model of words, and what is in it."""
  model = ngram.train([line.split() for line in _SENTENCES], 2)
  path = tmp_path / 'words.arpa'
  path.write_text(ngram.arpa(model))
  return str(path), arpa_reader.read(path.read_text())


@pytest.fixture
def lexicon(tmp_path):
  path = tmp_path / 'lexicon.txt'
  path.write_text('\n'.join(_LEXICON) + '\n')
  return str(path)


def test_finds_the_text_of_highest_total_probability():
  search = decoder()
  found, greedy = [], []
  for seed in range(40):
    log_probs = tiny_problem(seed)
    scores = {t: math.log(p) for t, p in probabilities(log_probs).items()}
    found.append(best(scores))
    assert search(log_probs) == found[-1]
    path = text_decoder.chosen(config.DecodeConfig(), alphabets.ENGLISH)
    greedy += path(log_probs[None], np.array([len(log_probs)]))
  # Otherwise the best path alone would do.
  assert sum(a != b for a, b in zip(found, greedy, strict=True)) >= 5


@pytest.mark.parametrize('weight', [0.3, 1.0])
def test_model_of_characters_is_weighed_in_nats(characters, weight):
  path, arpa = characters
  search = decoder(language_model=path, language_model_weight=weight)
  changed = 0
  for seed in range(25):
    log_probs = tiny_problem(seed)
    acoustic = {t: math.log(p) for t, p in probabilities(log_probs).items()}
    scores = {
      t: score
      + weight
      * arpa_reader.sentence(
        arpa, 3, language_model.characters(t, alphabets.ENGLISH)
      )
      for t, score in acoustic.items()
    }
    assert search(log_probs) == best(scores)
    changed += best(scores) != best(acoustic)
  assert changed >= 5


@pytest.mark.parametrize(
  ('weight', 'word_score'), [(0.0, 0.0), (0.7, 0.0), (0.7, 2.0)]
)
def test_lexicon_with_a_model_of_words(words, lexicon, weight, word_score):
  path, arpa = words
  search = decoder(
    language_model=path,
    language_model_weight=weight,
    word_score=word_score,
    lexicon=lexicon,
  )
  texts = set()
  for seed in range(40):
    log_probs = tiny_problem(seed)
    totals = {}
    for spelled, p in probabilities(log_probs).items():
      said = tuple(spelled.split())
      if set(said) <= set(_LEXICON):
        totals[said] = totals.get(said, 0.0) + p
    scores = {
      ' '.join(said): math.log(p)
      + weight * arpa_reader.sentence(arpa, 2, known(said))
      + word_score * len(said)
      for said, p in totals.items()
    }
    assert search(log_probs) == best(scores)
    texts.add(best(scores))
  assert len(texts) >= 4
  assert not word_score or any(' ' in spelled for spelled in texts)


def known(said):
  """`bb` is in the lexicon and not in the model."""
  return ['<unk>' if word == 'bb' else word for word in said]


_BY_HAND = """\\data\\
ngram 1=6
ngram 2=2

\\1-grams:
-99\t<s>\t0
-99\t<unk>
-1\t</s>
-1\t|
-1\ta
-1\tb

\\2-grams:
-0.6020600\t<s> a
-0.3010300\t<s> b

\\end\\
"""


def test_model_turns_an_answer_where_computed_by_hand(tmp_path):
  (tmp_path / 'lm.arpa').write_text(_BY_HAND)
  a, b = alphabets.ENGLISH.encode('ab')
  for p_b, wanted in ((0.26, 'a'), (0.3, 'a'), (0.36, 'b'), (0.4, 'b')):
    log_probs = np.full((1, alphabets.ENGLISH.size), -50.0)
    # With p(a) = 1/4 and p(b) = 1/2, b wins where its frame has over 1/3.
    log_probs[0, [a, b]] = np.log([1 - p_b, p_b])
    assert decoder()(log_probs) == 'a'
    search = decoder(
      language_model=str(tmp_path / 'lm.arpa'), language_model_weight=1.0
    )
    assert search(log_probs) == wanted


def test_padding_changes_nothing_and_no_frames_are_no_text():
  logits = np.random.default_rng(0).normal(
    0, 2, (3, 12, alphabets.ENGLISH.size)
  )
  num_frames = np.array([0, 5, 12])
  soiled = logits.astype(np.float32)
  soiled[1, 5:] = np.nan
  for method in config.Decoder:
    read = text_decoder.chosen(
      config.DecodeConfig(method=method), alphabets.ENGLISH
    )
    texts = read(soiled, num_frames)
    alone = [
      read(logits[i : i + 1, :count].astype(np.float32), num_frames[i : i + 1])
      for i, count in ((1, 5), (2, 12))
    ]
    assert texts == ['', *(row[0] for row in alone)]
    assert all(texts[1:])


def test_confident_logits_are_read_alike_by_both_decoders(lexicon):
  path = [
    s
    for label in alphabets.ENGLISH.encode('ab ba bb')
    for s in (label, label, 0)
  ]
  logits = 20.0 * np.eye(alphabets.ENGLISH.size, dtype=np.float32)[path][None]
  for fields in ({}, {'lexicon': lexicon}):
    search = decoder(**fields)
    assert search.texts(logits, np.array([len(path)])) == ['ab ba bb']
  greedy = text_decoder.chosen(config.DecodeConfig(), alphabets.ENGLISH)
  assert greedy(logits, np.array([len(path)])) == ['ab ba bb']


def test_logits_that_are_no_numbers_are_refused():
  log_probs = np.full((3, alphabets.ENGLISH.size), np.nan)
  with pytest.raises(language_model.DecodeError, match='NaN'):
    decoder()(log_probs)


def test_impossible_symbols_do_no_harm(lexicon):
  log_probs = np.full((3, alphabets.ENGLISH.size), -np.inf)
  log_probs[[0, 1, 2], [*alphabets.ENGLISH.encode('ba'), 0]] = 0.0
  assert decoder()(log_probs) == 'ba'
  assert decoder(lexicon=lexicon)(log_probs) == 'ba'


def test_missing_package_names_the_command(monkeypatch):
  for name in ('flashlight.lib.text', 'flashlight.lib.text.decoder'):
    monkeypatch.setitem(sys.modules, name, None)
  with pytest.raises(language_model.DecodeError, match='pip install') as caught:
    decoder()
  assert '\n' not in str(caught.value)
