"""A report as LaTeX, for pdflatex and for engines that know Unicode."""

import os
import pathlib
import unicodedata
from collections.abc import Iterator, Sequence

from fedjax_asr.report_pages import blocks, printed

_HEAD = r"""\documentclass[11pt]{article}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[utf8]{inputenc}
  \usepackage[T1]{fontenc}
  \usepackage{textcomp}
  \IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\else
  \usepackage{fontspec}
\fi
\usepackage[a4paper, margin=22mm]{geometry}
\usepackage{booktabs}
\usepackage{longtable}
\usepackage{array}
\usepackage[labelformat=empty]{caption}
\usepackage{graphicx}
\usepackage[hidelinks]{hyperref}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt}
\setlength{\emergencystretch}{4em}
\setlength{\LTcapwidth}{\textwidth}
% A character, and its code for engines whose fonts lack it.
\DeclareRobustCommand{\beyond}[2]{%
  \ifPDFTeX{\footnotesize\ttfamily #2}\else #1\fi}
"""
_ESCAPES = {
  '\\': r'\textbackslash{}',
  '{': r'\{',
  '}': r'\}',
  '$': r'\$',
  '&': r'\&',
  '%': r'\%',
  '#': r'\#',
  '_': r'\_',
  '^': r'\textasciicircum{}',
  '~': r'\textasciitilde{}',
  '<': r'\textless{}',
  '>': r'\textgreater{}',
  '|': r'\textbar{}',
  '"': r'\textquotedbl{}',
  "'": r'\textquotesingle{}',
  '`': r'\textasciigrave{}',
  # No ligature.
  '-': r'-{}',
  '\u2013': r'\textendash{}',
}
_LONG_TEXT = 24
# Of a page, for all columns of text that is wrapped.
_WIDTH = 0.56


def text(report: blocks.Report, page: pathlib.Path) -> str:
  """The document, to be written to the path `page`: figures are relative to it.

  What pdflatex has no letter for is `U+0928` in its output, and itself in that
  of LuaLaTeX, where its font has it.
  """
  title = escaped(report.title)
  parts = [
    _HEAD + f'\\hypersetup{{pdftitle={{{_ascii(report.title)}}}}}',
    f'\\title{{{title}}}\n\\date{{}}\n\\author{{}}',
    '\\begin{document}\n\\maketitle',
  ]
  for section in report.sections:
    found = [*_parts(section.blocks, page)]
    if found:
      parts += [f'\\section*{{{escaped(section.title)}}}', *found]
  return '\n\n'.join([*parts, '\\end{document}']) + '\n'


def escaped(raw: str) -> str:
  """In one line, with nothing that TeX acts on."""
  line = ' '.join(raw.split())
  return ''.join(map(_letter, line))


def _letter(character: str) -> str:
  if character in _ESCAPES:
    return _ESCAPES[character]
  if ' ' <= character < '\x7f' or _is_latin(character):
    return character
  code = f'U+{ord(character):04X}'
  # A control, or half of a surrogate pair, is no letter anywhere.
  if unicodedata.category(character) in ('Cc', 'Cs', 'Cn', 'Cf'):
    return f'{{\\footnotesize\\ttfamily {code}}}'
  return f'\\beyond{{{character}}}{{{code}}}'


def _is_latin(character: str) -> bool:
  """An accented letter that the encoding T1 has."""
  return '\u00c0' <= character <= '\u00ff' and character not in '\u00d7\u00f7'


def _ascii(raw: str) -> str:
  return ''.join(each for each in raw if each.isalnum() and each.isascii())


def _parts(found: Sequence[blocks.Block], page: pathlib.Path) -> Iterator[str]:
  for block in found:
    match block:
      case blocks.Text(text=text):
        yield escaped(text)
      case blocks.Absent(reason=reason):
        yield f'\\emph{{{escaped(reason)}}}'
      case blocks.Facts(rows=rows):
        yield from _facts(rows)
      case blocks.Verbatim(text=text):
        yield _verbatim(text)
      case blocks.Table():
        yield _table(block)
      case blocks.Picture():
        yield _picture(block, page)
      case blocks.Compared(said=said, heard=heard):
        yield from _facts(
          [('said', _plain(said)), ('heard', _plain(heard) or '(nothing)')]
        )
      case blocks.Group() if block.is_printed:
        yield f'\\subsection*{{{escaped(block.title)}}}'
        yield from _parts(block.blocks, page)
      case blocks.Cards(groups=groups):
        yield from _parts(groups, page)
      case _:
        # Curves and sound are of browsers.
        continue


def _plain(pieces: Sequence[blocks.Piece]) -> str:
  return ''.join(piece.text for piece in pieces)


def _facts(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
  if rows:
    items = '\n'.join(
      f'\\item[{escaped(name)}:] {_breakable(escaped(value))}'
      for name, value in rows
    )
    yield (
      '\\begin{description}\n\\setlength{\\itemsep}{0pt}'
      f'\\setlength{{\\parskip}}{{0pt}}\n{items}\n\\end{{description}}'
    )


def _breakable(line: str) -> str:
  """Long names of parameters have slashes, after which a line may end."""
  return line.replace('/', '/\\allowbreak{}').replace(r'\_', r'\_\allowbreak{}')


def _verbatim(text: str) -> str:
  """Line by line: `verbatim` has an end that a text might contain."""
  lines = ' \\\\\n'.join(
    f'\\hspace*{{{_indent(line)}em}}{_breakable(escaped(line))}'
    for line in text.splitlines()
  )
  return f'{{\\raggedright\\footnotesize\\ttfamily\n{lines}\\par}}'


def _indent(line: str) -> float:
  return (len(line) - len(line.lstrip(' '))) / 2


def _picture(block: blocks.Picture, page: pathlib.Path) -> str:
  # A PDF has text and lines; a PNG is what some figures are alone.
  file = block.pdf or block.path
  path = os.path.relpath(file, page.parent).replace(os.sep, '/')
  if set(path) & set('\\{}%#~$^"\n') or not path.isascii():
    # TeX has no way to spell such a name.
    return f'\\emph{{{escaped(f"{block.caption}: {path}")}}}'
  return (
    '\\begin{center}\n'
    '\\includegraphics[width=\\linewidth, height=0.6\\textheight, '
    f'keepaspectratio]{{\\detokenize{{{path}}}}}\n\n'
    f'{{\\small {escaped(block.caption)}}}\n\\end{{center}}'
  )


def _table(block: blocks.Table) -> str:
  columns, rows, caption = printed.table(block)
  wraps = [
    not column.is_number
    and any(len(row[index].text) > _LONG_TEXT for row in rows)
    for index, column in enumerate(columns)
  ]
  width = _WIDTH / max(1, sum(wraps))
  form = ''.join(
    'r'
    if column.is_number
    else f'>{{\\raggedright\\arraybackslash}}p{{{width:.2f}\\linewidth}}'
    if wrapped
    else 'l'
    for column, wrapped in zip(columns, wraps, strict=True)
  )
  head = _row([column.label for column in columns])
  body = '\n'.join(_row([cell.text for cell in row]) for row in rows)
  return (
    f'{{\\small\n\\begin{{longtable}}{{{form}}}\n'
    f'\\caption{{{escaped(caption)}}}\\\\\n'
    f'\\toprule\n{head}\n\\midrule\n\\endfirsthead\n'
    f'\\toprule\n{head}\n\\midrule\n\\endhead\n'
    f'\\bottomrule\n\\endfoot\n{body}\n\\end{{longtable}}}}'
  )


def _row(texts: Sequence[str]) -> str:
  # The braces keep a first `[` from being an argument of the row before.
  cells = [f'{{{escaped(each)}}}' for each in texts]
  return ' & '.join(cells) + r' \\'
