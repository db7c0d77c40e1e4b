"""Federated algorithms, each a record of pure functions in its own file."""

import jax

from fedjax_asr import config
from fedjax_asr.federated import algorithm, local_gradient, optimizers
from fedjax_asr.federated.algorithms import fedavg as fedavg_lib
from fedjax_asr.federated.algorithms import fedbuff as fedbuff_lib
from fedjax_asr.federated.algorithms import fedsgd as fedsgd_lib
from fedjax_asr.models import model


def make(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
  num_clients: int,
) -> algorithm.Algorithm:
  """What the config names, for a population of so many clients."""
  gradient = local_gradient.local_gradient(acoustic, augmentation)
  match federated.algorithm:
    case config.AlgorithmName.FEDAVG:
      return fedavg_lib.fedavg(
        gradient,
        lambda rate: optimizers.client_optimizer(federated.client, rate),
        federated.weighting,
      )
    case config.AlgorithmName.FEDBUFF:
      _, norm_state = jax.eval_shape(acoustic.init, jax.random.key(0))
      return fedbuff_lib.fedbuff(
        gradient,
        lambda rate: optimizers.client_optimizer(federated.client, rate),
        federated.weighting,
        federated.fedbuff,
        norm_state,
      )
    case config.AlgorithmName.FEDSGD:
      return of_gradient(acoustic, federated, augmentation)


def of_gradient(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
) -> algorithm.Algorithm:
  """FedSGD, by which a client sends the gradient that it would step along."""
  return fedsgd_lib.fedsgd(
    local_gradient.local_gradient(acoustic, augmentation),
    federated.weighting,
    federated.client.clip_norm,
  )
