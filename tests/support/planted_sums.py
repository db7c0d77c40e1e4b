"""Sums of rounds whose every utterance is known: the first layer's update is
written down by hand, signals vanishing where a unit is not active."""

import numpy as np
import tiny_victim

from fedjax_asr.attacks import context_windows, observation

SHAPE = context_windows.Shape(3, 1, tiny_victim.NUM_FEATURES)
_FIELDS = {'context_frames': 3, 'dense_sizes': (80, 20, 20)}


def spoken(rng: np.random.Generator, num_frames: int) -> np.ndarray:
  return rng.standard_normal((num_frames, SHAPE.num_features))


def observed(
  rng: np.random.Generator, utterances: list[np.ndarray], seed: int = 0
) -> observation.Observation:
  """The sum of a round with these utterances, of parameters of its own."""
  made, _ = tiny_victim.unsent(seed=seed, **_FIELDS)
  kernel, bias = (
    np.asarray(made.params['dense_0'][name], np.float64)
    for name in ('kernel', 'bias')
  )
  windows = np.concatenate(
    [context_windows.windows(each, SHAPE, len(each)) for each in utterances]
  )
  signals = rng.standard_normal((len(windows), len(bias)))
  signals *= windows @ kernel + bias > 0
  update = {
    'kernel': np.float32(windows.T @ signals),
    'bias': np.float32(signals.sum(axis=0)),
  }
  return made._replace(update={'dense_0': update})


def noise(rng: np.random.Generator) -> observation.Observation:
  """An update that no windows are behind."""
  made = observed(rng, [spoken(rng, 4)])
  update = {
    name: rng.standard_normal(np.shape(value)).astype(np.float32)
    for name, value in made.update['dense_0'].items()
  }
  return made._replace(update={'dense_0': update})
