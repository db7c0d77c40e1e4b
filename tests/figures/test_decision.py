"""What noise costs and saves: records, runs, and what is drawn of them."""

import json

import audit_record
import matplotlib.text
import numpy as np
import private_run
import pytest
import scipy.stats

from fedjax_asr import run_error
from fedjax_asr.figures import (
  decision,
  decision_points,
  drawn_run,
  gallery,
)


def said(figure):
  return ' '.join(
    text.get_text().replace('\n', ' ')
    for text in figure.findobj(matplotlib.text.Text)
  )


def row(noise, wer, **others):
  return {'noise_multiplier': noise, 'wer': wer} | others


def test_seeds_are_a_mean_with_the_interval_of_student():
  rows = [row(0.5, wer, seed=seed) for seed, wer in enumerate((0.1, 0.2, 0.6))]
  figure = decision.draw(rows)
  axes = figure.axes[0]
  assert list(axes.lines[0].get_ydata()) == [pytest.approx(0.3)]
  ((_, low), (_, high)) = axes.collections[0].get_segments()[0]
  expected = scipy.stats.t.interval(
    0.95, 2, 0.3, scipy.stats.sem([0.1, 0.2, 0.6])
  )
  np.testing.assert_allclose((low, high), expected)


def test_what_no_point_has_is_said_in_its_panel():
  text = said(decision.draw([row(0.0, 0.1), row(1.0, 0.2)]))
  assert 'not measured: no attack' in text
  assert 'not measured: no part speakers of an audit' in text


def test_a_record_says_what_failed_and_which_bugs_were_found():
  found = audit_record.canaries(proven=20.0)
  rows = [
    row(
      0.5,
      0.2,
      audit={'canaries': audit_record.canaries(), 'speakers': None},
      bugs={'no_clipping': found},
      errors={'speakers': 'it broke'},
      attack=[],
    )
  ]
  (point,) = decision_points.points(rows)
  assert point.values['proven'].value == 1.25
  assert point.values['bug/no_clipping'].value == 20.0
  assert 'snr' not in point.values
  text = said(decision.draw(rows))
  assert 'proven with a bug: no clipping' in text
  assert 'Did not finish: speakers at noise 0.5' in text


def test_an_attack_that_finds_nothing_of_most_has_no_snr():
  records = [
    {'utterance': name, 'snr_db': snr, 'is_certified': False, 'refused': ''}
    for name, snr in (('a', None), ('b', None), ('c', 30.0))
  ]
  (point,) = decision_points.points([row(0.5, 0.2, attack=records)])
  assert point.values['snr'].value == float('-inf')


def test_paths_are_from_the_record(tmp_path):
  audit_record.write(tmp_path / 'audits' / 'one')
  record = tmp_path / 'record.json'
  points = [row(0.5, 0.2, audit='audits/one')]
  record.write_text(json.dumps({'points': points}))
  (found,) = decision_points.points(decision_points.read(record))
  assert found.values['eer/update'].value == 0.25
  low, high = found.values['auc/utterances/lira'].interval
  assert low < found.values['auc/utterances/lira'].value < high


@pytest.mark.parametrize(
  'content', ['[]', '{"points": []}', '{"points": [{"wer": 0.1}]}']
)
def test_a_record_of_another_form_is_one_line(content, tmp_path):
  path = tmp_path / 'record.json'
  path.write_text(content)
  with pytest.raises(run_error.RunError, match=r'record\.json'):
    decision_points.read(path)


def test_runs_are_drawn_with_the_audits_inside_of_them(tmp_path):
  paths = [
    private_run.write(tmp_path / name, seed, central_noise_multiplier=noise)
    for name, seed, noise in (('a', 0, 0.75), ('b', 1, 0.75), ('c', 0, 2.0))
  ]
  audit_record.write(paths[0] / 'audit')
  found = {each.name: each for each in gallery.chosen(paths)}
  assert not found['decision'].missing
  rows, note = decision_points.of_runs(paths)
  assert not note
  points = decision_points.points(rows)
  assert [each.noise for each in points] == [0.75, 0.75, 2.0]
  assert points[0].values['proven'].value == 1.25
  assert 'proven' not in points[1].values
  # The lower of two ways, at the end.
  assert points[1].values['epsilon'].value == 12.75
  assert points[1].values['wer'].value == pytest.approx(0.35)


def test_runs_that_differ_otherwise_are_no_seeds_of_one(tmp_path):
  paths = [
    private_run.write(tmp_path / 'a'),
    private_run.write(tmp_path / 'b', seed=1, clip_norm=2.0),
  ]
  with pytest.raises(drawn_run.Missing, match=r'federated\.privacy\.clip_norm'):
    decision_points.of_runs(paths)


def test_what_else_differs_between_noises_is_said(tmp_path):
  paths = [
    private_run.write(tmp_path / 'a'),
    private_run.write(
      tmp_path / 'b', clip_norm=2.0, central_noise_multiplier=2.0
    ),
  ]
  rows, note = decision_points.of_runs(paths)
  assert note == 'Runs differ also in federated.privacy.clip_norm.'
  assert note in said(decision.draw(rows, note))
