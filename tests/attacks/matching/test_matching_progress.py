import numpy as np
import pytest

from fedjax_asr.attacks.matching import matching_progress


def test_what_was_saved_is_loaded(tmp_path):
  path = tmp_path / 'progress.npz'
  assert matching_progress.load(path, 'a') is None
  canvas = np.random.default_rng(0).standard_normal((2, 5, 3))
  for grid in (1, 2):
    made = matching_progress.Progress(grid, canvas * grid, 'a')
    matching_progress.save(path, made)
    loaded = matching_progress.load(path, 'a')
    assert loaded is not None
    assert (loaded.num_grids, loaded.fingerprint) == (grid, 'a')
    np.testing.assert_array_equal(loaded.canvas, canvas * grid)
  assert [item.name for item in tmp_path.iterdir()] == ['progress.npz']


def test_progress_of_another_attack_or_none_at_all_is_refused(tmp_path):
  path = tmp_path / 'progress.npz'
  made = matching_progress.Progress(1, np.zeros((1, 2, 3)), 'a')
  matching_progress.save(path, made)
  with pytest.raises(matching_progress.ProgressError, match='another update'):
    matching_progress.load(path, 'b')
  path.write_bytes(path.read_bytes()[:100])
  with pytest.raises(matching_progress.ProgressError, match='no progress'):
    matching_progress.load(path, 'a')
  path.write_text('not an archive')
  with pytest.raises(matching_progress.ProgressError, match='no progress'):
    matching_progress.load(path, 'a')
