"""All pages of a report, written beside its figures."""

import pathlib

from fedjax_asr import run_files, whole_file
from fedjax_asr.report_pages import (
  blocks,
  html_page,
  latex_page,
  markdown_page,
)


def write(
  report: blocks.Report, files: run_files.RunFiles
) -> list[pathlib.Path]:
  """The paths of `report.html`, `report.md` and `report.tex`, once written.

  Raises:
    OSError: one cannot be written.
  """
  writers = {
    files.report_html: html_page.text,
    files.report_md: markdown_page.text,
    files.report_tex: latex_page.text,
  }
  for path, text in writers.items():
    whole_file.replace_text(path, _readable(text(report, path)))
  return [*writers]


def _readable(text: str) -> str:
  """Bytes of names that are not UTF-8 as '\\udcff'."""
  return text.encode(errors='backslashreplace').decode()
