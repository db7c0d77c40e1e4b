"""What is drawn of an audit, of all of its parts or of some."""

import audit_record
import matplotlib.text
import pytest

from fedjax_asr import run_error
from fedjax_asr.figures import audit_gallery, drawn_audit, gallery

NAMES = {'canaries', 'membership', 'speakers', 'attributes', 'exposure'}


def drawn(path):
  return {each.name: each for each in gallery.chosen([path])}


def said(figure):
  return ' '.join(
    text.get_text().replace('\n', ' ')
    for text in figure.findobj(matplotlib.text.Text)
  )


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  return drawn(audit_record.write(tmp_path_factory.mktemp('audit') / 'audit'))


def test_each_part_has_its_figures(whole):
  assert set(whole) == NAMES
  assert not any(each.missing for each in whole.values())


def test_canaries_stand_beside_what_was_promised(whole):
  text = said(whole['canaries'].figure)
  # The lower of two ways of accounting.
  assert 'accounted: 8.5' in text
  assert 'proven: epsilon is 1.25 or more' in text
  assert 'more than was promised' not in text


def test_a_broken_promise_is_said(tmp_path):
  path = audit_record.write(
    tmp_path / 'audit', canaries=audit_record.canaries(proven=8.75)
  )
  assert 'more than was promised' in said(drawn(path)['canaries'].figure)


def test_scores_that_earlier_versions_did_not_keep_are_said(tmp_path):
  part = audit_record.canaries()
  for score in part['scores'].values():
    score.pop('scores_in', None)
    score.pop('scores_out', None)
  path = audit_record.write(tmp_path / 'audit', canaries=part)
  assert 'audit.json has no scores' in said(drawn(path)['canaries'].figure)


def test_a_panel_without_a_curve_says_why(whole):
  text = said(whole['membership'].figure)
  assert '1 speakers are non-members; want 2 or more' in text
  assert 'does not say the sex' in said(whole['attributes'].figure)


def test_only_sentences_whose_client_was_drawn_are_counted(whole):
  text = said(whole['exposure'].figure)
  assert '1 of 2 read' in text
  assert 'none was trained on' in text
  assert 'Not drawn: 2' in text


def test_a_part_that_is_missing_is_said_and_the_others_are_drawn(tmp_path):
  path = audit_record.write(
    tmp_path / 'audit', speakers={'missing': 'too few'}, exposure=None
  )
  found = drawn(path)
  assert found['speakers'].missing == 'speakers: too few'
  assert 'has no exposure' in found['exposure'].missing
  assert not found['canaries'].missing
  names = {each.stem for each in audit_gallery.plot(path)}
  assert names == {'canaries', 'membership'}


@pytest.mark.parametrize('content', ['[]', '{', '{"canaries": 1}'])
def test_a_damaged_file_is_said(content, tmp_path):
  path = audit_record.write(tmp_path / 'audit')
  drawn_audit.DrawnAudit(path).files.audit.write_text(content)
  assert all(each.missing for each in drawn(path).values())


def test_several_audits_are_drawn_by_their_runs(tmp_path):
  paths = [audit_record.write(tmp_path / name) for name in 'ab']
  with pytest.raises(run_error.RunError, match='2 directories of the job'):
    gallery.chosen(paths)
