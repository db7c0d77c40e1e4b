"""The methods of an attack, one after another until one is believed."""

import importlib
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.models import model

Report = Callable[[str], None]


class Attempt(NamedTuple):
  """What one method made of an observation.

  found: None where it refused.
  refused: why; '' where it did not.
  seconds: of the attack alone, compilation included.
  """

  method: config.AttackMethod
  found: observation.Reconstruction | None
  refused: str
  seconds: float


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
  report: Report,
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


def _attempt(method, observed, attack, key, report, progress) -> Attempt:
  # Here, because a method's libraries take long to import.
  module = importlib.import_module(f'fedjax_asr.attacks.{method.value}')
  options: dict[str, Any] = {}
  if method is config.AttackMethod.GRADIENT_MATCHING:
    options['progress'] = progress
  report(f'{method.value}: begins')
  started = time.perf_counter()
  found, refused = None, ''
  try:
    found = module.reconstruct(
      observed,
      getattr(attack, method.value),
      key,
      lambda line: report(f'{method.value}: {line}'),
      **options,
    )
  except observation.Refused as error:
    refused = str(error)
  return Attempt(method, found, refused, time.perf_counter() - started)
