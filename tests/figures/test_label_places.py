"""Labels that do not lie on each other, on points or on lines."""

import itertools

import matplotlib.figure
import matplotlib.text

from fedjax_asr.figures import label_places


def boxes(axes):
  """Of the texts, without the lines to their points."""
  renderer = axes.figure.canvas.get_renderer()
  for text in axes.texts:
    text.update_positions(renderer)
  return [
    matplotlib.text.Text.get_window_extent(text, renderer)
    for text in axes.texts
  ]


def test_labels_of_a_crowd_are_apart():
  from matplotlib.backends import backend_agg

  figure = matplotlib.figure.Figure(figsize=(4, 3))
  backend_agg.FigureCanvasAgg(figure)
  axes = figure.subplots()
  points = [(0.5, 0.5), (0.52, 0.5), (0.54, 0.51), (0.5, 0.53), (0.98, 0.5)]
  axes.scatter(*zip(*points, strict=True))
  axes.set_xlim(0, 1)
  axes.set_ylim(0, 1)
  figure.canvas.draw()
  line = [(0.1, 0.5), (0.9, 0.5)]
  label_places.place(
    axes, points, ['one', 'two', 'three', 'four', 'end'], [line]
  )
  found = boxes(axes)
  for one, other in itertools.combinations(found, 2):
    assert not one.overlaps(other)
  frame = axes.get_window_extent()
  row = axes.transData.transform((0.5, 0.5))[1]
  for box in found:
    assert frame.x0 <= box.x0
    assert box.x1 <= frame.x1
  for box in found[:4]:
    assert not box.y0 < row < box.y1
