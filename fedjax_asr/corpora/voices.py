"""Procedural speakers: an eSpeak NG variant file, an accent and a channel.

A thousand of them are 70-80% identifiable by nearest centroid (chance 0.1%),
so speakers differ as clients of a federation should.
"""

import re
from typing import NamedTuple

import numpy as np

from fedjax_asr import streams
from fedjax_asr.corpora import espeak, languages

_ACCENT_SHARES = (0.3, 0.15, 0.12, 0.1, 0.1, 0.08, 0.1, 0.05)


class _Build(NamedTuple):
  """What a speaker's sex and age leave to chance."""

  gender: str
  share: float
  tract: tuple[float, float]  # Mean, deviation of the formants' scale.
  pitch_hz: tuple[float, float]


_BUILDS = (
  _Build('male', 0.46, (0.96, 0.045), (75, 135)),
  _Build('female', 0.46, (1.13, 0.045), (150, 225)),
  _Build('female', 0.08, (1.25, 0.04), (220, 280)),  # A child.
)


class Speaker(NamedTuple):
  """What stays the same over all utterances of a speaker."""

  accent: str
  variant: str  # The text of an eSpeak NG variant file.
  rate: int  # Words per minute.
  word_gap: int  # Units of 10 ms.
  tilt: float  # One-tap spectral tilt of the channel.
  snr_db: float
  peak: float

  @property
  def gender(self) -> str:
    """'male' or 'female', which children's voices are, too."""
    return re.findall(r'^gender (\w+)$', self.variant, re.MULTILINE)[0]


def speaker(
  seed: int, index: int, language: str = languages.ENGLISH
) -> Speaker:
  """The speaker that is a function of (seed, index).

  Of English there are accents; another language has one.
  """
  rng = streams.rng(seed, streams.Stream.VOICE, index)
  build = _BUILDS[rng.choice(len(_BUILDS), p=[b.share for b in _BUILDS])]
  variant = _variant(build, rng)
  accent = rng.choice(len(_ACCENT_SHARES), p=_ACCENT_SHARES)
  accents = espeak.accents(language)
  return Speaker(
    accent=accents[accent % len(accents)],
    variant=variant,
    rate=int(rng.integers(135, 200)),
    word_gap=int(rng.integers(0, 3)),
    tilt=float(rng.normal(0, 0.12)),
    snr_db=float(rng.uniform(22, 45)),
    peak=float(rng.uniform(0.15, 0.7)),
  )


def _variant(build: _Build, rng: np.random.Generator) -> str:
  low = rng.uniform(*build.pitch_hz)
  high = low * rng.uniform(1.2, 1.65)
  tract = rng.normal(*build.tract)
  lines = [
    'language variant',
    'name speaker',
    f'gender {build.gender}',
    f'pitch {low:.0f} {high:.0f}',
    f'flutter {rng.integers(1, 12)}',
    f'roughness {rng.integers(0, 4)}',
    f'voicing {rng.integers(80, 125)}',
    f'consonants {rng.integers(80, 125)} {rng.integers(80, 115)}',
    *(_formant(number, tract, rng) for number in range(9)),
    *_breath(rng),
    f'tone 600 {rng.integers(140, 200)} 1200 {rng.integers(110, 160)} '
    f'2000 {rng.integers(80, 140)} 3000 {rng.integers(60, 140)} -1 0',
  ]
  return '\n'.join(lines) + '\n'


def _formant(number: int, tract: float, rng: np.random.Generator) -> str:
  """Frequency, height and width, in percent of the base voice."""
  frequency = tract * (1 + rng.normal(0, 0.035 if number < 6 else 0.06))
  height, width = rng.integers(80, 112), rng.integers(85, 150)
  return f'formant {number} {100 * frequency:.0f} {height} {width}'


def _breath(rng: np.random.Generator) -> list[str]:
  level = int(rng.integers(0, 9)) if rng.random() < 0.6 else 0
  if not level:
    return []
  slopes = (1, 1, 0.9, 0.7, 0.5, 0.4, 0.3, 0.3)
  heights = ' '.join(str(int(level * slope)) for slope in slopes)
  return [f'breath {heights}', 'breathw 150 150 200 200 300 300 400 400']
