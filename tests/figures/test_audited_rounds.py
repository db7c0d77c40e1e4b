"""What a run gives away round by round: a record, and what is drawn of it."""

import json

import audit_record
import audited_rounds_figure
import matplotlib.text
import pytest

from fedjax_asr import run_error
from fedjax_asr.figures import audited_rounds, round_points, style

_TITLES = (
  'word error rate, held-out speakers',
  'epsilon',
  'membership, AUC',
  'membership, found at 1% false positives',
  'two updates of one speaker: equal error rate',
  'reconstruction of speech: SNR (dB)',
  'utterances reconstructed whole',
)


def attacked(*snrs):
  return [
    {
      'victim': f'c{index}',
      'utterance': f'u{index}',
      'snr_db': snr,
      'is_certified': snr is not None,
      'is_whole': snr is not None,
      'refused': '' if snr is not None else 'no end',
    }
    for index, snr in enumerate(snrs)
  ]


def row(index, noise=0.5, **others):
  return {
    'round': index,
    'noise_multiplier': noise,
    'seed': 0,
    'wer': 1 - index / 100,
    'epsilon': {'delta': 1e-6, 'extrapolated_epsilon_pld': index / 50},
    'audit': {
      'membership': audit_record.membership(),
      'speakers': audit_record.speakers(),
      'canaries': audit_record.canaries() if index else None,
    },
    'attack': attacked(40.0, 30.0, None),
  } | others


def drawn(*rows):
  return audited_rounds.draw(round_points.points(rows))


def panel(figure, title):
  (axes,) = (each for each in figure.axes if each.get_title('left') == title)
  return axes


def curve(axes, label):
  (line,) = (each for each in axes.lines if each.get_label() == label)
  return line


def said(figure):
  return ' '.join(
    text.get_text().replace('\n', ' ')
    for text in figure.findobj(matplotlib.text.Text)
  )


def test_every_panel_has_its_rounds_and_chance():
  figure = drawn(row(0), row(50))
  assert [axes.get_title('left') for axes in figure.axes] == list(_TITLES)
  wer = curve(panel(figure, _TITLES[0]), 'WER')
  assert list(wer.get_xdata()) == pytest.approx([0, 50], abs=1)
  assert list(wer.get_ydata()) == [1.0, 0.5]
  epsilon = panel(figure, 'epsilon')
  accounted = curve(epsilon, 'accounted, extrapolated population')
  assert list(accounted.get_ydata()) == [0.0, 1.0]
  # There are no canaries of round 0.
  proven = curve(epsilon, 'proven by canaries, at least')
  assert list(proven.get_ydata()) == [1.25]
  chances = [
    list(axes.lines[-1].get_ydata())
    for axes in figure.axes[2:5]
    if axes.lines[-1].get_linestyle() == ':'
  ]
  assert chances == [[0.5, 0.5], [0.01, 0.01], [0.5, 0.5]]


def test_epsilons_that_are_far_apart_are_of_logarithms():
  near, far = (
    drawn(
      row(0, audit={}),
      row(10, audit={}, epsilon={'epsilon_pld': low}),
      row(50, audit={}, epsilon={'epsilon_pld': 1.0}),
    )
    for low in (0.5, 0.01)
  )
  assert panel(near, 'epsilon').get_yscale() == 'linear'
  assert panel(far, 'epsilon').get_yscale() == 'symlog'


def test_bars_are_the_intervals_of_the_audit():
  figure = drawn(row(0), row(50))
  axes = panel(figure, _TITLES[4])
  ends = [
    [place[1] for place in each.get_segments()[0]] for each in axes.collections
  ]
  assert ends.count([0.125, 0.375]) == 4


def test_a_failure_is_inside_of_the_median_and_of_the_share():
  figure = drawn(row(50))
  snr = curve(panel(figure, _TITLES[5]), 'median utterance')
  assert list(snr.get_ydata()) == [30.0]
  whole = panel(figure, _TITLES[6])
  assert list(whole.lines[0].get_ydata()) == [pytest.approx(2 / 3)]
  (bar,) = whole.collections
  (_, low), (_, high) = bar.get_segments()[0]
  assert 0 < low < 2 / 3 < high < 1


@pytest.mark.parametrize(
  ('changes', 'reason'),
  [
    ({'wer': None}, 'no WER'),
    ({'audit': {'canaries': None}, 'epsilon': {}}, 'no finite epsilon'),
    ({'audit': {}}, 'no part membership'),
    ({'audit': {}}, 'no part speakers'),
    ({'attack': []}, 'no attack'),
    ({'attack': []}, 'no attack that says so'),
  ],
)
def test_a_series_that_is_missing_is_said_and_not_drawn(changes, reason):
  whole, lacking = drawn(row(0), row(50)), drawn(row(0) | changes)
  assert f'not measured: {reason}' not in said(whole)
  assert f'not measured: {reason}' in said(lacking)


def test_noises_are_told_apart_by_colour_and_by_name():
  figure = drawn(row(0), row(50), row(50, noise=0.0))
  axes = panel(figure, _TITLES[0])
  lines = [curve(axes, f'WER; {each}') for each in ('no noise', 'noise 0.5')]
  assert [each.get_color() for each in lines] == list(style.DISTINCT[:2])
  lacking = drawn(row(50, noise=0.0, attack=[]), row(50))
  legend = panel(lacking, _TITLES[5]).get_legend()
  assert [each.get_text() for each in legend.get_texts()] == [
    'median utterance; noise 0.5'
  ]
  # What no noise changes is there once, in the colour of none.
  speakers = panel(figure, _TITLES[4])
  labels = [each.get_label() for each in speakers.lines]
  assert labels.count('by the speech itself (not seen)') == 1
  speech = curve(speakers, 'by the speech itself (not seen)')
  assert speech.get_color() not in {each.get_color() for each in lines}


def test_a_single_epsilon_says_which_it_is():
  figure = drawn(row(0, audit={}), row(50, audit={}))
  legend = panel(figure, 'epsilon').get_legend()
  assert [each.get_text() for each in legend.get_texts()] == [
    'accounted, extrapolated population'
  ]


def test_what_failed_is_said():
  figure = drawn(row(50, errors={'speakers': 'it broke'}))
  assert 'Did not finish: speakers at round 50' in said(figure)


def test_the_command_draws_a_record(tmp_path, capsys):
  record, output = tmp_path / 'record.json', tmp_path / 'out.png'
  record.write_text(json.dumps({'points': [row(0), row(50)]}))
  assert audited_rounds_figure.main(['x', str(record), str(output)]) == 0
  assert output.read_bytes().startswith(b'\x89PNG')
  without = row(0)
  del without['round']
  record.write_text(json.dumps({'points': [without]}))
  capsys.readouterr()
  assert audited_rounds_figure.main(['x', str(record), str(output)]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert 'round' in line


def test_nothing_is_no_figure():
  with pytest.raises(run_error.RunError, match='no point'):
    drawn()
