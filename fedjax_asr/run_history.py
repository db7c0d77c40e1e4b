"""What each round of a run was trained by, where that was changed on the way.

`--allow_config_change` keeps what it replaces, numbered, and `history.json` the
last round that each number holds for.
"""

import pathlib

from fedjax_asr import json_file, run_error, run_files, whole_file


def of_round(file: pathlib.Path, round_index: int) -> pathlib.Path:
  """The file that a round was trained by: config, statistics or corpus.

  That of the run, unless `--allow_config_change` came after the round.

  Raises:
    RunError: the run's history is damaged.
  """
  files = run_files.RunFiles(file.parent)
  for number, last_round in enumerate(_read(files), start=1):
    if round_index <= last_round:
      return run_files.numbered(file, number)
  return file


def extend(files: run_files.RunFiles, num_rounds: int, changes: bool) -> None:
  """Before a run goes on after `num_rounds`: where its config `changes`,
  what is there is kept as that of the rounds behind it.
  """
  history = [min(last_round, num_rounds) for last_round in _read(files)]
  if changes:
    _keep_originals(files, len(history) + 1)
    history.append(num_rounds)
  if history:
    # After the copies: it is true of whatever a crash leaves.
    json_file.write(files.history, history)


def _keep_originals(files: run_files.RunFiles, number: int) -> None:
  for file in (files.config_json, files.statistics, files.corpus):
    if file.exists():
      content = file.read_text(encoding='utf-8')
      whole_file.replace_text(run_files.numbered(file, number), content)


def _read(files: run_files.RunFiles) -> list[int]:
  """The last round trained by each numbered config."""
  if not files.history.exists():
    return []
  history = json_file.read(files.history)
  if not isinstance(history, list) or not all(
    isinstance(last_round, int) for last_round in history
  ):
    raise run_error.RunError(
      f'{files.history}: {history!r}; want a list of rounds.'
    )
  return history
