"""Lines that are told apart, also by the colour-blind."""

import itertools

import fontTools.fontBuilder
import fontTools.pens.ttGlyphPen
import matplotlib.colors
import matplotlib.figure
import matplotlib.font_manager
import matplotlib.image
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


def _font(path, family, letter):
  """A font of one letter, a square."""
  builder = fontTools.fontBuilder.FontBuilder(1000)
  builder.setupGlyphOrder(['.notdef', 'square'])
  builder.setupCharacterMap({ord(letter): 'square'})
  pen = fontTools.pens.ttGlyphPen.TTGlyphPen(None)
  pen.moveTo((100, 0))
  for point in ((900, 0), (900, 800), (100, 800)):
    pen.lineTo(point)
  pen.closePath()
  glyph = pen.glyph()
  builder.setupGlyf({'.notdef': glyph, 'square': glyph})
  builder.setupHorizontalMetrics({'.notdef': (1000, 0), 'square': (1000, 0)})
  builder.setupHorizontalHeader(ascent=900, descent=-100)
  builder.setupNameTable({'familyName': family, 'styleName': 'Regular'})
  builder.setupOS2()
  builder.setupPost()
  builder.save(path)


def test_a_font_of_the_machine_has_what_the_house_font_lacks(
  tmp_path, monkeypatch
):
  manager = matplotlib.font_manager.fontManager
  known = [
    each for each in manager.ttflist if each.name not in style.OTHER_FAMILIES
  ]
  monkeypatch.setattr(manager, 'ttflist', known)
  assert style.drawable('a\u0928') == 'aU+0928'
  _font(tmp_path / 'font.ttf', 'Noto Sans Devanagari', '\u0928')
  manager.addfont(tmp_path / 'font.ttf')
  assert style.drawable('a\u0928\u0929') == 'a\u0928U+0929'
  with style.context():
    figure = matplotlib.figure.Figure(figsize=(1, 1))
    figure.text(0.1, 0.1, '\u0928', fontsize=40)
    path = style.save(figure, tmp_path / 'letter.png')
  image = matplotlib.image.imread(path)
  ink = np.argwhere(image[..., 3] > 0.5)
  # A whole square: 0.8 of 40 points, at 300 DPI.
  wide, high = np.ptp(ink, axis=0) + 1
  assert abs(wide - 133) <= 3
  assert abs(high - 133) <= 3
  assert len(ink) > 0.95 * wide * high


def test_text_is_cut_where_it_would_be_too_wide():
  assert style.fitted('short', 2.0, 9) == 'short'
  wide, narrow = (
    style.fitted('w' * 200, 2.0, 9),
    style.fitted('i' * 200, 2.0, 9),
  )
  assert wide.endswith('\u2026')
  # A w is 0.82 of the letters' size, an i 0.28, the dots 1.
  assert len(wide) == 1 + (144 - 9) // (0.818 * 9)
  assert len(narrow) == 1 + (144 - 9) // (0.278 * 9)
