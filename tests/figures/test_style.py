"""Lines that are told apart, also by the colour-blind."""

import itertools

import matplotlib.colors
import numpy as np
import pytest

from fedjax_asr.figures import color_vision, palette, style


@pytest.mark.parametrize('vision', color_vision.SEEN)
def test_colours_differ_however_they_are_seen(vision):
  assert len(color_vision.SEEN) == 4
  assert palette.least_distance(vision) > 25


def test_every_colour_of_text_and_lines_is_seen_on_light_and_dark_pages():
  colours = {*style.DISTINCT, style.BLUE, style.ORANGE, style.GREEN, style.INK}
  for colour, page in itertools.product(colours, style.PAGES):
    assert color_vision.contrast(colour, page) >= 3
  with style.context():
    figure = palette.draw()
  drawn = {
    matplotlib.colors.to_hex(text.get_color())
    for text in figure.findobj(matplotlib.text.Text)
    if text.get_text()
  }
  assert drawn == {style.INK}


def test_contrast_and_what_is_seen_are_as_published():
  assert color_vision.contrast('#000000', '#ffffff') == pytest.approx(21)
  # WCAG's example of the least grey of 4.5:1 on white.
  assert color_vision.contrast('#767676', '#ffffff') == pytest.approx(
    4.54, abs=0.01
  )
  for vision, matrix in color_vision.SEEN.items():
    # Greys stay greys: rows add up to 1.
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-5)
    assert color_vision.seen('#808080', vision) == '#808080'
  assert color_vision.seen('#2f81f7', 'normal') == '#2f81f7'
  # Without long cones red light is nearly dark.
  red = color_vision.lab('#ff0000', 'protanopia')[0]
  assert red < color_vision.lab('#ff0000')[0] - 10
  # Lab of sRGB's red, of D65.
  np.testing.assert_allclose(
    color_vision.lab('#ff0000'), (53.2, 80.1, 67.2), atol=0.2
  )


def test_no_two_lines_look_alike():
  looks = [tuple(style.line(index).values()) for index in range(200)]
  assert len(set(looks)) == len(looks)


def test_lines_that_coincide_are_all_seen():
  looks = [style.line(index, 3 - index) for index in range(4)]
  for under, over in itertools.pairwise(looks):
    assert under['linewidth'] >= over['linewidth'] + 0.5
    assert under['markersize'] >= over['markersize'] + 1
