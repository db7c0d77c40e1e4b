"""What a private run has spent; of others there is nothing to be missed."""

import matplotlib.text
import private_run
import pytest

from fedjax_asr.figures import drawn_run, gallery, privacy_spent


def said(figure):
  return ' '.join(
    text.get_text().replace('\n', ' ')
    for text in figure.findobj(matplotlib.text.Text)
  )


def test_each_epsilon_has_a_line_and_what_is_not_finite_is_said(tmp_path):
  run = drawn_run.DrawnRun(private_run.write(tmp_path / 'run'))
  figure = privacy_spent.draw(run)
  lines = {
    line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines
  }
  assert lines['this run, by PLD: 12.8'] == [4.25, 8.5, 12.75]
  assert lines['this run, by RDP: 15'] == [5.0, 10.0, 15.0]
  assert any('10,000 clients, by RDP: 1.5' in label for label in lines)
  text = said(figure)
  assert 'delta 1e-05' in text
  assert 'mu 1.5' in text
  assert '12.5% of the members' in text
  assert 'No finite epsilon is known: extrapolated to 10,000' in text


def test_a_run_without_noise_has_no_such_figure(tmp_path):
  path = private_run.write(tmp_path / 'run', central_noise_multiplier=0.0)
  run = drawn_run.DrawnRun(path)
  assert 'privacy_spent' not in gallery.of_run(run)
  with pytest.raises(drawn_run.Missing, match='no noise'):
    privacy_spent.draw(run)


def test_a_run_with_noise_has_it(tmp_path):
  run = drawn_run.DrawnRun(private_run.write(tmp_path / 'run'))
  assert set(gallery.of_run(run)) - set(gallery.FIGURES) == {'privacy_spent'}
