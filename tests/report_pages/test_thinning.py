"""Long curves keep what a reader would miss."""

import numpy as np

from fedjax_asr.report_pages import thinning


def test_extremes_and_ends_are_kept_of_each_line():
  rng = np.random.default_rng(0)
  lines = [rng.normal(size=10_000), rng.normal(size=10_000)]
  lines[0][4321] = 50
  lines[1][1234] = -50
  lines[1][5000:6000] = np.nan
  kept = thinning.kept(lines, 100)
  assert len(kept) <= 2 + 4 * 100
  assert {0, 9999, 4321, 1234} <= set(kept)
  for line in lines:
    # Of each hundredth, the range that the whole curve has there.
    for part in np.arange(10_000).reshape(100, 100):
      inside = line[np.intersect1d(kept, part)]
      if np.isfinite(line[part]).any():
        assert np.nanmin(inside) == np.nanmin(line[part])
        assert np.nanmax(inside) == np.nanmax(line[part])


def test_a_short_curve_is_whole():
  assert thinning.kept([np.arange(7.0)], 4).tolist() == [*range(7)]
