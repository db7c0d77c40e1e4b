"""What the labels of a run's checkpoints mean."""

import json
import pathlib

from fedjax_asr import config, json_file, run_error
from fedjax_asr.speech import alphabets


def content(alphabet: alphabets.Alphabet) -> str:
  """Of the run's file."""
  return json.dumps(alphabets.record(alphabet), ensure_ascii=False) + '\n'


def read(file: pathlib.Path) -> alphabets.Alphabet:
  """The alphabet that a run was trained with.

  Raises:
    RunError: the file is missing, or no alphabet.
    MissingPackageError: it has units, and sentencepiece is not installed.
  """
  if not file.is_file():
    raise run_error.RunError(f'{file} is missing; want a run that was trained.')
  saved = json_file.read(file)
  if isinstance(saved, str) and saved != alphabets.record(alphabets.ENGLISH):
    raise run_error.RunError(
      f'{file}: the run has the alphabet {saved!r}; want '
      f'{alphabets.record(alphabets.ENGLISH)!r}.'
    )
  try:
    return alphabets.of_record(saved)
  except (KeyError, TypeError, ValueError) as error:
    if isinstance(error, config.UserError):
      raise
    raise run_error.RunError(
      f'{file}: no alphabet ({error}); want it as training left it.'
    ) from error


def resumed(file: pathlib.Path, data: config.DataConfig) -> alphabets.Alphabet:
  """That of a run whose rounds go on, whatever its corpus would say now.

  Raises:
    RunError: `data.alphabet` is another, by which labels would mean other
      things than they did.
    ConfigError: it cannot be read.
  """
  saved, wanted = read(file), alphabets.of_config(data)
  is_same = wanted == saved
  if wanted.is_open:
    is_same = (wanted.kind, wanted.rules) == (saved.kind, saved.rules)
  if not is_same:
    raise run_error.RunError(
      f'{file}: the rounds behind the run have the alphabet {saved.shown()} '
      f'({saved.kind}), and config.data.alphabet={data.alphabet!r} is another; '
      'want the same, or another --workdir.'
    )
  return saved
