"""Draws a run, each figure as a PNG of 300 DPI and as a PDF, and makes pages of
it: for browsers, as Markdown and as LaTeX."""

import os

from fedjax_asr import config, home, run_directory, run_error, saved_run
from fedjax_asr.figures import drawn_run, gallery, style
from fedjax_asr.jobs import disk_errors
from fedjax_asr.report_pages import blocks, pages

_FORMS = ('png', 'pdf')


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Leaves `figures/` and `report.*` in the directory; the run itself is only
  read.

  What cannot be shown of a run is said in its place.

  Raises:
    UserError: there is no such run, or the results cannot be written.
  """
  path = home.expanded(cfg.report.run).absolute()
  drawing = drawn_run.DrawnRun(path)
  if not drawing.files.config_json.is_file():
    raise run_error.RunError(
      f'config.report.run={str(path)!r} has no config.json; want the directory '
      'of a run.'
    )
  saved_run.check_apart_from(path, workdir)
  with run_directory.open_run(
    workdir, cfg, allow_config_change=allow_config_change
  ) as directory:
    directory.begin()
    with disk_errors.explained(directory.path):
      pictures = []
      for drawn in gallery.drawn(drawing):
        pictures.append(_saved(drawn, directory))
        told = f' (missing: {drawn.missing})' if drawn.missing else ''
        print(f'{pictures[-1].path}{told}')
      for page in pages.write(drawing, pictures, directory):
        print(page)


def _saved(
  drawn: gallery.Drawn, directory: run_directory.RunDirectory
) -> blocks.Picture:
  for form in _FORMS:
    style.save(drawn.figure, directory.figure(drawn.name, form))
  png, pdf = (directory.figure(drawn.name, form) for form in _FORMS)
  caption = drawn.name.replace('_', ' ').capitalize()
  return blocks.Picture(drawn.name, caption, png, pdf, drawn.missing)
