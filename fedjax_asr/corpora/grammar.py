"""The sentences that synthetic speakers say: in English a-z and space only."""

import re
from collections.abc import Sequence

import numpy as np

from fedjax_asr import config
from fedjax_asr.corpora import languages
from fedjax_asr.speech import spoken_numbers

# Options of each slot, with a comma between them.
_OPTIONS = {
  'digit': 'zero, one, two, three, four, five, six, seven, eight, nine',
  'unit': 'one, two, three, four, five, six, seven, eight, nine',
  'tens': 'twenty, thirty, forty, fifty',
  'switch': 'on, off',
  'colour': 'red, green, blue, white, black, yellow',
  'room': 'kitchen, bedroom, bathroom, hallway, garage, garden, office',
  'device': (
    'light, lamp, heater, fan, radio, camera, door, window, television, alarm'
  ),
  'contact': 'call, text, remind',
  'name': 'anna, peter, maria, john, susan, david, emma, robert',
  'day': 'monday, tuesday, wednesday, thursday, friday, saturday, sunday',
  'move': 'open, close, lock',
  'opening': 'door, window',
  'direction': 'left, right, up, down, back',
  'end': 'stop, wait, turn around',
  'media': 'song, track, channel',
  'when': 'again, now, please, tomorrow',
  'spelled': (
    'adams, baxter, beth, boston, clark, denver, dixon, dublin, evans, felix, '
    'fifth, foxwell, george, graham, hannah, hobbs, irving, ivy, jacob, '
    'jersey, kelly, knox, lucy, maxwell, michael, moody, nancy, norwich, '
    'oliver, oxford, parker, philip, quebec, quinn, rubout, sawyer, simpson, '
    'taylor, turner, ursula, victor, vogel, walter, wyoming, xavier, york, '
    'young, zebra'
  ),
  'letter': ', '.join('abcdefghijklmnopqrstuvwxyz'),
  'edit': 'enter, erase, repeat',
  'month': (
    'january, february, march, april, may, june, july, august, september, '
    'october, november, december'
  ),
  'year': 'nineteen, twenty',
  'request': 'help me, start over, stop here, go on',
  # The GRID corpus (Cooke et al. 2006), whose letters leave out w.
  'grid_verb': 'bin, lay, place, set',
  'grid_colour': 'blue, green, red, white',
  'grid_preposition': 'at, by, in, with',
  'grid_letter': ', '.join('abcdefghijklmnopqrstuvxyz'),
  'grid_adverb': 'again, now, please, soon',
}
_COMMANDS = (
  'turn {switch} the {colour} {device} in the {room}',
  'set the {room} {device} to {number}',
  '{contact} {name} on {day} at {number}',
  '{move} the {room} {opening} and stop the {device}',
  'go {direction} {number} steps then {end}',
  'play {media} {number} {when}',
  '{digits}',
)
# In the manner of AN4, the census database of Acero 1990: what people spell
# for a computer, and short sentences.
_SPELLING = (
  '{letter} {letter} {spelling}',
  '{spelling} {number}',
  '{edit} {letters} {number}',
  '{month} {number} {year} {tens}',
  'go to {letter} {number} and {request}',
  '{digits}',
)
_TEMPLATES = {
  config.Grammar.DIGITS: ('{digits}',),
  config.Grammar.GRID: (
    '{grid_verb} {grid_colour} {grid_preposition} {grid_letter} {digit} '
    '{grid_adverb}',
  ),
  config.Grammar.COMMANDS: _COMMANDS,
  config.Grammar.SPELLING: _SPELLING,
}


def sentence(grammar: config.Grammar, rng: np.random.Generator) -> str:
  """A sentence drawn from the grammar: 2 to 11 words."""
  return _expand(_choice(_TEMPLATES[grammar], rng), rng)


def sentence_in(
  language: languages.Language,
  grammar: config.Grammar,
  rng: np.random.Generator,
) -> str:
  """A sentence of digits or a command, in another language than English.

  Raises:
    MissingPackageError: num2words is not installed, for a number.
  """
  template = '{digits}'
  if grammar is config.Grammar.COMMANDS:
    template = _choice(language.templates, rng)
  return re.sub(
    r'\{(\w+)\}', lambda slot: _fill_in(language, slot[1], rng), template
  )


def _fill_in(
  language: languages.Language, slot: str, rng: np.random.Generator
) -> str:
  digits = language.digits.split(', ')
  match slot:
    case 'digits':
      count = rng.integers(2, 8)
      return language.between.join(_choice(digits, rng) for _ in range(count))
    case 'number' if language.numbers:
      return spoken_numbers.words(int(rng.integers(0, 60)), language.numbers)
    case 'number':
      return _choice(digits, rng)
  return _choice(language.options[slot].split(', '), rng)


def _expand(template: str, rng: np.random.Generator) -> str:
  return re.sub(r'\{(\w+)\}', lambda slot: _fill(slot[1], rng), template)


def _fill(slot: str, rng: np.random.Generator) -> str:
  match slot:
    case 'digits':
      return _expand(' '.join(['{digit}'] * rng.integers(2, 8)), rng)
    case 'spelling':
      return ' '.join(_fill('spelled', rng))
    case 'letters':
      return _expand(' '.join(['{letter}'] * rng.integers(2, 6)), rng)
    case 'number':
      return _expand('{tens} {unit}' if rng.random() < 0.6 else '{unit}', rng)
  return _choice(_OPTIONS[slot].split(', '), rng)


def _choice(options: Sequence[str], rng: np.random.Generator) -> str:
  return options[int(rng.integers(len(options)))]
