"""Federated algorithms, each a record of pure functions in its own file."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import optax

from fedjax_asr import config
from fedjax_asr.federated import algorithm, local_gradient, optimizers
from fedjax_asr.federated.algorithms import (
  agnostic,
  at_server,
  ditto,
  fedavg,
  fedbn,
  fedbuff,
  feddyn,
  fednova,
  fedprox,
  fedrep,
  fedsgd,
  frozen,
  mimelite,
  qffl,
  recognition,
  scaffold,
  score_weighted,
)
from fedjax_asr.models import model, norms


class Parts(NamedTuple):
  """What the algorithms of a config are made of."""

  acoustic: model.Model
  federated: config.FederatedConfig
  augmentation: config.AugmentConfig
  num_clients: int

  @property
  def gradient(self) -> local_gradient.GradientFn:
    return local_gradient.local_gradient(self.acoustic, self.augmentation)

  @property
  def weighting(self) -> config.Weighting:
    return self.federated.weighting

  def optimizer(self, rate: jax.Array) -> optax.GradientTransformation:
    return optimizers.client_optimizer(self.federated.client, rate)

  def fedavg(
    self, correct: fedavg.Correct | None = None
  ) -> algorithm.Algorithm:
    return fedavg.fedavg(self.gradient, self.optimizer, self.weighting, correct)


def make(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
  num_clients: int,
) -> algorithm.Algorithm:
  """What the config names, for a population of so many clients."""
  parts = Parts(acoustic, federated, augmentation, num_clients)
  return _MAKERS[federated.algorithm](parts)


def of_gradient(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
) -> algorithm.Algorithm:
  """FedSGD, by which a client sends the gradient that it would step along."""
  return _fedsgd(Parts(acoustic, federated, augmentation, 1))


def _fedsgd(parts: Parts) -> algorithm.Algorithm:
  clip_norm = parts.federated.client.clip_norm
  return fedsgd.fedsgd(parts.gradient, parts.weighting, clip_norm)


def _fedprox(parts: Parts) -> algorithm.Algorithm:
  mu = parts.federated.fedprox.mu
  return fedprox.fedprox(parts.gradient, parts.optimizer, parts.weighting, mu)


def _scaffold(parts: Parts) -> algorithm.Algorithm:
  return scaffold.scaffold(
    parts.gradient,
    parts.optimizer,
    parts.weighting,
    parts.federated.scaffold.variate,
    parts.num_clients,
  )


def _feddyn(parts: Parts) -> algorithm.Algorithm:
  alpha = parts.federated.feddyn.alpha
  return feddyn.feddyn(
    parts.gradient, parts.optimizer, alpha, parts.num_clients
  )


def _fednova(parts: Parts) -> algorithm.Algorithm:
  client = parts.federated.client
  has_momentum = client.optimizer is config.ClientOptimizer.MOMENTUM
  momentum = client.momentum if has_momentum else 0.0
  return fednova.fednova(
    parts.gradient, parts.optimizer, parts.weighting, momentum
  )


def _mimelite(parts: Parts) -> algorithm.Algorithm:
  """The client's optimizer, with statistics that only the server changes."""
  client, settings = parts.federated.client, parts.federated.mimelite
  base = frozen.momentum(client.momentum)
  if client.optimizer is config.ClientOptimizer.ADAM:
    base = frozen.adam(client.momentum, settings.beta2, settings.epsilon)
  return mimelite.mimelite(
    parts.gradient, base, parts.weighting, client.clip_norm
  )


def _agnostic(parts: Parts) -> algorithm.Algorithm:
  rate = parts.federated.agnostic.learning_rate
  return agnostic.agnostic(
    parts.gradient, parts.optimizer, rate, parts.num_clients
  )


def _loss_weighted(parts: Parts) -> algorithm.Algorithm:
  return score_weighted.score_weighted(
    parts.fedavg(),
    at_server.loss_score(parts.gradient),
    parts.federated.loss_weighted.temperature,
  )


def _wer_weighted(parts: Parts) -> algorithm.Algorithm:
  return score_weighted.score_weighted(
    parts.fedavg(),
    recognition.word_error_rate(parts.acoustic),
    parts.federated.wer_weighted.temperature,
  )


def _fedbuff(parts: Parts) -> algorithm.Algorithm:
  return fedbuff.fedbuff(
    parts.gradient,
    parts.optimizer,
    parts.weighting,
    parts.federated.fedbuff,
  )


def _ditto(parts: Parts) -> algorithm.Algorithm:
  clip_norm = parts.federated.client.clip_norm
  return ditto.ditto(
    parts.fedavg(), parts.gradient, parts.federated.ditto, clip_norm
  )


def _fedrep(parts: Parts) -> algorithm.Algorithm:
  head_steps = parts.federated.fedrep.head_steps
  return fedrep.fedrep(parts.fedavg, model.is_output_layer, head_steps)


_Name = config.AlgorithmName
_MAKERS: dict[config.AlgorithmName, Callable[[Parts], algorithm.Algorithm]] = {
  _Name.FEDAVG: lambda parts: parts.fedavg(),
  _Name.FEDSGD: _fedsgd,
  _Name.FEDPROX: _fedprox,
  _Name.SCAFFOLD: _scaffold,
  _Name.FEDDYN: _feddyn,
  _Name.FEDNOVA: _fednova,
  _Name.MIMELITE: _mimelite,
  _Name.QFFL: lambda parts: qffl.qffl(
    parts.gradient, parts.optimizer, parts.federated.qffl.q
  ),
  _Name.AGNOSTIC: _agnostic,
  _Name.LOSS_WEIGHTED: _loss_weighted,
  _Name.WER_WEIGHTED: _wer_weighted,
  _Name.FEDBN: lambda parts: fedbn.fedbn(parts.fedavg(), norms.is_norm),
  _Name.DITTO: _ditto,
  _Name.FEDREP: _fedrep,
  _Name.FEDBUFF: _fedbuff,
}
