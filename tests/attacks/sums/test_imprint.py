"""An imprint, and what is read by it, against planted windows."""

import jax
import numpy as np
import planted_imprint
import pytest
import tiny_victim

from fedjax_asr import config
from fedjax_asr.attacks import context_windows, observation
from fedjax_asr.attacks.sums import (
  imprint,
  imprint_attack,
  imprinted_windows,
  window_stitching,
)
from fedjax_asr.speech import features as features_lib

SHAPE = planted_imprint.SHAPE


def _windows(utterance):
  return context_windows.windows(utterance, SHAPE, len(utterance))


def test_units_share_a_direction_and_split_public_speech_evenly():
  rng = np.random.default_rng(0)
  params, made = planted_imprint.parameters(rng)
  units = params['dense_0']['kernel'].T
  np.testing.assert_allclose(units, np.broadcast_to(units[0], units.shape))
  speech = np.concatenate(
    [_windows(planted_imprint.spoken(rng, 60)) for _ in range(60)]
  )
  counts = np.histogram(speech @ made.direction, made.thresholds[1:])[0]
  assert counts.max() < 4 * counts.mean()
  # Neither layer is clipped by speech as loud as the public one.
  hidden = speech @ params['dense_0']['kernel'] + params['dense_0']['bias']
  assert hidden.max() < 20
  second = np.maximum(hidden, 0) @ params['dense_1']['kernel']
  second += params['dense_1']['bias']
  assert 0 < second.min() < second.max() < 20


def test_the_sender_finds_its_imprint_again():
  params, made = planted_imprint.parameters(np.random.default_rng(1))
  found = imprint.of_params(params)
  np.testing.assert_array_equal(found.units, made.units)
  np.testing.assert_allclose(found.thresholds, made.thresholds)
  np.testing.assert_allclose(found.direction, made.direction)


def test_windows_that_are_alone_between_thresholds_are_read():
  rng = np.random.default_rng(2)
  params, made = planted_imprint.parameters(rng)
  said = planted_imprint.spoken(rng, 12)
  update = planted_imprint.update(params, [said], rng)
  found = imprinted_windows.isolated(update['kernel'], update['bias'], made)
  windows = _windows(said)
  bins = np.searchsorted(made.thresholds, windows @ made.direction) - 1
  alone = [int(b) for b in bins if (bins == b).sum() == 1]
  assert len(alone) > 6
  for number in alone:
    (window,) = windows[bins == number]
    (read,) = found.values[found.bins == number]
    np.testing.assert_allclose(read, window, rtol=1e-6, atol=1e-6)


def test_overlapping_windows_are_stitched_and_mixtures_left():
  rng = np.random.default_rng(3)
  first, second = (planted_imprint.spoken(rng, length) for length in (20, 15))
  # Of the first, one window in three is missing; of the second, all behind.
  kept = [t for t in range(20) if t % 3]
  windows = np.concatenate([_windows(first)[kept], _windows(second)[:6]])
  shares = np.array([0.4, 0.7, 0.2, 0.5, 0.9])[:, None]
  mixtures = shares * windows[:5] + (1 - shares) * windows[7:12]
  shuffled = rng.permutation(np.concatenate([windows, mixtures]))
  found = window_stitching.stretches(shuffled, SHAPE, np.full(3, 2.0))
  assert [each.num_windows for each in found] == [len(kept), 6]
  np.testing.assert_allclose(found[0].frames, first, atol=1e-9)
  assert found[0].has_start
  assert found[0].has_end
  # Its last window sees three frames more, of which another sees two.
  np.testing.assert_allclose(found[1].frames, second[:8], atol=1e-9)
  assert found[1].has_start
  assert not found[1].has_end


def test_silence_joins_nothing():
  silence = np.full((1, SHAPE.width * 3), 3.0)
  rng = np.random.default_rng(4)
  windows = np.concatenate(
    [silence, silence, silence, _windows(planted_imprint.spoken(rng, 3))]
  )
  found = window_stitching.stretches(windows, SHAPE, np.full(3, 2.0))
  assert all(each.num_windows <= 3 for each in found)


def _observed(update, params, server=config.Server.ACTIVE, count=None):
  made, _ = tiny_victim.unsent(context_frames=3, dense_sizes=(64, 64, 20))
  return made._replace(
    update={
      'dense_0': {name: np.float32(value) for name, value in update.items()}
    },
    params=dict(made.params) | params,
    server=server,
    declared=observation.Declared(
      num_utterances=count,
      speech=features_lib.Statistics(np.full(3, 5.0), np.full(3, 2.0)),
    ),
  )


def _read(observed):
  return imprint_attack.reconstruct(
    observed, config.ImprintConfig(), jax.random.key(0)
  )


def test_a_sum_of_utterances_is_read_whole():
  rng = np.random.default_rng(5)
  params, _ = planted_imprint.parameters(rng, 512)
  said = [planted_imprint.spoken(rng, length) for length in (18, 25)]
  observed = _observed(
    planted_imprint.update(params, said, rng), params, count=2
  )
  found = _read(observed)
  assert found.is_certified
  assert found.is_whole
  assert found.ledger.server == 'active'
  for read, truth in zip(found.features, said[::-1], strict=True):
    np.testing.assert_allclose(read, truth, atol=1e-2)


def test_more_utterances_than_were_found_are_not_all():
  rng = np.random.default_rng(5)
  params, _ = planted_imprint.parameters(rng, 512)
  said = [planted_imprint.spoken(rng, length) for length in (18, 25)]
  update = planted_imprint.update(params, said, rng)
  assert not _read(_observed(update, params, count=3)).is_whole


@pytest.mark.parametrize('what', ['noise', 'noisy', 'mixed'])
def test_an_update_that_holds_no_window_is_refused(what):
  rng = np.random.default_rng(6)
  params, _ = planted_imprint.parameters(rng, 16)
  said = [planted_imprint.spoken(rng, 60) for _ in range(20)]
  update = planted_imprint.update(params, said, rng)
  if what == 'noise':
    update = {n: rng.standard_normal(v.shape) for n, v in update.items()}
  if what == 'noisy':
    update = {
      n: v + 0.1 * np.std(v) * rng.standard_normal(v.shape)
      for n, v in update.items()
    }
  with pytest.raises(observation.Refused, match='agree'):
    _read(_observed(update, params))


def test_units_that_all_tell_the_same_are_refused():
  rng = np.random.default_rng(6)
  params, _ = planted_imprint.parameters(rng, 16)
  said = [planted_imprint.spoken(rng, 9)]
  update = planted_imprint.update(params, said, rng)
  alike = {name: np.ones_like(value) for name, value in update.items()}
  observed = _observed(alike, params)
  observed = observed._replace(declared=observed.declared._replace(speech=None))
  with pytest.raises(observation.Refused, match='by itself'):
    _read(observed)


def test_an_honest_server_has_no_imprint():
  rng = np.random.default_rng(7)
  params, _ = planted_imprint.parameters(rng)
  update = planted_imprint.update(params, [planted_imprint.spoken(rng, 9)], rng)
  with pytest.raises(observation.Refused, match='honest'):
    _read(_observed(update, params, config.Server.HONEST))
