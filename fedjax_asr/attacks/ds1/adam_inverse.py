"""What a first step of Adam says of the gradient: its float32 numbers undone.

A fresh Adam moves every weight by r * g / (|g| + eps), nearly r in the
gradient's direction: signs, it seems. But 1 - |g| / (|g| + eps) is eps / |g|,
which float32 holds as long as |g| is not much above 1e-8 / 6e-8 = 0.2 (of a
weight that is zero), or 1e-8 / 2e-6 = 5e-3 of weights of a few hundredths,
whose last bit is coarser. Where local gradients are clipped to a norm, entries
are smaller than that and the gradient is told, each entry with an error that
follows from the weight's last bit. The first layer's kernel is then a matrix
of low rank with known errors: weighted least squares bring it back to that
rank (alternating, as in Srebro and Jaakkola 2003), and `span` reads the speech.

Assumes:
  observed: the delta of one local step of Adam, in float32, of the first
    layer's kernel and bias; of layer 2, if anything, as `span`.
  told: the parameters that the server sent, the learning rate, the precision of
    the client's products, that the optimizer is Adam with optax's eps; neither
    transcript nor length nor number of utterances, nor the loss or the clipping
    norm. Of public speech mean and deviation, for a size that no update tells.
  model: a DeepSpeech 1 of clipped ReLUs, as `span`.
  training: a single step of a fresh Adam, from gradients as small as said, as
    clipping to a norm leaves them; one utterance or few, so that the entries
    that are told are more than the free numbers of a matrix of their rank.
  noise: float32's rounding alone: nothing was added to the delta or taken from
    it.
  refused: another optimizer, a gradient, several steps, another model, no
    update of the kernel or the bias, gradients too large to be told or too many
    windows, and what `span` refuses.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from fedjax_asr import config
from fedjax_asr.attacks import observation, precision
from fedjax_asr.attacks.ds1 import first_layer, span
from fedjax_asr.federated import optimizers

# Optax's default, which clients use.
_EPSILON = 1e-8
# Relative errors of Adam's own few operations.
_OPERATIONS = 2.0**-24
# Gradients for which eps is nothing: they tell the longest step there is.
_LARGE = 1e3
# Deviations of an entry from the longest step under which it tells no size.
_UNTOLD = 3.0
# Weights span ten orders, over which least squares do not get from one side to
# the other: all errors count as at least these parts of their unit's typical
# one, one part after another, for so many iterations each.
_LEAST_ERRORS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
_NUM_ITERATIONS = 6
# Singular values this much above the edge of noise are no noise.
_ABOVE_EDGE = 1.1
# Free numbers for each entry that is told, up to which a rank is tried.
_MOST_FREE = 0.8
# Of a Gram matrix's mean diagonal: keeps it solvable.
_RIDGE = 1e-9


class Restored(NamedTuple):
  """A gradient, up to the factor by which clipping had shortened it.

  deviation: of each entry's error.
  """

  values: Float64[np.ndarray, '...']
  deviation: Float64[np.ndarray, '...']


class LowRank(NamedTuple):
  """chi_square: squared distance for each degree of freedom that is left."""

  values: Float64[np.ndarray, 'taps units']
  rank: int
  chi_square: float


def reconstruct(
  observed: observation.Observation,
  cfg: config.AdamInverseConfig,
  key: jax.Array,
  report: Callable[[str], None] | None = None,
) -> observation.Reconstruction:
  """The utterances of which `span` makes the restored gradient.

  Certified by what `span` asks; that the gradient has the rank which is taken
  for the number of windows is by `chi_square`: what is left of the kernel is no
  more than the errors that its float32 numbers must have.

  Raises:
    observation.Refused: no single step of Adam, gradients too large to be
      told, or what `span` refuses.
  """
  tell = report or (lambda _: None)
  _check(observed)
  kernel = restored(observed, first_layer.KERNEL)
  bias = restored(observed, first_layer.BIAS)
  told = float(np.mean(kernel.deviation < 0.1 * np.abs(kernel.values)))
  tell(f'{told:.0%} of the entries are told within a tenth')
  # The bias is the gradient of an input that is 1 in every window.
  fit = fitted(_stacked(kernel, bias), cfg.max_chi_square, tell)
  if fit is None:
    raise observation.Refused(
      f'{first_layer.KERNEL}: {told:.0%} of the entries of its gradient are '
      'told within a tenth, and no matrix of low rank agrees with them; want '
      'fewer windows.'
    )
  chi_square = fit.chi_square
  level = typical_errors(kernel)
  update = dict(observed.update)
  # Units of one error each: a factor of a unit's gradient changes no window.
  update['dense_0'] = {
    'kernel': fit.values[:-1] / level,
    'bias': fit.values[-1] / level,
  }
  found = span.reconstruct(
    observed._replace(
      update=update,
      observed=config.Observed.GRADIENT,
      client=dataclasses.replace(
        observed.client, optimizer=config.ClientOptimizer.SGD
      ),
    ),
    cfg,
    key,
    report,
  )
  return found._replace(
    certificate={
      **found.certificate,
      'chi_square': chi_square,
      'told_within_a_tenth': told,
    },
    # What is below the errors is not known.
    is_whole=False,
    ledger=observation.ledger(
      observed, found.ledger.layers, prior=found.ledger.prior
    ),
  )


def _stacked(kernel: Restored, bias: Restored) -> Restored:
  return Restored(*(np.vstack(each) for each in zip(kernel, bias, strict=True)))


def _check(observed: observation.Observation) -> None:
  if observed.client.optimizer is not config.ClientOptimizer.ADAM:
    raise observation.Refused(
      f'client optimizer {observed.client.optimizer.value}: want adam.'
    )
  if observed.observed is not config.Observed.DELTA or observed.num_steps != 1:
    raise observation.Refused(
      f'{observed.observed.value} of {observed.num_steps} local steps: want '
      'the delta of one.'
    )
  # Of the layers that a method for SGD would use.
  sgd = dataclasses.replace(
    observed.client, optimizer=config.ClientOptimizer.SGD
  )
  first_layer.window_shape(observed._replace(client=sgd))


def restored(observed: observation.Observation, name: str) -> Restored:
  """The gradient of a parameter, from what a first step of Adam made of it.

  Where the step is as long as any, the gradient is as large as the step's last
  bit tells or larger; its error is then infinite.
  """
  moved = observation.needed(observed, name)
  before = np.asarray(observation.flat(observed.params)[name], np.float64)
  rate = observed.learning_rate
  larger = np.maximum(np.abs(before), np.abs(before - moved))
  last_bit = np.spacing(larger.astype(np.float32)).astype(np.float64)
  # Rounding is even within half of a last bit to each side.
  deviation = np.sqrt((last_bit / rate) ** 2 / 12 + _OPERATIONS**2)
  share = np.abs(moved) / longest_step(observed)
  left = np.maximum(1 - share, deviation)
  sizes = _EPSILON * np.minimum(share, 1.0) / left
  errors = deviation * (sizes + _EPSILON) ** 2 / _EPSILON
  is_told = 1 - share > _UNTOLD * deviation
  # The gradient was a sum of products, none more exact than its whole unit.
  typical = np.sqrt(np.mean(np.where(is_told, sizes, 0.0) ** 2, axis=0))
  own = precision.unit_roundoff(observed.precision) * typical
  errors = np.hypot(errors, own)
  return Restored(np.sign(moved) * sizes, np.where(is_told, errors, np.inf))


def longest_step(observed: observation.Observation) -> float:
  """Of a weight at zero, as the client's float32 operations have it.

  Their bias corrections make it less than the rate, by more than the last bit.
  """
  plain = dataclasses.replace(observed.client, clip_norm=0.0)
  rate = jnp.float32(observed.learning_rate)
  adam = optimizers.client_optimizer(plain, rate)
  weight = jnp.zeros(())
  step, _ = adam.update(jnp.float32(_LARGE), adam.init(weight), weight)
  return float(np.abs(np.asarray(step, np.float64)))


def fitted(
  noisy: Restored, limit: float, tell: Callable[[str], None]
) -> LowRank | None:
  """The matrix of least rank that agrees with the entries.

  Of as many as singular values stand out of the errors, or by halving above
  that. None where none does that leaves some entries to tell so.
  """
  rows, columns = noisy.values.shape
  told = np.isfinite(noisy.deviation).sum() * _MOST_FREE
  ranks = np.arange(min(rows, columns))
  low = _num_above_errors(noisy) - 1
  high = int((ranks * (rows + columns - ranks) <= told).sum()) - 1
  best, middle = None, low + 1
  while low < middle <= high and high - low > (best is not None):
    found = low_rank(noisy, middle)
    tell(f'rank {middle}: chi square {found.chi_square:.3f}')
    if found.chi_square <= limit:
      high, best = middle, found
    else:
      low = middle
    middle = (low + high + 1) // 2
  return best


def _num_above_errors(noisy: Restored) -> int:
  """Singular values above the edge of noise of the errors' size; 1 at least."""
  values = np.linalg.svd(noisy.values / typical_errors(noisy), compute_uv=False)
  edge = sum(np.sqrt(noisy.values.shape))
  return max(int((values > _ABOVE_EDGE * edge).sum()), 1)


def low_rank(noisy: Restored, rank: int) -> LowRank:
  """The matrix of that rank which is nearest in units of the deviations."""
  values = noisy.values
  level = typical_errors(noisy)
  left = np.linalg.svd(values / level, full_matrices=False)[0][:, :rank]
  right, weights = left, level
  for least in _LEAST_ERRORS:
    weights = 1 / (noisy.deviation**2 + (least * level) ** 2)
    for _ in range(_NUM_ITERATIONS):
      right = _solved(left, weights.T, values.T)
      left, _ = np.linalg.qr(_solved(right, weights, values))
    right = _solved(left, weights.T, values.T)
  found = left @ right.T
  told = int(np.isfinite(noisy.deviation).sum())
  freedom = max(told - rank * (sum(values.shape) - rank), 1)
  error = float(np.sum(weights * (found - values) ** 2) / freedom)
  return LowRank(found, rank, error)


def typical_errors(noisy: Restored) -> Float64[np.ndarray, ' units']:
  """Of each unit's entries; what is not told is off by as much as it is."""
  is_told = np.isfinite(noisy.deviation)
  errors = np.where(is_told, noisy.deviation, np.abs(noisy.values))
  level = np.sqrt(np.mean(errors**2, axis=0))
  return np.where(level > 0, level, level.max() or 1.0)


def _solved(
  factor: Float64[np.ndarray, 'columns rank'],
  weights: Float64[np.ndarray, 'rows columns'],
  values: Float64[np.ndarray, 'rows columns'],
) -> Float64[np.ndarray, 'rows rank']:
  """For each row of `values` its weighted least squares on `factor`."""
  rank = factor.shape[1]
  gram = np.matmul(factor.T * weights[:, None, :], factor)
  ridge = _RIDGE * np.trace(gram, axis1=1, axis2=2) / rank
  gram += ridge[:, None, None] * np.eye(rank)
  return np.linalg.solve(gram, ((weights * values) @ factor)[..., None])[..., 0]
