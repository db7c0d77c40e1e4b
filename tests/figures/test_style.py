"""Lines that are told apart, also by the colour-blind."""

import itertools

import numpy as np

from fedjax_asr.figures import style

# Machado, Oliveira and Fernandes (2009), of severity 1, on linear RGB.
_SIMULATED = {
  'normal': np.eye(3),
  'protanopia': [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  'deuteranopia': [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
  ],
  'tritanopia': [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.303900],
  ],
}
_XYZ = np.array(
  [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
_WHITE = np.array([0.9505, 1.0, 1.089])


def _linear(color):
  values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
  return np.where(
    values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
  )


def _lab(linear):
  ratios = np.clip(linear, 0, 1) @ _XYZ.T / _WHITE
  cubes = np.where(
    ratios > 0.008856, np.cbrt(ratios), 7.787 * ratios + 16 / 116
  )
  x, y, z = cubes
  return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_colours_differ_however_they_are_seen():
  for seen in _SIMULATED.values():
    labs = [_lab(_linear(each) @ np.transpose(seen)) for each in style.DISTINCT]
    for one, other in itertools.combinations(labs, 2):
      assert np.linalg.norm(one - other) > 25


def test_no_two_lines_look_alike():
  looks = [tuple(style.line(index).values()) for index in range(200)]
  assert len(set(looks)) == len(looks)


def test_lines_that_coincide_are_all_seen():
  looks = [style.line(index, 3 - index) for index in range(4)]
  for under, over in itertools.pairwise(looks):
    assert under['linewidth'] >= over['linewidth'] + 0.5
    assert under['markersize'] >= over['markersize'] + 1
