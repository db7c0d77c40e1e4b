"""What each client of a round did, one JSON object a round: `clients.jsonl`."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from fedjax_asr import run_log
from fedjax_asr.federated import client_report

# Figures that are kept; a run of thousands of rounds has millions of numbers.
_FIGURES = 5


class ClientLog:
  """Appends a line for every `every_rounds`-th round; 0: for none.

  Like `MetricsLog`, the file reads as if the run had never been interrupted.
  """

  def __init__(
    self, path: pathlib.Path, every_rounds: int, resume_after: int | None
  ):
    self._every_rounds = every_rounds
    self._lines = run_log.Lines(path, resume_after) if every_rounds else None

  def write(
    self,
    round_index: int,
    names: Sequence[str],
    client_ids: Int[np.ndarray, 'devices blocks clients'],
    reports: client_report.ClientReport,
  ) -> None:
    """One round's clients, in the order of `client_ids`; -1 is nobody.

    Raises:
      RunError: the line cannot be written, as on a full disk.
    """
    if self._lines is None or round_index % self._every_rounds:
      return
    self._lines.write(
      {'round': round_index, **columns(names, client_ids, reports)}
    )

  def close(self) -> None:
    if self._lines is not None:
      self._lines.close()


def columns(
  names: Sequence[str],
  client_ids: Int[np.ndarray, 'devices blocks clients'],
  reports: client_report.ClientReport,
) -> dict[str, list[Any]]:
  """{field: a value for each client}; NaN and infinity are null."""
  ids = np.asarray(client_ids)
  real = ids >= 0
  totals = reports.totals
  fields = {
    'num_steps': totals.num_steps,
    'num_utterances': totals.num_utterances,
    'num_frames': totals.num_frames,
    'num_infeasible': totals.num_infeasible,
    'first_loss': reports.first_loss,
    'last_loss': reports.last_loss,
    'delta_norm': reports.delta_norm,
    'cosine': reports.cosine,
    'weight': reports.weight,
    'was_clipped': reports.was_clipped,
    'is_broken': reports.is_broken,
  }
  return {
    'client': [names[index] for index in ids[real].tolist()],
    **{
      name: [_plain(value) for value in np.asarray(values)[real].tolist()]
      for name, values in fields.items()
    },
  }


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """The rounds of a `clients.jsonl`, as `columns` has them.

  Raises:
    RunError: there is no such file, or it is damaged before its last line.
  """
  return run_log.read_lines(path)


def _plain(value: float | bool) -> float | int | bool | None:
  if isinstance(value, bool):
    return value
  if not np.isfinite(value):
    return None
  short = float(f'{value:.{_FIGURES}g}')
  return int(short) if short == int(short) else short
