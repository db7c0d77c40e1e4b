"""The size of features, where an update tells no more than their shape."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedjax_asr import config
from fedjax_asr.attacks import observation

UNIT_VARIANCE = 'unit variance of features normalised per utterance'
PUBLIC_SPEECH = 'mean and deviation of public speech'

# Features under this part of the mean square are beyond the end.
_SILENT = 1e-4


class KnownScale(NamedTuple):
  """mean_square: of the features; source: how it is known."""

  mean_square: float
  source: str


def of_features(observed: observation.Observation) -> KnownScale | None:
  """Exact where utterances are normalised by themselves, otherwise that of
  public speech; None where nothing is declared of that."""
  if observed.features.normalization is config.Normalization.UTTERANCE:
    return KnownScale(1.0, UNIT_VARIANCE)
  speech = observed.declared.speech
  if speech is None:
    return None
  square = np.square(speech.mean) + np.square(speech.std)
  return KnownScale(float(square.mean()), PUBLIC_SPEECH)


def scaled(
  known: KnownScale, features: Float[np.ndarray, 'frames features']
) -> Float[np.ndarray, 'frames features']:
  """The same shape, of that mean square; zeros stay zeros.

  Frames of zeros at the end, where an utterance does not fill the last stride,
  are no part of the mean.
  """
  square = float(np.square(trimmed(features)).mean())
  return features * np.sqrt(known.mean_square / square) if square else features


def trimmed(
  features: Float[np.ndarray, 'frames features'],
) -> Float[np.ndarray, 'heard features']:
  """Without zeros at the end, which are where the last stride found none."""
  energy = np.square(features).mean(1)
  heard = np.flatnonzero(energy > _SILENT * energy.mean())
  return features[: heard[-1] + 1] if len(heard) else features
