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
  for told in ('110', '6 bad\n4 dropped', '10\nheld out', '90', '5\nclients'):
    assert told in said
  assert '6 blocks of 4' in said
  assert '6 steps of 8\n100/240 frames' in said


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
