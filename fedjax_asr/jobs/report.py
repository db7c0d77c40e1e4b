"""Draws runs, each figure as a PNG of 300 DPI and as a PDF, and makes pages of
them: for browsers, as Markdown and as LaTeX."""

import os
import pathlib
from collections.abc import Callable

import rich.console

from fedjax_asr import (
  config,
  home,
  interruption,
  progress,
  run_directory,
  run_error,
  run_files,
  saved_run,
)
from fedjax_asr.figures import drawn_run, gallery, style
from fedjax_asr.jobs import disk_errors
from fedjax_asr.report_pages import blocks, pages, sections

_FORMS = ('png', 'pdf')


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Leaves `figures/` and `report.*` in the directory; the runs themselves are
  only read.

  What cannot be shown of a run is said in its place.

  Raises:
    UserError: there is no such run, runs are of different jobs, or the results
      cannot be written.
  """
  paths = _paths(cfg.report)
  console = rich.console.Console(highlight=False, markup=False, soft_wrap=True)
  # Each figure has a line of its own.
  bar = progress.Counted(console, 'drawing', has_lines=False)
  figures = gallery.chosen(paths, _reported(bar))
  for path in paths:
    saved_run.check_apart_from(path, workdir)
  with run_directory.open_run(
    workdir, cfg, allow_config_change=allow_config_change
  ) as directory:
    directory.begin()
    with disk_errors.explained(directory.path):
      pictures = []
      with bar:
        for drawn in figures:
          pictures.append(_saved(drawn, directory))
          told = f' (missing: {drawn.missing})' if drawn.missing else ''
          console.print(f'{pictures[-1].path}{told}')
      runs = [drawn_run.DrawnRun(path) for path in paths]
      for page in pages.write(sections.report(runs, pictures), directory):
        console.print(str(page))


def _reported(bar: progress.Counted) -> Callable[[int, int], None]:
  """Shows how many figures are drawn; a signal ends it before the next."""

  def report(done: int, total: int) -> None:
    interruption.check()
    bar.report(done, total)

  return report


def _paths(report: config.ReportConfig) -> list[pathlib.Path]:
  """Directories with a config, each once.

  Raises:
    RunError: one has none, or is given twice.
  """
  field = 'report.runs' if report.runs else 'report.run'
  paths: list[pathlib.Path] = []
  for name in report.runs or (report.run,):
    path = home.expanded(name).absolute()
    if not run_files.RunFiles(path).config_json.is_file():
      raise run_error.RunError(
        f'config.{field}={str(path)!r} has no config.json; want the directory '
        'of a run.'
      )
    if any(path.samefile(other) for other in paths):
      raise run_error.RunError(
        f'config.{field}: {str(path)!r} is given twice; want each once.'
      )
    paths.append(path)
  return paths


def _saved(
  drawn: gallery.Drawn, directory: run_directory.RunDirectory
) -> blocks.Picture:
  for form in _FORMS:
    style.save(drawn.figure, directory.figure(drawn.name, form))
  png, pdf = (directory.figure(drawn.name, form) for form in _FORMS)
  caption = drawn.name.replace('_', ' ').capitalize()
  return blocks.Picture(drawn.name, caption, png, pdf, drawn.missing)
