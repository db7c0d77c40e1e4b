"""The document compiles, whatever people are called."""

import pathlib
import shutil
import subprocess

import matplotlib.figure
import pytest

from fedjax_asr.figures import style
from fedjax_asr.report_pages import blocks, latex_page

HOSTILE = (
  r'\input{/etc/passwd} 50% of $x_1$ & #2 {a} ~^ "quoted" <b> |c| `d` --- \\',
  'Zoë Ångström, straße',
  'דובר नमस्ते 你好 \U0001f600 e\u0301 \u202e',
  '[1] first in a row',
  'n' * 100,
)
_NEEDS = ('booktabs.sty', 'longtable.sty', 'caption.sty', 'iftex.sty')


def _why_not():
  """Why nothing can be compiled here; '' where it can."""
  if shutil.which('pdflatex') is None:
    return 'pdflatex is not installed'
  for name in _NEEDS:
    found = subprocess.run(
      ['kpsewhich', name], capture_output=True, check=False
    )
    if found.returncode:
      return f'TeX has no {name}'
  return ''


def compiled(page, report):
  """What pdflatex says."""
  page.write_text(latex_page.text(report, page), encoding='utf-8')
  done = subprocess.run(
    ['pdflatex', '-interaction=nonstopmode', '-halt-on-error', page.name],
    cwd=page.parent,
    capture_output=True,
    timeout=120,
    check=False,
  )
  assert done.returncode == 0, done.stdout[-2000:]
  return done.stdout.decode(errors='replace')


def hostile():
  """A report that says everywhere what TeX acts on."""
  cell = [[blocks.Cell(each), blocks.Cell(each)] for each in HOSTILE]
  columns = [blocks.Column(HOSTILE[0]), blocks.Column('heard')]
  table = blocks.Table('t', HOSTILE[0], columns, cell)
  found = [
    *map(blocks.Text, HOSTILE),
    blocks.Absent(HOSTILE[0]),
    blocks.Facts([(each, each) for each in HOSTILE]),
    blocks.Verbatim("python \\\n  --a='b' \\end{verbatim} `c`\n\n--d"),
    table,
    blocks.Group(HOSTILE[0], [blocks.Text('inside')]),
    blocks.Compared([blocks.Piece('a', blocks.Mark.LOST)], []),
  ]
  section = blocks.Section('s', HOSTILE[0], found)
  return blocks.Report(HOSTILE[0], [section])


@pytest.mark.skipif(bool(_why_not()), reason=_why_not())
def test_pdflatex_takes_what_people_are_called(tmp_path):
  compiled(tmp_path / 'report.tex', hostile())


@pytest.mark.skipif(bool(_why_not()), reason=_why_not())
def test_pdflatex_takes_a_run_with_its_figures(run, report_of):
  figure = matplotlib.figure.Figure(figsize=(3, 2))
  figure.subplots().plot([1, 2])
  folder = run / 'report' / 'figures'
  for form in ('png', 'pdf'):
    style.save(figure, folder / f'a_curve.{form}')
  picture = blocks.Picture(
    'curve', 'A curve', folder / 'a_curve.png', folder / 'a_curve.pdf'
  )
  said = compiled(run / 'report' / 'report.tex', report_of(run, [picture]))
  assert 'figures/a_curve.pdf' in said.replace('\n', '')
  assert 'Overfull' not in said


def test_nothing_that_tex_acts_on_is_left():
  escaped = latex_page.escaped(r'\a{b}$c$&%#_^~')
  assert escaped == (
    r'\textbackslash{}a\{b\}\$c\$\&\%\#\_\textasciicircum{}\textasciitilde{}'
  )


def test_letters_that_pdflatex_lacks_are_there_with_their_codes():
  assert latex_page.escaped('Ångström') == 'Ångström'
  assert latex_page.escaped('न') == r'\beyond{न}{U+0928}'


def test_tables_are_of_booktabs_with_captions_of_the_run(run, report_of):
  text = latex_page.text(report_of(run), pathlib.Path('/r/report.tex'))
  assert text.count(r'\begin{longtable}') == 4
  assert text.count(r'\bottomrule') == 4
  assert (
    r'\caption{12 utterances of run, the highest WER first}'
    in text.replace('\\caption*', '\\caption')
  )
