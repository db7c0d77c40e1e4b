"""The jitted round equals one-client-at-a-time FedAvg (oracle.py)."""

import numpy as np
import oracle
import population
import pytest

from fedjax_asr import config

CLIENT, SERVER = config.ClientOptimizer, config.ServerOptimizer
# Every value of every setting occurs; epsilon is large enough that rounding
# errors of a gradient that is zero in exact arithmetic stay small.
CASES = {
  'momentum_sgd_utterances': population.PLAIN,
  'momentum_clipped_momentum_frames_two_epochs': population.federated(
    client={
      'optimizer': CLIENT.MOMENTUM,
      'clip_norm': 1.0,
      'local_epochs': 2,
      'schedule': config.Schedule.LINEAR,
    },
    server={'optimizer': SERVER.MOMENTUM, 'learning_rate': 0.7},
    weighting=config.Weighting.FRAMES,
  ),
  'adam_adam_uniform_three_steps': population.federated(
    client={
      'optimizer': CLIENT.ADAM,
      'learning_rate': 0.01,
      'local_steps': 3,
    },
    server={
      'optimizer': SERVER.ADAM,
      'learning_rate': 0.05,
      'epsilon': 1e-3,
      'schedule': config.Schedule.COSINE,
      'warmup_rounds': 1,
    },
    weighting=config.Weighting.UNIFORM,
  ),
  'sgd_clipped_yogi_frames': population.federated(
    client={'clip_norm': 3.0},
    server={'optimizer': SERVER.YOGI, 'learning_rate': 0.05, 'epsilon': 1e-3},
    weighting=config.Weighting.FRAMES,
    num_frame_buckets=2,
  ),
  'sgd_adagrad_two_devices': population.federated(
    server={'optimizer': SERVER.ADAGRAD, 'learning_rate': 0.1, 'epsilon': 1e-3},
    num_devices=2,
  ),
  'updates_clipped_uniform': population.federated(
    weighting=config.Weighting.UNIFORM,
    privacy=config.PrivacyConfig(clip_norm=0.5),
  ),
  'sgd_lamb_uniform_iid': population.federated(
    client={'max_utterances': 3},
    server={'optimizer': SERVER.LAMB, 'learning_rate': 0.05, 'epsilon': 1e-3},
    weighting=config.Weighting.UNIFORM,
    partition=config.Partition.IID,
  ),
}
NUM_ROUNDS = 2


def acoustic(settings):
  # A bias ahead of batch norm has a gradient of rounding errors, which a
  # client's Adam or a server's LAMB would blow up to whole steps.
  scales_up = (
    settings.client.optimizer is CLIENT.ADAM
    or settings.server.optimizer is SERVER.LAMB
  )
  norm_kind = config.Norm.LAYER if scales_up else config.Norm.BATCH
  return population.acoustic_model(norm=norm_kind)


@pytest.mark.parametrize('name', CASES)
def test_round_equals_the_oracle(name):
  settings = CASES[name]
  if settings is population.PLAIN:
    check(population.plain())
  else:
    check(population.Simulation(acoustic(settings), settings))


def test_round_of_deepspeech1_equals_the_oracle():
  check(population.Simulation(population.deepspeech1(), population.PLAIN))


def check(simulation):
  """Two rounds, parameters and metrics."""
  settings = simulation.settings
  state = simulation.start()
  server = oracle.start(state.params, state.norm_state)
  for index in range(NUM_ROUNDS):
    before = server
    server, report = oracle.run_round(
      simulation.acoustic,
      settings,
      server,
      simulation.draw(index),
      simulation.examples,
    )
    state, metrics = simulation.step(state, simulation.members(index))
    moved = population.distance(server.params, before.params)
    # Float32 sums in another order, through CTC and its gradient.
    assert population.distance(state.params, server.params) < 2e-5 * moved
    assert population.distance(
      state.norm_state, server.norm_state
    ) <= 1e-5 * population.norm(server.norm_state)
    np.testing.assert_allclose(metrics.loss, report.loss, rtol=1e-5)
    np.testing.assert_allclose(
      metrics.delta_norm, population.norm(report.delta), rtol=1e-4
    )
    assert metrics.num_utterances == report.num_utterances
    assert metrics.num_frames == report.num_frames
    assert metrics.num_infeasible == report.num_infeasible
    assert state.round == server.round == index + 1
