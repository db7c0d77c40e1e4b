"""Frames by dictionary learning, which an attack is compared with."""

import numpy as np

from fedjax_asr import config
from fedjax_asr.attacks.ds2 import dictionary_frames

CFG = config.DemixingConfig(num_search_iterations=300)


def _truth(frames, units):
  rng = np.random.default_rng(0)
  values = np.maximum(rng.standard_normal((frames, units)) - 0.5, 0)
  return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_independent_sparse_vectors_are_found_and_no_others():
  truth = _truth(4, 300)
  found = dictionary_frames.frames(np.linalg.qr(truth.T)[0], CFG)
  assert len(found.directions) >= 1
  np.testing.assert_allclose((found.directions @ truth.T).max(1), 1, atol=1e-9)


def test_nothing_is_found_where_nothing_is_sparse():
  basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((300, 8)))
  assert len(dictionary_frames.frames(basis, CFG).directions) == 0
