"""Numbers in digits, as words: '25' is 'twenty-five'."""

import re
from typing import Any

from fedjax_asr import config

# A number that is a word of its own, but for the punctuation around it; or the
# first part of one with hyphens, such as '25-year-old'. A zero comes first in a
# decimal fraction only; '007' is no number but digits.
_NUMBER = re.compile(
  r"""
  (?<![^\s("'\u201c\u2018])
  (?P<whole> 0 | [1-9][0-9]{0,2}(?:,[0-9]{3})+ | [1-9][0-9]{0,14} )
  (?: \.(?P<decimals>[0-9]+) | (?P<ending>st|nd|rd|th) )?
  (?= [.,;:!?)"'\u201d\u2019\u2026]* (?:\s|$) | -[a-z] )
  """,
  re.VERBOSE | re.IGNORECASE,
)
# Of languages that may write 1.000 and 3,14.
_WHOLE = re.compile(
  r"""(?<![^\s("'\u201c\u201e\u2018])(?:0|[1-9][0-9]{0,14})"""
  r"""(?=[.,;:!?)"'\u201d\u201c\u2019\u2026\u060c\u061f\u0964]*(?:\s|$))"""
)
_ENGLISH = 'en'


class MissingPackageError(config.UserError):
  """Numbers are to be spelled, and nothing is installed that can."""


def spelled(text: str, language: str) -> str:
  """Text whose numbers are words, in a language that num2words knows.

  In English: cardinals (25; 1,000), decimal fractions, digit by digit after
  the point, and ordinals (22nd). A year is a cardinal like any other. What may
  be read in several ways stays as it is: 007, 10:30, 1/2, 5-6, -5, $5, 5%,
  1990s, 42b. In other languages: whole numbers without a point or comma.

  Raises:
    ConfigError: num2words does not know the language.
    MissingPackageError: num2words is not installed.
  """
  package = _package(language)
  if language == _ENGLISH:
    return _NUMBER.sub(lambda match: _words(match, package), text)
  return _WHOLE.sub(lambda match: package(int(match[0]), lang=language), text)


def words(number: int, language: str) -> str:
  """A whole number in a language that num2words knows.

  Raises:
    ConfigError, MissingPackageError: as `spelled`.
  """
  return _package(language, f'config.data.synthetic.language={language}')(
    number, lang=language
  )


def has_number(text: str) -> bool:
  """Whether there is a number that `spelled` takes; needs no package."""
  return _NUMBER.search(text) is not None


def check(language: str) -> None:
  """Raises where `spelled` would."""
  _package(language)


def _package(language: str, why: str = 'config.data.numbers=spell') -> Any:
  try:
    import num2words  # Here, because it is optional.
  except ImportError as error:
    raise MissingPackageError(
      f'{why} needs the package num2words ({error}); run: '
      "pip install 'num2words>=0.5.14'"
    ) from error
  known = num2words.CONVERTER_CLASSES
  if language not in known:
    raise config.ConfigError(
      f'config.data.numbers_language={language!r}; want one that num2words '
      f'knows: {", ".join(sorted(known))}.'
    )
  return num2words.num2words


def _words(match: re.Match[str], package: Any) -> str:
  whole = int(match['whole'].replace(',', ''))
  if match['ending']:
    is_right = package(whole, to='ordinal_num').endswith(
      match['ending'].lower()
    )
    return package(whole, to='ordinal') if is_right else match[0]
  digits = [package(int(digit)) for digit in match['decimals'] or '']
  point = ['point'] if digits else []
  return ' '.join([package(whole), *point, *digits])
