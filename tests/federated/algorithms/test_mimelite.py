"""MimeLite on linear clients, by hand."""

import linear
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.federated.algorithms import frozen, mimelite

RATE, BETA1, BETA2, EPSILON = 0.1, 0.6, 0.9, 0.3
SETTINGS = config.FederatedConfig(
  num_rounds=4, client=config.ClientConfig(learning_rate=RATE)
)
WEIGHTS = {'uniform': [1, 1], 'utterances': [3, 1]}
BASES = {
  'momentum': frozen.momentum(BETA1),
  'adam': frozen.adam(BETA1, BETA2, EPSILON),
}


def method(base, weighting='uniform', clip_norm=0.0):
  return mimelite.mimelite(
    linear.gradient, BASES[base], config.Weighting(weighting), clip_norm
  )


def clipped(slope, norm):
  return slope * min(1, norm / np.linalg.norm(slope)) if norm else slope


def round_by_hand(base, x, m, v, weights, clip_norm):
  """x, m and v after a round; m and v as they are until its end."""

  def mimicked(slope, w):
    mixed = (1 - BETA1) * clipped(slope, clip_norm) + BETA1 * m
    return mixed / (EPSILON + np.sqrt(v)) if base == 'adam' else mixed

  local, slopes = [], []
  for client in linear.UNEQUAL:
    local.append(linear.sgd_by_hand(x, client, RATE, mimicked))
    everything = [row for rows in client.batches for row in rows]
    slope = linear.slope_by_hand(x, everything)
    slopes.append(clipped(slope, clip_norm))
  mean = np.average(slopes, axis=0, weights=weights)
  return (
    np.average(local, axis=0, weights=weights),
    (1 - BETA1) * mean + BETA1 * m,
    (1 - BETA2) * mean**2 + BETA2 * v,
  )


def check(base, weighting, clip_norm, **layout):
  simulation = linear.Simulation(
    method(base, weighting, clip_norm), SETTINGS, **layout
  )
  x, m, v = np.zeros(2), np.zeros(2), np.zeros(2)
  for _ in range(4):
    simulation.round()
    x, m, v = round_by_hand(base, x, m, v, WEIGHTS[weighting], clip_norm)
    np.testing.assert_allclose(simulation.w, x, rtol=1e-5)
    kept = simulation.state.memory
    first = kept.first if base == 'adam' else kept
    np.testing.assert_allclose(first['w'], m, rtol=1e-4)
    if base == 'adam':
      np.testing.assert_allclose(kept.second['w'], v, rtol=1e-4)


@pytest.mark.parametrize('base', BASES)
@pytest.mark.parametrize(('block_size', 'num_devices'), linear.LAYOUTS)
def test_steps_read_statistics_that_rounds_renew(base, block_size, num_devices):
  check(base, 'uniform', 0.0, block_size=block_size, num_devices=num_devices)


@pytest.mark.parametrize('base', BASES)
def test_weights_and_clipping_are_of_steps_and_statistics(base):
  check(base, 'utterances', 0.5)


def test_a_cohort_with_nothing_to_train_on_changes_nothing():
  clients = (*linear.UNEQUAL, linear.Data([]))
  simulation = linear.Simulation(method('adam'), SETTINGS, clients)
  simulation.round([0])
  before = simulation.w, np.asarray(simulation.state.memory.first['w'])
  simulation.round([2])
  after = simulation.w, np.asarray(simulation.state.memory.first['w'])
  np.testing.assert_array_equal(after, before)
