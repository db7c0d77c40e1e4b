"""Algorithms behind a channel that clips and codes what their clients send."""

import linear
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated import channel, channels
from fedjax_asr.federated.algorithms import (
  agnostic,
  at_server,
  fedavg,
  feddyn,
  fednova,
  fedprox,
  frozen,
  mimelite,
  qffl,
  scaffold,
  score_weighted,
)

SETTINGS = config.FederatedConfig(
  num_rounds=3, client=config.ClientConfig(learning_rate=0.1)
)
UNIFORM = config.Weighting.UNIFORM
CLIP = 0.05
SGD = linear.gradient, optax.sgd
METHODS = {
  'fedprox': lambda: fedprox.fedprox(*SGD, UNIFORM, 0.1),
  'scaffold': lambda: scaffold.scaffold(
    *SGD, UNIFORM, config.ControlVariate.STEPS, 2
  ),
  'feddyn': lambda: feddyn.feddyn(*SGD, 0.1, 2),
  'fednova': lambda: fednova.fednova(*SGD, UNIFORM, 0.0),
  'mimelite': lambda: mimelite.mimelite(
    linear.gradient, frozen.momentum(0.5), UNIFORM, 0.0
  ),
  'qffl': lambda: qffl.qffl(*SGD, 1.0),
  'agnostic': lambda: agnostic.agnostic(*SGD, 0.01, 2),
  'score_weighted': lambda: score_weighted.score_weighted(
    fedavg.fedavg(*SGD, UNIFORM), at_server.loss_score(linear.gradient), 1.0
  ),
}


def clipped_and_coded() -> channel.Channel:
  return channels.make(
    config.FederatedConfig(
      privacy=config.PrivacyConfig(clip_norm=CLIP),
      compression=config.CompressionConfig(
        method=config.Compression.INT8, rounding=config.Rounding.NEAREST
      ),
    )
  )


@pytest.mark.parametrize('name', METHODS)
def test_what_is_clipped_and_coded_moves_the_server_alike(name):
  """By the layout; and a client alone by no more than the rule lets it."""
  moved = []
  for layout in ({}, {'block_size': 1, 'num_devices': 2}):
    simulation = linear.Simulation(
      METHODS[name](), SETTINGS, line=clipped_and_coded(), **layout
    )
    outcome = simulation.round()
    assert outcome.reports.was_clipped.all()
    first = np.linalg.norm(simulation.w)
    # FedNova clips a step of at most two; FedDyn's server adds its h, which is
    # as much again in the first round.
    assert 0 < first <= 2.01 * CLIP
    simulation.round()
    moved.append(simulation.w)
  np.testing.assert_allclose(*moved, rtol=1e-4)
