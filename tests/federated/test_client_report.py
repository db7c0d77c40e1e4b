"""What a round says of each client, against the slow reference."""

import jax
import numpy as np
import oracle
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import sketch


@pytest.fixture(scope='module')
def told():
  """(simulation, cohort, reports by client, the reference's clients)."""
  simulation = population.plain()
  members = simulation.members(0)
  start = jax.device_get(simulation.start())
  _, outcome = jax.device_get(simulation.outcome(simulation.start(), members))
  drawn = simulation.draw(0)
  server = oracle.start(start.params, start.norm_state)
  clients = {
    int(index): oracle.train(
      simulation.acoustic,
      simulation.settings,
      server,
      steps,
      simulation.examples,
    )
    for index, steps in zip(drawn.client_ids, drawn.utterances, strict=True)
  }
  reports = {
    int(index): jax.tree.map(
      lambda leaf, place=tuple(place): leaf[place], outcome.reports
    )
    for place, index in np.ndenumerate(members.client_ids)
    if index >= 0
  }
  return start, reports, clients


def deltas(start, clients):
  return {
    index: np.concatenate(
      [
        np.ravel(np.float64(a) - np.float64(b))
        for a, b in zip(
          jax.tree.leaves(start.params),
          jax.tree.leaves(client.params),
          strict=True,
        )
      ]
    )
    for index, client in clients.items()
  }


def test_losses_and_counts_are_the_clients(told):
  _, reports, clients = told
  assert reports.keys() == clients.keys()
  assert any(len(client.batch_losses) > 1 for client in clients.values())
  for index, client in clients.items():
    got = reports[index]
    assert got.first_loss == pytest.approx(client.batch_losses[0], rel=1e-5)
    assert got.last_loss == pytest.approx(client.batch_losses[-1], rel=1e-5)
    assert got.totals.num_utterances == got.weight == len(client.losses)
    assert got.totals.num_steps == len(client.batch_losses)
    assert got.totals.num_frames == sum(client.frames)
    assert got.totals.num_infeasible == client.num_infeasible
    assert not got.was_clipped
    assert not got.is_broken


def test_norm_and_cosine_are_those_of_the_deltas(told):
  start, reports, clients = told
  moved = deltas(start, clients)
  weights = {index: len(client.losses) for index, client in clients.items()}
  mean = sum(weights[index] * moved[index] for index in moved)
  assert len(mean) < sketch.SIZE
  for index, delta in moved.items():
    got = reports[index]
    norm = np.linalg.norm(delta)
    assert got.delta_norm == pytest.approx(norm, rel=1e-4)
    wanted = delta @ mean / norm / np.linalg.norm(mean)
    assert got.cosine == pytest.approx(wanted, abs=1e-4)


def test_it_says_who_was_clipped():
  settings = population.federated(
    cohort_size=7, privacy=config.PrivacyConfig(clip_norm=1.0)
  )
  simulation = population.Simulation(population.acoustic_model(), settings)
  members = simulation.members(0)
  _, outcome = jax.device_get(simulation.outcome(simulation.start(), members))
  real = members.client_ids >= 0
  norms = outcome.reports.delta_norm[real]
  clipped = outcome.reports.was_clipped[real]
  assert 0 < clipped.sum() < len(clipped), norms
  np.testing.assert_array_equal(clipped, norms > 1.0)
