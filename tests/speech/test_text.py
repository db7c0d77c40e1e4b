import unicodedata

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import strategies

from fedjax_asr.speech import alphabets, text


def test_the_alphabet_is_the_one_of_the_papers():
  assert alphabets.BLANK == 0
  assert alphabets.ENGLISH.size == 29
  np.testing.assert_array_equal(alphabets.ENGLISH.encode(" 'az"), [1, 2, 3, 28])
  np.testing.assert_array_equal(alphabets.ENGLISH.encode('a z'), [3, 1, 28])
  assert alphabets.ENGLISH.encode('abc').dtype == np.int32


@pytest.mark.parametrize(
  ('raw', 'wanted', 'dropped', 'lost'),
  [
    ('Hello World', 'hello world', '', ''),
    ('  two \t words\n', 'two words', '', ''),
    ('no\u00a0break', 'no break', '', ''),
    ('it\u2019s \u2018t\u02bcis', "it's 't'is", '', ''),
    ('it`s it\u00b4s', "it's it's", '', ''),
    ('caf\u00e9 na\u00efve \u00c5ngstr\u00f6m', 'cafe naive angstrom', '', ''),
    ('cafe\u0301', 'cafe', '', ''),
    ('Stra\u00dfe \ufb01n \uff21\uff42', 'strasse fin ab', '', ''),
    ('well-known \u2013 fact\u2014s', 'well known fact s', '', ''),
    ('one, two. (three)!', 'one two three', ',.()!', ''),
    ('one,two U.S. "no"yes', 'one two u s no yes', ',..""', ''),
    ("'one,' 'two','three'", "'one' 'two' 'three'", ',,', ''),
    ('room 42b_', 'room b', '', '42_'),
    ('a \u00bd \u2026', 'a', '\u2026', '\u00bd'),
    ('\u22121\u00b2\u0663', '', '', '\u22121\u00b2\u0663'),
    ('5% of $9 & a/b @c #d', 'of ab c d', '', '5%$9&/@#'),
    ('+-*=<>|~^\u00b0\u20ac\uff05', '', '', '+*=<>|~^\u00b0\u20ac\uff05'),
    (
      'Linux\u2122 \u2116 \u33cf \u2163',
      'linux',
      '',
      '\u2122\u2116\u33cf\u2163',
    ),
    ('[a] {b}', 'a b', '', '[]{}'),
    (
      '\u00f8 \u00e6 \U0001f600 \ufffd\x00',
      '',
      '',
      '\u00f8\u00e6\U0001f600\ufffd\x00',
    ),
    ('it\uff07s \u00bfno\u00bf', "it's no", '\u00bf\u00bf', ''),
    ('\u041f\u0440ивет', '', '', '\u041f\u0440ивет'),
    ('日本 ok', 'ok', '', '日本'),
    ('zero\u200bwidth', 'zerowidth', '\u200b', ''),
    ('I\u0307stanbul \u0130', 'istanbul i', '', ''),
    ('', '', '', ''),
    ('...', '', '...', ''),
  ],
)
def test_normalize_spells_and_reports(raw, wanted, dropped, lost):
  assert text.normalize(raw) == text.Normalized(wanted, dropped, lost)


@hypothesis.given(strategies.text())
def test_what_is_left_out_is_invisible_or_punctuation_or_lost(raw):
  found = text.normalize(raw)
  for character in found.dropped:
    assert unicodedata.category(character)[0] == 'P' or not (
      character.isprintable()
    )
  for character in raw:
    if character.isalnum() and not character.isascii():
      continue  # May lose an accent.
    if character.isdigit() or unicodedata.category(character)[0] == 'S':
      assert character in found.lost or character in '`\u00b4'


@hypothesis.given(strategies.text())
def test_normalized_text_stays_as_it_is_and_encodes_without_loss(raw):
  spelled = text.normalize(raw).text
  assert text.normalize(spelled) == text.Normalized(spelled, '', '')
  labels = alphabets.ENGLISH.encode(spelled)
  assert (labels != alphabets.BLANK).all()
  assert (labels < alphabets.ENGLISH.size).all()
  assert alphabets.ENGLISH.decode(labels) == spelled


@hypothesis.given(strategies.text())
def test_what_is_left_out_comes_from_the_text_in_order(raw):
  found = text.normalize(raw)
  for left_out in (found.dropped, found.lost):
    remaining = iter(raw)
    assert all(character in remaining for character in left_out)


@pytest.mark.parametrize('raw', ['_', 'a_b', 'A', 'room 2', 'caf\u00e9'])
def test_encode_refuses_what_it_would_have_to_leave_out(raw):
  with pytest.raises(ValueError, match='want '):
    alphabets.ENGLISH.encode(raw)


def test_decode_leaves_padding_out_and_refuses_strangers():
  assert alphabets.ENGLISH.decode(np.array([10, 11, 0, 0])) == 'hi'
  assert alphabets.ENGLISH.decode(np.zeros(0, np.int32)) == ''
  for label in (-1, 29):
    with pytest.raises(ValueError, match=f'label {label}; want 0 to 28'):
      alphabets.ENGLISH.decode(np.array([3, label]))


@pytest.mark.parametrize(
  ('transcript', 'frames'),
  [('', 0), ('a', 1), ('ab', 2), ('aa', 3), ('aaa', 5), ('hello all', 11)],
)
def test_min_ctc_frames_counts_labels_and_repeats(transcript, frames):
  assert (
    alphabets.min_ctc_frames(alphabets.ENGLISH.encode(transcript)) == frames
  )


def test_min_ctc_frames_is_where_ctc_becomes_feasible():
  labels = alphabets.ENGLISH.encode('hello all')
  needed = alphabets.min_ctc_frames(labels)

  @jax.jit
  def loss(num_frames):
    paddings = (jnp.arange(needed) >= num_frames).astype(jnp.float32)
    logits = jnp.zeros((1, needed, alphabets.ENGLISH.size))
    no_padding = jnp.zeros((1, len(labels)))
    return optax.ctc_loss(
      logits, paddings[None], jnp.asarray(labels)[None], no_padding
    )[0]

  assert loss(needed) < 1e3
  assert loss(needed - 1) > 1e4
