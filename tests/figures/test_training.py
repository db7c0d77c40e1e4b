import json

import matplotlib.image
import numpy as np
import pytest

from fedjax_asr import run_error
from fedjax_asr.figures import drawn_run, style, training

_EVALUATED = {
  'train/loss': 9.0,
  'eval/loss': 8.0,
  'eval/wer': 0.5,
  'eval/cer': 0.25,
  'eval/utterance_wer': 1.5,
  'eval/utterance_cer': None,
}


def _write(run, records):
  text = ''.join(json.dumps(record) + '\n' for record in records)
  (run / 'metrics.jsonl').write_text(text)


def test_figure_is_a_transparent_png_of_300_dpi(tmp_path):
  _write(tmp_path, [{'round': i} | _EVALUATED for i in range(1, 50)])
  path = training.plot(tmp_path)
  assert path == tmp_path / 'figures' / 'training_progress.png'
  image = matplotlib.image.imread(path)
  assert image.shape[1] == 2 * style.WIDTH * style.DPI
  assert image[0, 0, 3] == 0
  assert image[..., 3].max() == 1


def test_every_series_is_drawn_in_its_colour(tmp_path):
  _write(tmp_path, [{'round': i} | _EVALUATED for i in (1, 2)])
  image = matplotlib.image.imread(training.plot(tmp_path))
  for color in (style.GREEN, style.BLUE, style.ORANGE):
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    assert (np.abs(image[..., :3] * 255 - wanted).max(-1) < 1).sum() > 100


@pytest.mark.parametrize(
  'records',
  [
    [{'round': 1}],
    [{'round': 1, 'train/loss': None}],
    [{'round': 1} | _EVALUATED],
    [{'round': 1, 'train/loss': 3.0}, {'round': 2, 'eval/wer': 1.0}],
  ],
)
def test_rounds_without_values_are_left_out(tmp_path, records):
  _write(tmp_path, records)
  assert training.plot(tmp_path).stat().st_size > 10_000


def test_a_single_round_is_seen_and_stands_at_a_whole_number(tmp_path):
  record = {'round': 3, 'learning_rate': 0.5, 'train/loss': float('nan')}
  _write(tmp_path, [record])
  figure = training.draw(drawn_run.DrawnRun(tmp_path))
  axes = {each.get_title('left'): each for each in figure.axes}
  (line,) = axes['learning rates'].get_lines()
  assert line.get_marker() == 'o'
  assert axes['learning rates'].get_xlim() == (2, 4)
  # What is not finite is no value.
  assert not axes['CTC loss (nats per utterance)'].get_lines()


def test_missing_and_empty_metrics_are_named(tmp_path):
  with pytest.raises(run_error.RunError, match=r'metrics\.jsonl: No such'):
    training.plot(tmp_path)
  _write(tmp_path, [])
  with pytest.raises(
    run_error.RunError, match=r'metrics\.jsonl has no round yet'
  ):
    training.plot(tmp_path)


def _luminance(color):
  channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
  linear = [
    c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
    for c in channels
  ]
  return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize('page', ['#ffffff', '#0d1117'])
@pytest.mark.parametrize(
  'color',
  [style.INK, style.GREEN, *style.DISTINCT],
)
def test_colours_have_contrast_three_on_light_and_dark(color, page):
  low, high = sorted([_luminance(color), _luminance(page)])
  assert (high + 0.05) / (low + 0.05) >= 3


def _axes(tmp_path, records):
  _write(tmp_path, records)
  return training.draw(drawn_run.DrawnRun(tmp_path)).axes


def _line(axes, label):
  (line,) = [each for each in axes.get_lines() if each.get_label() == label]
  return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def test_the_round_with_the_lowest_wer_is_marked(tmp_path):
  wers = (0.9, 0.3, 0.4)
  records = [{'round': i + 1, 'eval/wer': wer} for i, wer in enumerate(wers)]
  rounds, rates = _line(
    _axes(tmp_path, records)[1], 'lowest WER: 30.0%, round 2'
  )
  assert (rounds, rates) == (2, 0.3)


def test_norms_have_a_band_of_what_is_near(tmp_path):
  rng = np.random.default_rng(0)
  norms = rng.lognormal(size=60)
  records = [
    {'round': i + 1, 'train/gradient_norm': norm}
    for i, norm in enumerate(norms)
  ]
  axes = _axes(tmp_path, records)[2]
  rounds, middle = _line(axes, 'gradient of a client')
  # A twentieth of 60 rounds are 3.
  near = np.stack([norms[:-2], norms[1:-1], norms[2:]])
  np.testing.assert_allclose(rounds, np.arange(2, 60))
  np.testing.assert_allclose(middle, np.median(near, axis=0))
  (band,) = axes.collections
  low, high = band.get_datalim(axes.transData).intervaly
  assert low == pytest.approx(np.quantile(near, 0.1, axis=0).min())
  assert high == pytest.approx(np.quantile(near, 0.9, axis=0).max())
  assert axes.get_yscale() == 'log'


def test_resumed_rounds_are_marked_in_every_panel(tmp_path):
  records = [{'round': i, 'train/loss': 5.0} for i in range(1, 8)]
  records[0]['compile_seconds'] = records[4]['compile_seconds'] = 1.0
  panels = _axes(tmp_path, records)
  for axes in panels:
    vertical = [
      line for line in axes.get_lines() if line.get_linestyle() == ':'
    ]
    assert [line.get_xdata()[0] for line in vertical] == [4.5]
  assert len(panels) == 6


def test_rates_and_speed_are_those_of_the_rounds(tmp_path):
  records = [
    {
      'round': 1,
      'learning_rate': 0.3,
      'server_learning_rate': 0.01,
      'clients_per_second': 4.0,
      'times_real_time': 120.0,
      'padding_waste': 0.25,
    }
  ]
  panels = _axes(tmp_path, records)
  assert _line(panels[3], 'client')[1] == 0.3
  assert _line(panels[3], 'server')[1] == 0.01
  assert _line(panels[4], 'clients a second')[1] == 4
  assert _line(panels[4], 'minutes of speech a second')[1] == 2
  assert _line(panels[5], 'padding')[1] == 0.25
