"""Markdown that shows what was said and does nothing of it."""

import pathlib

from fedjax_asr.report_pages import blocks, markdown_page

PAGE = pathlib.Path('/run/report/report.md')


def text_of(*found):
  report = blocks.Report('r', [blocks.Section('s', 'S', found)])
  return markdown_page.text(report, PAGE)


def test_neither_html_nor_markdown_of_a_transcript_is_left():
  said = '<script>alert(1)</script> [a](http://b) *c* `d` | e'
  text = text_of(blocks.Text(said))
  assert '<' not in text
  for escaped in (r'\[a\]', r'\*c\*', r'\`d\`', r'\| e', '&lt;script'):
    assert escaped in text


def test_a_line_that_would_begin_a_list_or_a_heading_is_text():
  for said in ('1. first', '# head', '- item', '+ item'):
    line = text_of(blocks.Text(said)).splitlines()[4]
    assert line != said
    assert line.replace('\\', '') == said
  assert '13.4%' in text_of(blocks.Text('13.4% of it'))


def test_a_table_has_a_cell_for_each_column_and_says_what_it_leaves_out():
  rows = [[blocks.Cell(f'a|{index}'), blocks.Cell('b')] for index in range(9)]
  columns = [blocks.Column('name'), blocks.Column('value', True)]
  text = text_of(blocks.Table('t', 'All', columns, rows, printed=3))
  assert 'All (the first 3 of 9)' in text
  lines = [line for line in text.splitlines() if line.startswith('|')]
  assert lines[1] == '| --- | --: |'
  assert len(lines) == 5
  assert all(line.replace(r'\|', '').count('|') == 3 for line in lines)


def test_figures_are_linked_from_where_the_page_is():
  picture = blocks.Picture('a', 'A', PAGE.parent / 'figures' / 'a b.png')
  assert '![A](figures/a%20b.png)' in text_of(picture)


def test_a_command_with_fences_stays_in_its_own():
  text = text_of(blocks.Verbatim('```\nrm'))
  assert '````\n```\nrm\n````' in text


def test_a_run_is_told_without_sound(run, report_of):
  text = markdown_page.text(report_of(run), run / 'report' / 'report.md')
  for words in ('## Summary', '95% interval', '## Speakers', 'worst: u00002'):
    assert words in text
  assert 'data:' not in text
  assert '## Config' not in text
