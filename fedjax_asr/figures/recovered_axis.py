"""The axis of what an attack recovers: SNR, and a floor for nothing."""

from typing import Any

import numpy as np

from fedjax_asr.figures import defence_points

# What is worse than this is as good as nothing: the mean of public speech, as a
# guess, has 0 dB and more.
LEAST_DB = 0.0
# Where nothing is drawn, and the end of the axis.
NOTHING_DB, _BOTTOM_DB = -14.0, -36.0
EXPLAINED = (
  f'at "nothing" the median utterance is refused or below {LEAST_DB:.0f} dB'
)


def height(snr_db: float | None) -> float:
  """Of a median on the axis."""
  if snr_db is None or snr_db < LEAST_DB:
    return NOTHING_DB
  return snr_db


def whisker(point: defence_points.Point) -> tuple[float, float]:
  """Ends of the interval of the median, on the axis."""
  low, high = point.interval
  middle = height(point.snr_db)
  # An end that is not known is the failure below, or none above.
  return min(height(low), middle), max(height(high), middle)


def finish(axes: Any, families: list[defence_points.Family]) -> None:
  """Ends, ticks and the line under which there is nothing."""
  tops = [whisker(point)[1] for family in families for point in family.points]
  top = max([*tops, 20.0])
  step = 20 if top < 110 else 40
  ticks = np.arange(0, top + 1, step)
  axes.set_ylim(_BOTTOM_DB, top * 1.12)
  axes.set_yticks(
    [NOTHING_DB, *ticks], ['nothing', *(f'{each:.0f}' for each in ticks)]
  )
