"""A line of a run's `examples.json`."""

from typing import NamedTuple


class RunExample(NamedTuple):
  """What was said and heard in a held-out utterance.

  group: the held-out set that it is of, as `config.Subset` has it.
  audio: the name of its sound's file, in the folder of the examples; None where
    the corpus has features alone.
  role: 'best', 'median' or 'worst' of all that was heard; '' of others.
  """

  utterance: str
  speaker: str
  group: str
  reference: str
  hypothesis: str
  wer: float
  cer: float
  seconds: float
  audio: str | None
  role: str
