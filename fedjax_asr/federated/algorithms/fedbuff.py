"""FedBuff (Nguyen et al. 2022, Algorithm 1): buffered asynchronous averaging.

The server steps whenever its buffer is full; who fills it, and how stale each
is, `buffered` simulates. What is stale starts from what the server sent then:
its values, and the learning rate of that round.
"""

import jax.numpy as jnp

from fedjax_asr import config
from fedjax_asr.federated import algorithm, local_gradient, versions
from fedjax_asr.federated.algorithms import fedavg


def fedbuff(
  gradient: local_gradient.GradientFn,
  optimizer: fedavg.OptimizerFn,
  weighting: config.Weighting,
  settings: config.FedBuffConfig,
) -> algorithm.Algorithm:
  """FedAvg of updates that began some rounds ago.

  An update of staleness s weighs (1 + s) ** -exponent of what it would (section
  5, with exponent 1/2). It is the mean by these weights that the server steps
  along, so that staleness which all share discounts nothing.

  Args:
    gradient: of a local step.
    optimizer: of a client, for a learning rate.
    weighting: of clients of equal staleness in the mean.
    settings: staleness, its cap and exponent.
  """
  base = fedavg.fedavg(gradient, optimizer, weighting)

  def start(broadcast, participant, memory):
    staleness = jnp.asarray(participant.staleness)
    sent = versions.sent(broadcast, staleness)
    # Of the client's: where it started.
    return base.start(sent, participant, memory)._replace(memory=staleness)

  def step(broadcast, state, batch, key):
    sent = versions.sent(broadcast, state.memory)
    return base.step(sent, state, batch, key)

  def finish(broadcast, state):
    sent = versions.sent(broadcast, state.memory)
    message, _ = base.finish(sent, state)
    discount = (1.0 + state.memory) ** -settings.staleness_exponent
    return message._replace(weight=discount * message.weight), ()

  def combine(broadcast, sums):
    update, _ = base.combine(broadcast, sums)
    return update, versions.after(broadcast)

  return base._replace(
    init_server=lambda params, norm_state: versions.none(
      params, norm_state, settings.max_staleness
    ),
    start=start,
    step=step,
    finish=finish,
    combine=combine,
    # A client is sent one version, that of when it began.
    told=lambda memory: (),
    shares_start=False,
  )
