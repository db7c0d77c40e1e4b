"""Colours as they are seen with and without each kind of cone."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

Rgb = Float64[np.ndarray, '3']

# Machado, Oliveira and Fernandes (2009), of severity 1, on linear RGB.
SEEN: Mapping[str, Float64[np.ndarray, '3 3']] = {
  'normal': np.eye(3),
  'deuteranopia': np.array(
    [
      [0.367322, 0.860646, -0.227968],
      [0.280085, 0.672501, 0.047413],
      [-0.011820, 0.042940, 0.968881],
    ]
  ),
  'protanopia': np.array(
    [
      [0.152286, 1.052583, -0.204868],
      [0.114503, 0.786281, 0.099216],
      [-0.003882, -0.048116, 1.051998],
    ]
  ),
  'tritanopia': np.array(
    [
      [1.255528, -0.076749, -0.178779],
      [-0.078411, 0.930809, 0.147602],
      [0.004733, 0.691367, 0.303900],
    ]
  ),
}
# Of sRGB to CIE XYZ, and the white of D65.
_XYZ = np.array(
  [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
_WHITE = np.array([0.9505, 1.0, 1.089])


def linear(color: str) -> Rgb:
  """Light of a colour such as '#2f81f7', 0 to 1."""
  values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
  return np.where(
    values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
  )


def seen(color: str, vision: str) -> str:
  """What a colour looks like to one of `SEEN`, as '#rrggbb'."""
  light = np.clip(SEEN[vision] @ linear(color), 0, 1)
  coded = np.where(
    light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
  )
  return '#' + ''.join(f'{round(255 * float(each)):02x}' for each in coded)


def lab(color: str, vision: str = 'normal') -> Rgb:
  """CIE Lab of what is seen; a distance of 2 can just be told."""
  light = np.clip(SEEN[vision] @ linear(color), 0, 1)
  ratios = _XYZ @ light / _WHITE
  cubes = np.where(
    ratios > 0.008856, np.cbrt(ratios), 7.787 * ratios + 16 / 116
  )
  x, y, z = cubes
  return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
  """From 1 to 21, as WCAG 2 has it."""
  bright, dark = sorted(
    (float(_XYZ[1] @ linear(color)) for color in (one, other)), reverse=True
  )
  return (bright + 0.05) / (dark + 0.05)
