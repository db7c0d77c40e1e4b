"""The data of a run, with what was found on the way written down."""

import json
from collections.abc import Callable

import rich.console

from fedjax_asr import config, run_directory
from fedjax_asr.corpora import audit, datasets
from fedjax_asr.speech import features


def prepare(
  cfg: config.Config,
  num_output_frames: Callable[[int], int],
  directory: run_directory.RunDirectory,
  console: rich.console.Console,
) -> datasets.Datasets:
  """The data sets; shows how far the features are.

  Leaves `skipped_utterances.jsonl` in the run directory and, for global
  normalisation, `feature_statistics.json`: what decoding with a checkpoint of
  this run must normalise by.

  Raises:
    CorpusError: as `datasets.prepare`.
  """
  with console.status('features') as status:
    data = datasets.prepare(
      cfg.data,
      cfg.features,
      num_output_frames,
      cfg.seed,
      lambda done, total: status.update(f'features {done}/{total}'),
    )
  audit.write(data.problems, directory.skipped)
  if data.statistics is not None:
    _write_statistics(data.statistics, directory)
  return data


def _write_statistics(
  statistics: features.Statistics, directory: run_directory.RunDirectory
) -> None:
  values = statistics._asdict().items()
  text = json.dumps({name: value.tolist() for name, value in values})
  run_directory.replace_text(directory.path / run_directory.STATISTICS, text)
