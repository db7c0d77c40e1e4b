"""Federated algorithms, each a record of pure functions in its own file."""

import functools

from fedjax_asr import config
from fedjax_asr.federated import algorithm, local_gradient, optimizers
from fedjax_asr.federated.algorithms import ditto as ditto_lib
from fedjax_asr.federated.algorithms import fedavg as fedavg_lib
from fedjax_asr.federated.algorithms import fedbn as fedbn_lib
from fedjax_asr.federated.algorithms import fedrep as fedrep_lib
from fedjax_asr.federated.algorithms import fedsgd as fedsgd_lib
from fedjax_asr.models import model, norms


def make(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
  num_clients: int,
) -> algorithm.Algorithm:
  """What the config names, for a population of so many clients."""
  gradient = local_gradient.local_gradient(acoustic, augmentation)
  fedavg = functools.partial(
    fedavg_lib.fedavg,
    gradient,
    lambda rate: optimizers.client_optimizer(federated.client, rate),
    federated.weighting,
  )
  match federated.algorithm:
    case config.AlgorithmName.FEDAVG:
      return fedavg()
    case config.AlgorithmName.FEDSGD:
      return of_gradient(acoustic, federated, augmentation)
    case config.AlgorithmName.DITTO:
      return ditto_lib.ditto(
        fedavg(), gradient, federated.ditto, federated.client.clip_norm
      )
    case config.AlgorithmName.FEDBN:
      return fedbn_lib.fedbn(fedavg(), norms.is_norm)
    case config.AlgorithmName.FEDREP:
      return fedrep_lib.fedrep(
        fedavg, model.is_output_layer, federated.fedrep.head_steps
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
