"""q-FedAvg, which solves q-FFL (Li et al. 2020, ICLR, Algorithm 2).

Clients of large loss count for more, by the power q of the loss.
"""

import jax
import jax.numpy as jnp
import optax

from fedjax_asr import config
from fedjax_asr.federated import aggregation, algorithm, local_gradient
from fedjax_asr.federated.algorithms import at_server, fedavg

# Losses are taken in units of so many nats, which cancels: high powers of them
# stay within float32. And the paper's code adds a little to each, for the sake
# of powers below 0.
_UNIT = 100.0
_LEAST = 1e-10


def qffl(
  gradient: local_gradient.GradientFn,
  optimizer: fedavg.OptimizerFn,
  q: float,
) -> algorithm.Algorithm:
  """The server steps by sum(F_k^q L d_k) / sum(h_k), d_k what a client moved.

  h_k = q F_k^(q - 1) |L d_k|^2 + L F_k^q, with 1 / L the client's learning
  rate, as in the paper, and F_k the loss at the server's model over all that
  the client trains on. With q = 0 it is FedAvg, all clients alike. Batch norm's
  averages are weighted by F_k^q. F_k^q and h_k are sent as they are, whatever
  the channel does: |d_k| is of what the client moved, clipped is only d_k.
  """
  base = at_server.measured(
    fedavg.fedavg(gradient, optimizer, config.Weighting.UNIFORM),
    at_server.losses(gradient),
  )

  def finish(broadcast, state):
    message, memory = base.finish(broadcast, state)
    lipschitz = 1 / broadcast.learning_rate
    loss = at_server.per_utterance(state) / _UNIT + _LEAST
    length = lipschitz * optax.tree.norm(message.update.params)
    curvature = q / _UNIT * loss ** (q - 1) * length**2
    h = curvature + lipschitz * loss**q
    return message._replace(
      weight=message.weight * loss**q, extra=message.weight * h
    ), memory.own

  def combine(broadcast, sums):
    # A step of L times the sum of F_k^q d_k.
    h = jnp.where(sums.extra > 0, sums.extra, 1.0) * broadcast.learning_rate
    params = jax.tree.map(lambda leaf: leaf / h, sums.update.params)
    return aggregation.mean(sums)._replace(params=params), broadcast.memory

  return base._replace(finish=finish, combine=combine)
