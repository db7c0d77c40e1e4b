import json

import matplotlib.image
import numpy as np
import pytest

from fedjax_asr import run_error
from fedjax_asr.figures import style, training

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
  assert image.shape[1] == style.WIDTH * style.DPI
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


def test_missing_and_empty_metrics_are_named(tmp_path):
  with pytest.raises(run_error.RunError, match=r'metrics\.jsonl: No such'):
    training.plot(tmp_path)
  _write(tmp_path, [])
  with pytest.raises(run_error.RunError, match=r'metrics\.jsonl is empty'):
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
