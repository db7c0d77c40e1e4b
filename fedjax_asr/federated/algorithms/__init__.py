"""Federated algorithms, each a record of pure functions in its own file."""

from fedjax_asr import config
from fedjax_asr.federated import algorithm, local_gradient, optimizers
from fedjax_asr.federated.algorithms import fedavg as fedavg_lib
from fedjax_asr.federated.algorithms import fedsgd as fedsgd_lib
from fedjax_asr.models import model


def make(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
) -> algorithm.Algorithm:
  """What the config names."""
  return fedavg_lib.fedavg(
    local_gradient.local_gradient(acoustic, augmentation),
    lambda rate: optimizers.client_optimizer(federated.client, rate),
    federated.weighting,
  )


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
