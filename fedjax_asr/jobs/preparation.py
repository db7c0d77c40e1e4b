"""The data of a run, and what is written down of them."""

import contextlib
import json
import pathlib
from collections.abc import Iterator

import rich.console

from fedjax_asr import config, interruption, progress, run_files, whole_file
from fedjax_asr.corpora import audit, datasets, store
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets


def prepare(
  cfg: config.Config,
  console: rich.console.Console,
  alphabet: alphabets.Alphabet | None = None,
) -> datasets.Datasets:
  """The data sets; shows how far the features are.

  `alphabet`: of a run that has one.

  Raises:
    CorpusError: as `datasets.prepare`.
    Interrupted: a signal came.
  """
  is_synthesised = cfg.data.corpus is config.Corpus.SYNTHETIC
  what = 'speech and features' if is_synthesised else 'features'
  with reported(console, what) as report:
    return datasets.prepare(
      cfg.data,
      cfg.features,
      model.num_output_frames(cfg.model),
      cfg.seed,
      report,
      alphabet,
    )


@contextlib.contextmanager
def reported(
  console: rich.console.Console, what: str = 'features'
) -> Iterator[store.Report]:
  """Shows how far work is, which a signal ends at the next report."""
  with progress.Counted(console, what) as bar:

    def report(done: int, total: int) -> None:
      interruption.check()
      bar.report(done, total)

    yield report


def write(data: datasets.Datasets, directory: run_files.RunFiles) -> None:
  """Leaves `skipped_utterances.jsonl` and `statistics` in a run directory."""
  audit.write(data.problems, directory.skipped)
  for file, content in statistics(data, directory).items():
    whole_file.replace_text(file, content)


def statistics(
  data: datasets.Datasets, files: run_files.RunFiles
) -> dict[pathlib.Path, str]:
  """Content of `feature_statistics.json`, for global normalisation.

  What decoding with a checkpoint of a run must normalise by.
  """
  if data.statistics is None:
    return {}
  values = data.statistics._asdict().items()
  text = json.dumps({name: value.tolist() for name, value in values})
  return {files.statistics: text}
