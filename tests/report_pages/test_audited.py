"""An audit in tables, each number with its interval and count."""

import audit_record

from fedjax_asr.report_pages import blocks


def tables(report):
  found = blocks.inside(
    [block for each in report.sections for block in each.blocks]
  )
  return {each.name: each for each in found if isinstance(each, blocks.Table)}


def texts(report, kind=blocks.Text):
  found = blocks.inside(
    [block for each in report.sections for block in each.blocks]
  )
  return ' '.join(
    each.text if isinstance(each, blocks.Text) else each.reason
    for each in found
    if isinstance(each, kind)
  )


def row(table, index=0):
  return [cell.text for cell in table.rows[index]]


def test_each_part_is_told_with_intervals_and_counts(tmp_path, report_of):
  report = report_of(audit_record.write(tmp_path / 'audit'))
  found = tables(report)
  assert '30 canaries in and 31 out' in found['canaries'].caption
  assert row(found['canaries'], 1) == [
    'final cosine',
    '1.25',
    '0.75',
    '2.5',
    '3.5 (3 to 4)',
    '0.800',
    '10.0%',
  ]
  member = row(found['membership-utterances'], 1)
  assert member[:3] == ['LiRA', '200', '150']
  assert ' to ' in member[3]
  # 150 others resolve one percent, and not a thousandth.
  assert member[4] == 'too few'
  assert ' to ' in member[5]
  assert row(found['linkage'])[2:5] == [
    '10',
    '90',
    '25.0% (12.5% to 37.5%)',
  ]
  assert row(found['attributes-rate'])[-1] == '0.40 (-0.10 to 0.80)'
  assert row(found['exposure'], 1)[:5] == ['4', '2', '2', '4.00', '1.00']
  absent = texts(report, blocks.Absent)
  for words in (
    '1 speakers are non-members',
    'does not say the sex',
    'no beam here',
    '0 speakers are held out',
  ):
    assert words in absent


def test_versions_are_compared_with_those_of_the_run(tmp_path, report_of):
  report = report_of(audit_record.write(tmp_path / 'audit'))
  assert 'by the versions that the run was trained by' in texts(report)
  other = audit_record.VERSIONS | {'commit': 'b' * 40}
  report = report_of(audit_record.write(tmp_path / 'other', run_versions=other))
  assert 'by other versions than the run' in texts(report)
  assert [row(tables(report)['versions'])] == [
    ['commit', 'b' * 10, 'a' * 10],
  ]


def test_a_broken_promise_is_said(tmp_path, report_of):
  whole = report_of(audit_record.write(tmp_path / 'audit'))
  assert 'The promise is broken' not in texts(whole)
  broken = audit_record.canaries(proven=9.0)
  report = report_of(audit_record.write(tmp_path / 'other', canaries=broken))
  assert 'The promise is broken.' in texts(report)


def test_parts_that_are_not_there_leave_the_others(tmp_path, report_of):
  path = audit_record.write(tmp_path / 'audit', canaries=None, exposure=None)
  report = report_of(path)
  assert 'has no canaries' in texts(report, blocks.Absent)
  assert set(tables(report)) > {'linkage', 'membership-utterances'}
  (path / 'audit.json').unlink()
  report = report_of(path)
  assert 'The run has no audit.json.' in texts(report, blocks.Absent)
