"""A report as one file for a browser, which asks no network for anything."""

import base64
import functools
import hashlib
import importlib.resources
import pathlib
from collections.abc import Mapping, Sequence

import jinja2

from fedjax_asr.figures import page_image
from fedjax_asr.report_pages import blocks, media, said

# Of all that a page embeds and says.
BUDGET = 15_000_000

_ROOM = 'fedjax_asr.report_pages'
_STYLES = ('uPlot.min.css', 'report.css')
_SCRIPTS = ('uPlot.iife.min.js', 'report.js')
_FOOTER = 'Curves by uPlot, copyright (c) 2022 Leon Sorokin, MIT License.'


def text(
  report: blocks.Report, page: pathlib.Path, budget: int = BUDGET
) -> str:
  """The page, to be written to the path `page`: links are relative to that.

  Pictures and sound are inside while it has fewer than `budget` bytes.
  """
  found = [*blocks.inside(_all(report))]
  used = media.of_blocks(found)
  links = {each.path: media.relative(each.path, page) for each in used}
  bare = _rendered(report, page, found, links)
  left = budget - len(bare.encode(errors='backslashreplace'))
  return _rendered(report, page, found, media.sources(used, page, left))


def _all(report: blocks.Report) -> list[blocks.Block]:
  return [block for section in report.sections for block in section.blocks]


def _rendered(
  report: blocks.Report,
  page: pathlib.Path,
  found: Sequence[blocks.Block],
  sources: Mapping[pathlib.Path, str],
) -> str:
  styles, scripts = map(_assets, (_STYLES, _SCRIPTS))
  environment = _environment()
  environment.filters['size'] = page_image.shown_size
  environment.filters['relative'] = lambda path: media.relative(path, page)
  return environment.get_template('report.html.jinja').render(
    report=report,
    sources=sources,
    styles=styles,
    scripts=scripts,
    policy=policy(scripts, styles),
    footer=_FOOTER,
    none_said=said.NONE,
    charts_data=[
      chart._asdict() | {'lines': [line._asdict() for line in chart.lines]}
      for block in found
      if isinstance(block, blocks.Charts)
      for chart in block.charts
    ],
  )


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
  """What a browser may do for the page: run these scripts and no other."""
  return '; '.join(
    (
      "default-src 'none'",
      f'script-src {_hashes(scripts)}',
      f'style-src {_hashes(styles)}',
      "img-src 'self' data:",
      "media-src 'self' data:",
      "base-uri 'none'",
      "form-action 'none'",
    )
  )


def _hashes(texts: Sequence[str]) -> str:
  digests = (hashlib.sha256(each.encode()).digest() for each in texts)
  return ' '.join(
    f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests
  )


@functools.cache
def _assets(names: Sequence[str]) -> list[str]:
  folder = importlib.resources.files(_ROOM) / 'assets'
  return [(folder / name).read_text(encoding='utf-8') for name in names]


def _environment() -> jinja2.Environment:
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader(_ROOM),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
  )
  environment.filters['kind'] = lambda block: type(block).__name__
  return environment
