"""The methods of an attack, one after another until one is believed."""

import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from fedjax_asr import config
from fedjax_asr.attacks import observation, subspace
from fedjax_asr.attacks.ds1 import (
  adam_inverse,
  client_rounds,
  seed_and_grow,
  span,
)
from fedjax_asr.attacks.ds2 import demixing, span_descent
from fedjax_asr.attacks.likelihood import adaptive
from fedjax_asr.attacks.matching import gradient_matching, hessian_free
from fedjax_asr.attacks.sums import imprint_attack
from fedjax_asr.models import model

_RECONSTRUCT: dict[
  config.AttackMethod, Callable[..., observation.Reconstruction]
] = {
  config.AttackMethod.SPAN: span.reconstruct,
  config.AttackMethod.SEED_AND_GROW: seed_and_grow.reconstruct,
  config.AttackMethod.ADAPTIVE: adaptive.reconstruct,
  config.AttackMethod.CLIENT_ROUNDS: client_rounds.reconstruct,
  config.AttackMethod.ADAM_INVERSE: adam_inverse.reconstruct,
  config.AttackMethod.DEMIXING: demixing.reconstruct,
  config.AttackMethod.SPAN_DESCENT: span_descent.reconstruct,
  config.AttackMethod.GRADIENT_MATCHING: gradient_matching.reconstruct,
  config.AttackMethod.HESSIAN_FREE: hessian_free.reconstruct,
  config.AttackMethod.IMPRINT: imprint_attack.reconstruct,
}
# Each architecture's own methods, in order of strength; those of none are for
# any.
_OWN = {
  config.Architecture.DS1: (
    config.AttackMethod.SPAN,
    config.AttackMethod.SEED_AND_GROW,
    config.AttackMethod.ADAPTIVE,
    config.AttackMethod.CLIENT_ROUNDS,
    config.AttackMethod.ADAM_INVERSE,
    config.AttackMethod.IMPRINT,
  ),
  config.Architecture.DS2: (
    config.AttackMethod.DEMIXING,
    config.AttackMethod.SPAN_DESCENT,
  ),
}
# For a GPU, or weaker than what comes before: only where it is asked for.
# And what reads the parameters of an active server, which are no others'.
_ONLY_IF_NAMED = {
  config.AttackMethod.SPAN_DESCENT,
  config.AttackMethod.CLIENT_ROUNDS,
  config.AttackMethod.ADAM_INVERSE,
  config.AttackMethod.ADAPTIVE,
  config.AttackMethod.IMPRINT,
}


class Attempt(NamedTuple):
  """What one method made of an observation.

  found: None where it refused.
  refused: why; '' where it did not.
  seconds: of the attack alone, compilation included.
  spectra: of the updates whose rank it looked at, also where it refused.
  """

  method: config.AttackMethod
  found: observation.Reconstruction | None
  refused: str
  seconds: float
  spectra: tuple[subspace.Spectrum, ...] = ()


def settled(
  attack: config.AttackConfig, architecture: config.Architecture
) -> config.AttackConfig:
  """With the architecture's own methods where `attack.methods` names none.

  Raises:
    ConfigError: one that is named is for another architecture.
  """
  for other, own in _OWN.items():
    wrong = [name for name in attack.methods if name in own]
    if wrong and other is not architecture:
      raise config.ConfigError(
        f'config.attack.methods={attack.methods}: {", ".join(wrong)} is for '
        f'{other.value}, the model is {architecture.value}; want () or some of '
        f'{", ".join(_possible(architecture))}.'
      )
  if attack.methods:
    return attack
  if attack.server is config.Server.ACTIVE:
    methods = (config.AttackMethod.IMPRINT.value,)
    return dataclasses.replace(attack, methods=methods)
  methods = tuple(
    method.value
    for method in _OWN[architecture]
    if method not in _ONLY_IF_NAMED
  )
  return dataclasses.replace(attack, methods=methods)


def _possible(architecture: config.Architecture) -> list[str]:
  """What may be named for it, its own methods first."""
  owned = [method for own in _OWN.values() for method in own]
  general = [method for method in config.AttackMethod if method not in owned]
  return [method.value for method in (*_OWN[architecture], *general)]


def check_names(attack: config.AttackConfig, params: model.Params) -> None:
  """Before any attack: a method may be a long time coming.

  Raises:
    ObservationError: a parameter to withhold, or a layer of a method that will
      be tried, is not in the model.
  """
  try:
    observation.without(params, attack.withheld)
  except observation.ObservationError as error:
    raise observation.ObservationError(
      f'config.attack.withheld: {error}'
    ) from error
  for name in attack.methods:
    layers = getattr(getattr(attack, name), 'layers', ())
    try:
      observation.selected(params, layers)
    except observation.ObservationError as error:
      raise observation.ObservationError(
        f'config.attack.{name}.layers: {error}'
      ) from error


def attempts(
  observed: observation.Observation,
  attack: config.AttackConfig,
  key: jax.Array,
  report: observation.Report,
  progress: pathlib.Path,
) -> list[Attempt]:
  """Every method that was tried; the last may be the one that is certified.

  `progress` is a file that gradient matching resumes from.
  """
  made = []
  for name in attack.methods:
    method = config.AttackMethod(name)
    attempt = _attempt(method, observed, attack, key, report, progress)
    made.append(attempt)
    is_certified = attempt.found is not None and attempt.found.is_certified
    if is_certified and not attack.tries_all:
      break
  return made


def _attempt(
  method: config.AttackMethod,
  observed: observation.Observation,
  attack: config.AttackConfig,
  key: jax.Array,
  report: observation.Report,
  progress: pathlib.Path,
) -> Attempt:
  options: dict[str, Any] = {}
  if method is config.AttackMethod.GRADIENT_MATCHING:
    options['progress'] = progress
  report(f'{method.value}: begins')
  started = time.perf_counter()
  found, refused, spectra = None, '', ()
  try:
    found = _RECONSTRUCT[method](
      observed,
      getattr(attack, method.value),
      key,
      lambda line: report(f'{method.value}: {line}'),
      **options,
    )
    spectra = found.spectra
  except observation.Refused as error:
    refused, spectra = str(error), error.spectra
  seconds = time.perf_counter() - started
  return Attempt(method, found, refused, seconds, spectra)
