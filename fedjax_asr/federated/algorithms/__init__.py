"""Federated algorithms, each a record of pure functions in its own file."""

import functools

import jax

from fedjax_asr import config
from fedjax_asr.federated import algorithm, local_gradient, optimizers
from fedjax_asr.federated.algorithms import agnostic as agnostic_lib
from fedjax_asr.federated.algorithms import at_server, frozen, recognition
from fedjax_asr.federated.algorithms import ditto as ditto_lib
from fedjax_asr.federated.algorithms import fedavg as fedavg_lib
from fedjax_asr.federated.algorithms import fedbn as fedbn_lib
from fedjax_asr.federated.algorithms import fedbuff as fedbuff_lib
from fedjax_asr.federated.algorithms import feddyn as feddyn_lib
from fedjax_asr.federated.algorithms import fednova as fednova_lib
from fedjax_asr.federated.algorithms import fedprox as fedprox_lib
from fedjax_asr.federated.algorithms import fedrep as fedrep_lib
from fedjax_asr.federated.algorithms import fedsgd as fedsgd_lib
from fedjax_asr.federated.algorithms import mimelite as mimelite_lib
from fedjax_asr.federated.algorithms import qffl as qffl_lib
from fedjax_asr.federated.algorithms import scaffold as scaffold_lib
from fedjax_asr.federated.algorithms import (
  score_weighted as score_weighted_lib,
)
from fedjax_asr.models import model, norms


def make(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
  num_clients: int,
) -> algorithm.Algorithm:
  """What the config names, for a population of so many clients."""
  gradient = local_gradient.local_gradient(acoustic, augmentation)
  weighting = federated.weighting

  def optimizer(rate):
    return optimizers.client_optimizer(federated.client, rate)

  fedavg = functools.partial(fedavg_lib.fedavg, gradient, optimizer, weighting)
  match federated.algorithm:
    case config.AlgorithmName.FEDAVG:
      return fedavg()
    case config.AlgorithmName.FEDPROX:
      mu = federated.fedprox.mu
      return fedprox_lib.fedprox(gradient, optimizer, weighting, mu)
    case config.AlgorithmName.SCAFFOLD:
      variate = federated.scaffold.variate
      return scaffold_lib.scaffold(
        gradient, optimizer, weighting, variate, num_clients
      )
    case config.AlgorithmName.FEDDYN:
      alpha = federated.feddyn.alpha
      return feddyn_lib.feddyn(gradient, optimizer, alpha, num_clients)
    case config.AlgorithmName.FEDNOVA:
      has_momentum = (
        federated.client.optimizer is config.ClientOptimizer.MOMENTUM
      )
      momentum = federated.client.momentum if has_momentum else 0.0
      return fednova_lib.fednova(gradient, optimizer, weighting, momentum)
    case config.AlgorithmName.MIMELITE:
      return mimelite_lib.mimelite(
        gradient, _base(federated), weighting, federated.client.clip_norm
      )
    case config.AlgorithmName.QFFL:
      return qffl_lib.qffl(gradient, optimizer, federated.qffl.q)
    case config.AlgorithmName.AGNOSTIC:
      rate_of_weights = federated.agnostic.learning_rate
      return agnostic_lib.agnostic(
        gradient, optimizer, rate_of_weights, num_clients
      )
    case config.AlgorithmName.LOSS_WEIGHTED:
      return score_weighted_lib.score_weighted(
        fedavg(),
        at_server.loss_score(gradient),
        federated.loss_weighted.temperature,
      )
    case config.AlgorithmName.WER_WEIGHTED:
      return score_weighted_lib.score_weighted(
        fedavg(),
        recognition.word_error_rate(acoustic),
        federated.wer_weighted.temperature,
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


def _base(federated: config.FederatedConfig) -> frozen.Frozen:
  """The client's optimizer, with statistics that only the server changes."""
  client, settings = federated.client, federated.mimelite
  if client.optimizer is config.ClientOptimizer.MOMENTUM:
    return frozen.momentum(client.momentum)
  return frozen.adam(client.momentum, settings.beta2, settings.epsilon)
