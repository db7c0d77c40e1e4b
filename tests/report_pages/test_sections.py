"""What a run lacks is said in its place, and the rest is there."""

import json
import pathlib
import shutil

import pytest

from fedjax_asr import config, run_files
from fedjax_asr.figures import drawn_run
from fedjax_asr.report_pages import (
  blocks,
  html_page,
  latex_page,
  markdown_page,
  pages,
  sections,
)

PAGE = pathlib.Path('/report/report.html')


def said(report, name):
  """What is absent in a section."""
  (section,) = [each for each in report.sections if each.name == name]
  found = blocks.inside(section.blocks)
  return [each.reason for each in found if isinstance(each, blocks.Absent)]


def of_kind(report, kind):
  found = [block for each in report.sections for block in each.blocks]
  return [each for each in blocks.inside(found) if isinstance(each, kind)]


def rows(run):
  return (run / 'metrics.jsonl').read_text().splitlines()


def rewrite(run, change):
  records = [json.loads(line) for line in rows(run)]
  for record in records:
    change(record)
  lines = [json.dumps(record) for record in records]
  (run / 'metrics.jsonl').write_text('\n'.join(lines) + '\n')


def test_a_whole_run_lacks_checkpoints_and_figures_that_nobody_drew(
  run, report_of
):
  report = report_of(run)
  lacking = {each.name for each in report.sections if said(report, each.name)}
  assert lacking == {'summary', 'gallery'}
  (reason,) = said(report, 'summary')
  assert reason.startswith('No checkpoint of it can be read')
  (text,) = [
    each.text for each in report.sections[0].blocks if hasattr(each, 'text')
  ][:1]
  for words in ('DeepSpeech 2', 'fedavg', '50 clients', 'All 20 rounds'):
    assert words in text
  assert text.count('95% interval over speakers') == 2


def test_a_finished_and_an_unfinished_run_say_so(run, report_of):
  (run / 'metrics.jsonl').write_text('\n'.join(rows(run)[:7]) + '\n')
  report = report_of(run)
  (text,) = [
    each.text
    for each in report.sections[0].blocks
    if isinstance(each, blocks.Text) and 'DeepSpeech' in each.text
  ]
  assert 'It has done 7 of 20 rounds.' in text


def test_a_line_that_was_cut_off_is_passed_over(run, report_of):
  lines = rows(run)
  (run / 'metrics.jsonl').write_text('\n'.join(lines)[:-25])
  (charts,) = of_kind(report_of(run), blocks.Charts)
  assert charts.charts[0].rounds[-1] == 19


def test_never_evaluated(run, report_of):
  for name in ('speakers.json', 'transcripts.json'):
    (run / name).unlink()
  shutil.rmtree(run / 'examples')
  rewrite(
    run,
    lambda record: [
      record.pop(f'eval/{name}', 0) for name in ('wer', 'cer', 'loss')
    ],
  )
  report = report_of(run)
  assert said(report, 'curves') == ['The run was never evaluated.']
  for name, file in (
    ('rates', 'transcripts.json'),
    ('speakers', 'speakers.json'),
    ('utterances', 'transcripts.json'),
    ('listening', 'examples/examples.json'),
  ):
    (reason,) = said(report, name)
    assert file in reason
    assert str(run) not in reason
  names = [chart.name for chart in of_kind(report, blocks.Charts)[0].charts]
  assert names == ['loss', 'norms', 'learning_rates', 'speed']


def test_one_speaker_has_no_interval_over_speakers(run, report_of):
  file = run / 'transcripts.json'
  values = json.loads(file.read_text())
  for row in values['transcripts']:
    row['speaker'] = 'alone'
  file.write_text(json.dumps(values))
  table = next(
    each
    for each in of_kind(report_of(run), blocks.Table)
    if each.name == 'rates'
  )
  assert [row[2].text for row in table.rows] == ['one speaker: none'] * 2
  assert ' to ' in table.rows[0][3].text


def test_one_round_and_losses_that_are_not_finite(run, report_of):
  (run / 'metrics.jsonl').write_text(rows(run)[0] + '\n')
  (charts,) = of_kind(report_of(run), blocks.Charts)
  assert all(len(chart.rounds) == 1 for chart in charts.charts)
  rewrite(run, lambda record: record.update({'train/loss': None}))
  (charts,) = of_kind(report_of(run), blocks.Charts)
  loss = charts.charts[0]
  assert loss.lines[0].values == [None]
  assert (
    loss.note == 'training clients: 1 round without a value that can be drawn.'
  )
  # As Python wrote it before null was.
  rewrite(run, lambda record: record.update({'train/loss': float('nan')}))
  assert 'NaN' in rows(run)[0]
  assert (
    'NaN' not in html_page.text(report_of(run), PAGE).partition('uPlot=')[0]
  )


@pytest.mark.parametrize('is_empty', [False, True])
def test_without_sound_utterances_are_there(is_empty, run, report_of):
  for file in (run / 'examples').glob('*.ogg'):
    file.unlink()
    if is_empty:
      file.touch()
  report = report_of(run)
  assert not of_kind(report, blocks.Clips)
  assert set(said(report, 'listening')) == {'Its sound was not kept.'}
  table = next(
    each for each in of_kind(report, blocks.Table) if each.name == 'utterances'
  )
  labels = [column.label for column in table.columns]
  assert 'sound' not in labels
  assert 'seconds' in labels
  assert len(table.rows) == 12


def test_a_name_of_a_sound_does_not_lead_out_of_its_folder(run, report_of):
  file = run / 'examples' / 'examples.json'
  values = json.loads(file.read_text())
  values[0]['audio'] = '../../secret.ogg'
  (run.parent / 'secret.ogg').write_bytes(b'OggS')
  file.write_text(json.dumps(values))
  assert 'secret' not in html_page.text(report_of(run), PAGE)


@pytest.mark.parametrize('content', ['{}', '[{"a": 1}]', '{"a"'])
@pytest.mark.parametrize(
  ('name', 'section'),
  [
    ('metrics.jsonl', 'curves'),
    ('speakers.json', 'speakers'),
    ('transcripts.json', 'utterances'),
    ('transcripts.json', 'rates'),
    ('examples/examples.json', 'listening'),
    ('population.json', 'summary'),
    ('versions.json', 'summary'),
  ],
)
def test_files_of_another_version_are_named(
  name, section, content, run, report_of
):
  if 'transcripts' in name and section == 'utterances':
    shutil.rmtree(run / 'examples')
  # A last line that is no object is one that was cut off.
  (run / name).write_text(f'{content}\n{content}\n')
  if name != 'metrics.jsonl':
    (run / name).write_text(content)
  report = report_of(run)
  assert said(report, section)
  for write in (html_page.text, markdown_page.text, latex_page.text):
    assert write(report, PAGE)


@pytest.mark.parametrize('content', ['{}', '{"job": "train", "never": 1}', '{'])
def test_a_config_of_another_version_leaves_the_rest(content, run, report_of):
  (run / 'config.json').write_text(content)
  report = report_of(run)
  assert of_kind(report, blocks.Charts)
  assert any(
    content in each.text for each in of_kind(report, blocks.Verbatim)
  ) or (content.startswith('{"job"'))


def test_long_and_right_to_left_names_are_shown_as_they_are(run, report_of):
  file = run / 'speakers.json'
  values = json.loads(file.read_text())
  score = next(iter(values['speakers'].values()))
  names = ['n' * 100, 'דובר']
  values['speakers'] |= {name: score for name in names}
  file.write_text(json.dumps(values))
  page = html_page.text(report_of(run), PAGE)
  for name in names:
    assert (
      f'<td role="cell" dir="auto" data-label="speaker" data-value="{name}">'
      in page
    )


def test_names_that_are_not_utf8_are_spelled_out(run):
  for name in ('speakers.json', 'transcripts.json', 'examples/examples.json'):
    text = (run / name).read_text()
    (run / name).write_text(text.replace('"u00000', '"\\udcffu'))
  found = drawn_run.DrawnRun(run)
  (run / 'report').mkdir()
  written = pages.write(
    sections.report([found], []), run_files.RunFiles(run / 'report')
  )
  assert [each.suffix for each in written] == ['.html', '.md', '.tex']
  assert '\\udcffu' in written[0].read_text(encoding='utf-8')


def test_other_jobs_have_a_summary(run, report_of):
  cfg = config.Config(job=config.Job.EXPORT)
  (run / 'config.json').write_text(json.dumps(config.as_dict(cfg)))
  names = [each.name for each in report_of(run).sections]
  assert names == ['summary', 'gallery', 'provenance']
