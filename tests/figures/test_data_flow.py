import json

import matplotlib.text
import numpy as np
import pytest
import untrained_run
from described_population import POPULATION

from fedjax_asr.figures import data_flow, drawn_run


@pytest.fixture
def run(tmp_path):
  untrained_run.write(tmp_path / 'run', untrained_run.small_config())
  (tmp_path / 'run' / 'population.json').write_text(json.dumps(POPULATION))
  return tmp_path / 'run'


def drawn(run):
  return data_flow.draw(drawn_run.DrawnRun(run))


def panel(figure, title):
  (axes,) = [each for each in figure.axes if each.get_title('left') == title]
  return axes


def test_counts_stand_at_their_boxes(run):
  said = [text.get_text() for text in drawn(run).findobj(matplotlib.text.Text)]
  # All that there was, what was left out of it, and what training has.
  assert said.count('110') == 2
  for told in ('6 bad', '104', '10 held out\n4 dropped', '90', '5\nclients'):
    assert told in said
  assert '6 of 4 clients\n6 steps of 8\n100/240 frames' in said
  # Before the first round.
  assert '?\nutterances' in said
  lines = [{'round': n, 'train/num_utterances': 10 * n} for n in (1, 2, 3)]
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (run / 'metrics.jsonl').write_text(text)
  said = [text.get_text() for text in drawn(run).findobj(matplotlib.text.Text)]
  assert '20\nutterances' in said
  assert '3 done' in said


def test_padding_of_each_bucket_is_of_all_rounds(run):
  title = 'frames computed, by frame bucket'
  assert not panel(drawn(run), title).patches
  lines = [
    {'round': 1, 'frames_computed/100': 300, 'padding_waste/100': 0.5},
    {'round': 2, 'frames_computed/100': 100, 'padding_waste/100': 0.1}
    | {'frames_computed/240': 400, 'padding_waste/240': 0.25},
  ]
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (run / 'metrics.jsonl').write_text(text)
  found = data_flow.padding_by_bucket(drawn_run.DrawnRun(run))
  assert found == {100: (400, pytest.approx(0.4)), 240: (400, 0.25)}
  axes = panel(drawn(run), title)
  heights = [bar.get_height() for bar in axes.patches]
  np.testing.assert_allclose(heights, [0.3, 0.375, 0.2, 0.125])


def test_labels_of_a_client_are_beside_those_of_all(run):
  (image,) = panel(drawn(run), 'labels by client, beside all').images
  skew = np.asarray(image.get_array())
  np.testing.assert_allclose(skew[0], 0, atol=0.05)
  assert skew[1, 0] < -3
  assert skew[1, 1] > 1.5
  assert skew[1, 2] < -3


def test_symbols_that_the_font_lacks_are_told_by_their_codes(run):
  axes = panel(drawn(run), 'labels of the training set')
  said = [label.get_text() for label in axes.get_xticklabels()]
  assert said == ['\u2423', 'a', 'U+0928']


def test_clients_that_never_took_part_are_counted(run):
  lines = [
    {'round': 1, 'client': ['one', 'three']},
    {'round': 2, 'client': ['one', 'four']},
  ]
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (run / 'clients.jsonl').write_text(text)
  axes = panel(drawn(run), 'rounds that a client took part in')
  bars = {round(bar.get_x() + bar.get_width() / 2): bar for bar in axes.patches}
  # Two of five never, two once, one twice.
  assert {n: bar.get_height() for n, bar in bars.items()} == {0: 2, 1: 2, 2: 1}


def test_a_run_of_before_is_told_apart(run):
  (run / 'population.json').unlink()
  with pytest.raises(drawn_run.Missing, match='population'):
    drawn(run)
