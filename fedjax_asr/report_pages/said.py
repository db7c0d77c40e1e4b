"""Numbers as a report says them."""

import math
from collections.abc import Sequence

from fedjax_asr.decoding import bootstrap

NONE = '\u2013'


def percent(rate: float | None) -> str:
  """With three digits below 100%."""
  if rate is None or not math.isfinite(rate):
    return NONE
  return f'{rate:.2%}' if rate < 0.0995 else f'{rate:.1%}'


def number(value: float | None, form: str = '.3g') -> str:
  if value is None or not math.isfinite(value):
    return NONE
  return format(value, form)


def interval(found: bootstrap.Interval | None) -> str:
  """'' where there is none."""
  if found is None:
    return ''
  return f'{percent(found.low)} to {percent(found.high)}'


def count(value: int, noun: str) -> str:
  """With the noun in the plural unless there is one."""
  return f'{value:,} {noun}' if value == 1 else f'{value:,} {noun}s'


def joined(parts: Sequence[str]) -> str:
  """As a list in a sentence."""
  if len(parts) < 2:
    return ''.join(parts)
  return f'{", ".join(parts[:-1])} and {parts[-1]}'
