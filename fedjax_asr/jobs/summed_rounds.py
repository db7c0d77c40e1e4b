"""Rounds of which only the sum over clients is seen, one after another.

The population, the cohorts, their batches, what clients send and what the
server makes of it are those of the code of the round; between rounds the server
takes its own step, so that every round is of other parameters.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.federated import algorithm, optimizers, server
from fedjax_asr.jobs import attack_victims, attacked_run


class SummedRound(NamedTuple):
  """What a server sees of a round, and the truth behind it.

  victim: the round's clients together.
  """

  observed: observation.Observation
  victim: attack_victims.Victim


def check(attacked: attacked_run.AttackedRun, attack: config.AttackConfig):
  """Raises `ConfigError` where what is attacked is no round of the run."""
  size = attacked.settings.cohort_size
  if attack.num_aggregated != size:
    raise config.ConfigError(
      f'config.attack.num_aggregated={attack.num_aggregated}; want the '
      f'{size} of federated.cohort_size, who make up a round.'
    )
  if attack.batch_size:
    raise config.ConfigError(
      f'config.attack.batch_size={attack.batch_size}; want 0, the batches of '
      'the run.'
    )
  if attack.victim:
    raise config.ConfigError(
      f"config.attack.victim={attack.victim!r}; want '', a cohort as it is "
      'drawn.'
    )


def rounds(
  attacked: attacked_run.AttackedRun,
  attack: config.AttackConfig,
  num_rounds: int,
) -> Iterator[SummedRound]:
  """The rounds that follow `attacked`, each when it is asked for.

  A function of the run's seed: cohorts and batches are those that a training
  would draw.

  Raises:
    UserError: as `check`, or an update that tells nothing.
  """
  check(attacked, attack)
  compiled = attack_victims.programs(attacked, attack)
  optimizer = optimizers.server_optimizer(
    attacked.settings.server, attacked.settings.num_rounds
  )
  first = attacked.saved
  state = server.ServerState(
    params=first.params,
    norm_state=first.norm_state,
    opt_state=optimizer.init(first.params),
    round=jnp.int32(first.round),
  )

  @jax.jit
  def stepped(state, update):
    sent = algorithm.Update(
      update, jax.tree.map(jnp.zeros_like, state.norm_state)
    )
    return server.stepped(state, sent, (), optimizer, 0.0)

  for index in range(first.round, first.round + num_rounds):
    saved = first._replace(params=jax.device_get(state.params), round=index)
    now = attacked._replace(saved=saved)
    (victim,) = attack_victims.victims(now, attack)
    (observed,) = attack_victims.observations(
      now, attack, [victim], None, compiled=compiled
    )
    yield SummedRound(observed, victim)
    state = stepped(state, observed.update)
