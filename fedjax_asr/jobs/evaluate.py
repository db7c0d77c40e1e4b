"""Measures a finished run: error rates with intervals, speakers, confusions."""

import os
from typing import Any

import rich.console

from fedjax_asr import config, json_file, run_directory, run_files, saved_run
from fedjax_asr.corpora import audit, dataset, problem
from fedjax_asr.decoding import evaluation, text_decoder
from fedjax_asr.jobs import (
  disk_errors,
  evaluated_set,
  evaluation_report,
  evaluation_summary,
  preparation,
)


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Leaves `evaluation.json` and `transcripts.json` in a folder of the work
  directory, and a `summary.json` of all such folders there.

  The folder is that of the subset, the speech, the decoder and the round: an
  evaluation replaces none but an earlier one of the same, and is the same for
  the same config and run.

  Raises:
    UserError: of any room; the run itself is only read.
  """
  saved = saved_run.load(cfg.evaluate.run, 'evaluate.run', cfg.evaluate.round)
  saved_run.check_apart(saved, workdir)
  # Before any work: a language model may not be one.
  decoder = text_decoder.chosen(cfg.decode, saved.alphabet)
  console = rich.console.Console(highlight=False, markup=False)
  with run_directory.open_run(
    workdir, cfg, allow_config_change=allow_config_change
  ) as directory:
    chosen = _loaded(cfg, saved, console)
    result = _evaluated(cfg, saved, decoder, chosen.examples, console)
    report = _described(cfg, saved) | evaluation_report.measured(
      result, cfg.evaluate, cfg.seed
    )
    directory.begin()
    folder = evaluation_summary.folder(
      directory.path, report, result.transcripts
    )
    files = run_files.RunFiles(folder)
    with disk_errors.explained(directory.path):
      folder.mkdir(exist_ok=True)
      audit.write(chosen.problems, files.skipped)
      _write(files, report, result)
      rows = evaluation_summary.update(directory.path)
  for line in (_title(report, chosen, files), *problem.told(chosen.problems)):
    console.print(line, soft_wrap=True)
  evaluation_report.show(report, console)
  evaluation_summary.show(rows, console)
  written = f'{files.evaluation} and {files.transcripts.name}'
  console.print(f'written: {written}, {directory.summary}', soft_wrap=True)


def _loaded(
  cfg: config.Config, saved: saved_run.SavedRun, console: rich.console.Console
) -> evaluated_set.EvaluatedSet:
  with preparation.reported(console) as report:
    return evaluated_set.load(
      cfg.evaluate.subset, 'evaluate.subset', cfg.data, saved, report
    )


def _evaluated(
  cfg: config.Config,
  saved: saved_run.SavedRun,
  decoder: text_decoder.TextDecoder,
  examples: dataset.Dataset,
  console: rich.console.Console,
) -> evaluation.Evaluation:
  recognizer = evaluation.decoded_by(decoder, saved.acoustic)
  evaluator = evaluation.Evaluator(recognizer, examples, cfg.evaluation)
  with preparation.reported(console, 'recognising') as report:
    result = evaluator(saved.params, saved.norm_state, report)
  if result is None:
    raise AssertionError('evaluated_set.load gave no utterance')
  return result


def _title(
  report: dict[str, Any],
  chosen: evaluated_set.EvaluatedSet,
  files: run_files.RunFiles,
) -> str:
  num_bad = sum(not each.is_warning for each in chosen.problems)
  skipped = f'; left out: {num_bad} ({files.skipped.name})'
  return (
    f'round {report["round"]} of {report["run"]}, {report["subset"]}, '
    f'{report["decode"]["method"]} decoding{skipped if num_bad else ""}'
  )


def _described(cfg: config.Config, saved: saved_run.SavedRun) -> dict[str, Any]:
  """What was measured: reports that differ here are not compared."""
  whole = cfg.evaluate.subset is config.Subset.CORPUS
  return {
    'run': str(saved.path),
    'round': saved.round,
    'subset': cfg.evaluate.subset.value,
    'data': config.as_dict(cfg.data if whole else saved.config.data),
    'max_utterances': cfg.evaluation.max_utterances,
    'decode': config.as_dict(cfg.decode),
    'seed': cfg.seed,
  }


def _write(
  files: run_files.RunFiles,
  report: dict[str, Any],
  result: evaluation.Evaluation,
) -> None:
  transcripts = [item._asdict() for item in result.transcripts]
  json_file.write(files.evaluation, report)
  json_file.write(
    files.transcripts, {'round': report['round'], 'transcripts': transcripts}
  )
