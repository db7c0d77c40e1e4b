"""What the model sends back for public speech: how d_t is distributed.

The attacker has the model and public utterances with their transcripts. Their
updates, made as the client makes its own, give the d_t that stand behind them
by least squares: dW = C' D with more inputs of the layer than windows.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float64

from fedjax_asr.attacks import client_gradient, context_windows, observation
from fedjax_asr.attacks.likelihood import (
  dense_stack,
  gated_likelihood,
  window_likelihood,
)
from fedjax_asr.federated import cohort

_LABEL_QUANTUM = 32
# Utterances from which on energies are regressed on lengths.
_NUM_REGRESSED = 8
# Part of the largest variance that every axis has: no less is ever believed.
_LEAST = 1e-7


class PublicUpdate(NamedTuple):
  """What an utterance sends, kernel above bias; what the layer was given."""

  update: Float64[np.ndarray, 'entries units']
  inputs: Float64[np.ndarray, 'windows taps']


class Energy(NamedTuple):
  """Mean of d_t squared of an utterance, over that of all public windows.

  A client that clips its gradients sends less of each window, the more there
  are: the logarithm goes with that of the number of windows.
  """

  intercept: float
  slope: float

  def of(self, num_windows: int) -> float:
    return float(np.exp(self.intercept + self.slope * np.log(num_windows)))


class Signals(NamedTuple):
  """Of all public windows together.

  axes: principal axes of d_t over units, in columns.
  variances: along them.
  deviations: of each unit where it is active.
  energy: by how much an utterance of another length has more or less.
  updates: of each public utterance.
  """

  axes: Float64[np.ndarray, 'units units']
  variances: Float64[np.ndarray, ' units']
  deviations: Float64[np.ndarray, ' units']
  energy: Energy
  updates: tuple[PublicUpdate, ...]

  def received(
    self, update: Float64[np.ndarray, 'entries units'], num_windows: int
  ) -> window_likelihood.Received:
    """An update along the axes, of so many windows."""
    variances = self.variances * self.energy.of(num_windows)
    return window_likelihood.Received(update @ self.axes, variances)


# Of the last model and speech, by the objects themselves: all victims of a
# round share both. Threads attack at once.
_last: list[tuple[tuple, tuple[Signals, ...]]] = []
_lock = threading.Lock()


def fitted(
  observed: observation.Observation,
  public: Sequence[observation.PublicUtterance],
  shape: context_windows.Shape,
  layers: tuple[str, ...],
  num_frames: int,
) -> tuple[Signals, ...]:
  """As `_fitted`, computed once for victims that share model and speech."""
  key = (observed.params, tuple(public), shape, layers, num_frames)
  with _lock:
    if not _last or not _is_same(_last[0][0], key):
      _last[:] = [(key, _fitted(observed, public, shape, layers, num_frames))]
    return _last[0][1]


def _is_same(one: tuple, other: tuple) -> bool:
  mine, theirs = one[1], other[1]
  return (
    one[0] is other[0]
    and one[2:] == other[2:]
    and len(mine) == len(theirs)
    and all(a is b for a, b in zip(mine, theirs, strict=True))
  )


def _fitted(
  observed: observation.Observation,
  public: Sequence[observation.PublicUtterance],
  shape: context_windows.Shape,
  layers: tuple[str, ...],
  num_frames: int,
) -> tuple[Signals, ...]:
  """Of the dense layers `layers`, of which the first sees context windows.

  `num_frames`: of the public utterances, which are cut to it; no more than
  any of the layers has inputs.
  """
  parameters = [parameters_of(observed, name) for name in layers]
  send = _sender(observed, layers)
  made: list[list[PublicUpdate]] = [[] for _ in layers]
  for each in public:
    cut = _cut(each, num_frames, observed)
    windows = context_windows.windows(cut.features, shape, cut.num_windows)
    given = dense_stack.inputs(windows, parameters)
    for found, update, inputs in zip(
      made, send(*cut.arrays), given, strict=True
    ):
      found.append(PublicUpdate(np.asarray(update, np.float64), inputs))
  return tuple(
    _of_layer(layer, tuple(updates))
    for layer, updates in zip(parameters, made, strict=True)
  )


def parameters_of(
  observed: observation.Observation, name: str
) -> gated_likelihood.Layer:
  """The layer as it was sent; nothing is known yet of what is sent back."""
  kernel, bias = (
    np.asarray(observed.params[name][part], np.float64)
    for part in ('kernel', 'bias')
  )
  return gated_likelihood.Layer(kernel, bias, np.ones_like(bias))


def _of_layer(
  layer: gated_likelihood.Layer, updates: tuple[PublicUpdate, ...]
) -> Signals:
  found, active = [], []
  for each in updates:
    whole = np.column_stack([each.inputs, np.ones(len(each.inputs))])
    signals, *_ = np.linalg.lstsq(whole.T, each.update)
    found.append(signals)
    active.append(each.inputs @ layer.kernel + layer.bias > 0)
  whole = np.concatenate(found)
  variances, axes = np.linalg.eigh(whole.T @ whole / len(whole))
  variances = np.maximum(variances, _LEAST * variances.max())
  return Signals(
    axes,
    variances,
    _deviations(whole, np.concatenate(active)),
    _energy(found, float(np.mean(whole**2))),
    updates,
  )


def _deviations(
  signals: Float64[np.ndarray, 'windows units'],
  active: Bool[np.ndarray, 'windows units'],
) -> Float64[np.ndarray, ' units']:
  squares = np.sum(np.where(active, signals**2, 0.0), axis=0)
  of_unit = squares / np.maximum(active.sum(axis=0), 1)
  return np.sqrt(np.maximum(of_unit, _LEAST * of_unit.max()))


def _energy(
  signals: Sequence[Float64[np.ndarray, '_ units']], of_all: float
) -> Energy:
  """That of all, where few utterances or one length tell no more."""
  lengths = np.log([len(each) for each in signals])
  energies = np.log([np.mean(each**2) / of_all for each in signals])
  if len(signals) < _NUM_REGRESSED or np.ptp(lengths) == 0:
    return Energy(0.0, 0.0)
  slope, intercept = np.polyfit(lengths, energies, 1)
  return Energy(float(intercept), float(slope))


class _Cut(NamedTuple):
  features: Float64[np.ndarray, 'frames features']
  num_windows: int
  arrays: tuple[jax.Array, ...]


def _cut(
  each: observation.PublicUtterance,
  num_frames: int,
  observed: observation.Observation,
) -> _Cut:
  """The utterance's beginning, with as much of its transcript."""
  count = min(num_frames, len(each.features))
  num_labels = max(1, len(each.labels) * count // len(each.features))
  features = np.zeros((num_frames, each.features.shape[1]), np.float32)
  features[:count] = each.features[:count]
  labels = np.zeros(-(-num_labels // _LABEL_QUANTUM) * _LABEL_QUANTUM, np.int32)
  labels[:num_labels] = each.labels[:num_labels]
  return _Cut(
    features[:count].astype(np.float64),
    int(observed.acoustic.num_output_frames(count)),
    tuple(map(jnp.asarray, (features, count, labels, num_labels))),
  )


def _sender(
  observed: observation.Observation, layers: tuple[str, ...]
) -> Callable[..., tuple[jax.Array, ...]]:
  """Kernel above bias, of each layer, of what the client would send."""
  acoustic = client_gradient.attacked_model(observed)
  names = tuple(observation.flat(observed.params))
  clip_norm = observed.treatment.clip_norm

  @jax.jit
  def send(
    start: client_gradient.Start,
    features: jax.Array,
    num_frames: jax.Array,
    labels: jax.Array,
    num_labels: jax.Array,
  ) -> tuple[jax.Array, ...]:
    spoken = cohort.Batch(
      features[None], num_frames[None], labels[None], num_labels[None]
    )
    sent = client_gradient.update(observed, acoustic, names, start, spoken)
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in sent.values()))
    scale = jnp.minimum(1.0, clip_norm / norm) if clip_norm else 1.0
    return tuple(
      scale
      * jnp.concatenate([sent[f'{each}/kernel'], sent[f'{each}/bias'][None]])
      for each in layers
    )

  start = client_gradient.Start(observed.params, observed.norm_state)
  return functools.partial(send, start)
