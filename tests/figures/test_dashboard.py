import json

import matplotlib.text
import numpy as np
import pytest
import untrained_run

from fedjax_asr.decoding import scores
from fedjax_asr.figures import dashboard, drawn_run


def heard(*rows):
  return [
    scores.Transcript(str(index), speaker, said, found)
    for index, (speaker, said, found) in enumerate(rows)
  ]


ROWS = heard(
  ('anna', 'one two', 'one two'),
  ('anna', 'three', 'tree'),
  ('bert', 'four five six', 'four'),
  ('carl', 'seven', 'seven'),
)


@pytest.fixture
def run(tmp_path):
  path = tmp_path / 'run'
  untrained_run.write(path, untrained_run.small_config())
  lines = [
    {'round': 1, 'waiting_seconds': 1.0, 'computing_seconds': 5.0},
    {
      'round': 2,
      'waiting_seconds': 1.0,
      'computing_seconds': 2.0,
      'evaluation_seconds': 1.0,
      'eval/wer': 0.25,
      'clients_per_second': 4.0,
      'memory/host_peak_gb': 1.5,
    },
    {'round': 3, 'eval/wer': 0.5, 'clients_per_second': 6.0},
  ]
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (path / 'metrics.jsonl').write_text(text)
  (path / 'versions.json').write_text('[{"devices": ["cpu", "cpu"]}]')
  record = {'round': 3, 'transcripts': [row._asdict() for row in ROWS]}
  (path / 'transcripts.json').write_text(json.dumps(record))
  return path


def texts(run):
  figure = dashboard.draw(drawn_run.DrawnRun(run))
  return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def test_nine_tenths_of_a_fall():
  assert dashboard.converged(np.array([10.0, 2.0, 0.9, 0.0, 0.5])) == 2
  assert dashboard.converged(np.array([1.0, 1.0, 2.0])) is None
  assert dashboard.converged(np.array([3.0])) is None


def test_headline_has_the_last_and_the_lowest(run):
  drawing = drawn_run.DrawnRun(run)
  found = dict(dashboard.headline(drawing, drawing.metrics))
  assert found['rounds'] == '3'
  assert found['WER, last'] == '50.0%'
  assert found['WER, lowest'] == '25.0%'
  assert found['clients a second'] == '5'
  assert found['host memory'] == '1.5 GB'
  assert found['on'] == '2 cpu'


def test_the_parts_of_the_time_add_up(run):
  parts = dashboard.split(drawn_run.DrawnRun(run).metrics)
  assert parts == {
    'waiting for a cohort': 2.0,
    'computing': 7.0,
    'evaluation': 1.0,
  }
  said = texts(run)
  assert 'where 10 s went' in said
  assert 'computing: 70%' in said


def test_a_run_of_before_has_its_rounds(run):
  (run / 'metrics.jsonl').write_text('{"round": 1, "round_seconds": 3.0}\n')
  parts = dashboard.split(drawn_run.DrawnRun(run).metrics)
  assert parts == {'rounds': 3.0}


def test_lorenz_curve_and_gini_by_hand():
  found = scores.score_speakers(ROWS)
  # WER 0, 1/3 and 2/3.
  shares, gini = dashboard.lorenz(found)
  np.testing.assert_allclose(shares, [0, 0, 1 / 3, 1])
  # The area below: (0 + 1/6 + 2/3) / 3.
  assert gini == pytest.approx(1 - 2 * (1 / 6 + 2 / 3) / 3)
  alike = scores.score_speakers(heard(('a', 'x y', 'x'), ('b', 'x y', 'y')))
  assert dashboard.lorenz(alike)[1] == pytest.approx(0)
  right = scores.score_speakers(heard(('a', 'x', 'x'), ('b', 'x', 'x')))
  assert dashboard.lorenz(right)[1] == 0


def test_the_worst_come_first(run):
  rows = dashboard.worst(ROWS, True)
  assert [each.reference for _, each in rows][:2] == ['three', 'four five six']
  assert [rate for rate, _ in rows] == pytest.approx([1, 2 / 3, 0, 0])
  said = texts(run)
  assert said.index('three') < said.index('four five six')


def test_markup_and_long_names_are_text(run):
  rows = heard(('$x' * 60, '$\\frac{1}{0}$ ' + 'word ' * 50, '<script>'))
  record = {'round': 3, 'transcripts': [row._asdict() for row in rows]}
  (run / 'transcripts.json').write_text(json.dumps(record))
  said = texts(run)
  assert '<script>' in said
  assert any(each.endswith('\u2026') for each in said)


@pytest.mark.parametrize('damage', [None, '[]', '{"transcripts": [{}]}'])
def test_without_transcripts_the_rest_is_drawn(run, damage):
  path = run / 'transcripts.json'
  path.unlink() if damage is None else path.write_text(damage)
  said = texts(run)
  assert 'WER, last' in said
  assert any('transcripts.json' in each for each in said)
