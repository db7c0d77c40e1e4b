"""FedProx (Li et al. 2020, MLSys, Algorithm 2, equation 2).

A client works on its loss plus mu / 2 times the squared distance to the
server's model. Its number of steps is what says how inexactly.
"""

import jax

from fedjax_asr import config
from fedjax_asr.federated import algorithm, local_gradient
from fedjax_asr.federated.algorithms import fedavg


def fedprox(
  gradient: local_gradient.GradientFn,
  optimizer: fedavg.OptimizerFn,
  weighting: config.Weighting,
  mu: float,
) -> algorithm.Algorithm:
  """FedAvg whose gradients are g + mu (w - w0); with mu = 0 it is FedAvg.

  The pull back is part of the gradient, so that a client's clipping is of
  both. What the channel does is as for FedAvg.
  """

  def correct(slope, state, broadcast):
    return jax.tree.map(
      lambda g, w, w0: g + mu * (w - w0),
      slope,
      state.params,
      broadcast.params,
    )

  return fedavg.fedavg(gradient, optimizer, weighting, correct)
