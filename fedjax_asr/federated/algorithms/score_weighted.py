"""Clients weighted by a score of the server's model on their speech.

As Gao et al. 2022 ("End-to-end speech recognition from federated acoustic
models"), but at a temperature.
"""

import jax.numpy as jnp

from fedjax_asr.federated import aggregation, algorithm
from fedjax_asr.federated.algorithms import at_server

# Of exponents, so that sums of messages stay within float32.
_LIMIT = 60.0


def score_weighted(
  base: algorithm.Algorithm, score: at_server.Score, temperature: float
) -> algorithm.Algorithm:
  """`base`, a FedAvg, with weights n_k exp(score_k / temperature).

  n_k is the weight of `base`. A temperature below 0 favours low scores. Only
  ratios of weights matter, so that exponents are taken from a reference: the
  soft maximum of the last round's scores, in the first 60 temperatures. What is
  further than 60 temperatures from it counts as 60. The server gets weights as
  they are, whatever the channel does to updates.
  """
  base = at_server.measured(base, score.measure)

  def finish(broadcast, state):
    message, memory = base.finish(broadcast, state)
    distance = (score.of_client(state) - broadcast.memory) / temperature
    factor = jnp.exp(jnp.clip(distance, -_LIMIT, _LIMIT))
    return message._replace(
      weight=message.weight * factor, extra=message.weight
    ), memory.own

  def combine(broadcast, sums):
    mean = jnp.where(sums.extra > 0, sums.weight / sums.extra, 1.0)
    reference = broadcast.memory + temperature * jnp.log(mean)
    return aggregation.mean(sums), reference

  return base._replace(
    init_server=lambda params, norm_state: jnp.float32(
      _LIMIT * abs(temperature)
    ),
    finish=finish,
    combine=combine,
  )
