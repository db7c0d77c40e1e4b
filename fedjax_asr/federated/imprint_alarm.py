"""Whether received parameters look as if they were made to read speech.

A client runs it on what a server sends, before it trains. An imprint (Fowl et
al. 2022, arXiv 2110.13057) needs many units of a dense layer that look along
one direction and differ in their thresholds: their columns are parallel. Units
that training leaves alike are few: random columns of d inputs have cosines of
about d^-1/2. What it does not see: an imprint in fewer units than it lets pass;
traps of other kinds, such as columns as they were with biases that let hardly
anything pass.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

# Cosine from which two columns count as parallel.
PARALLEL = 0.8
# Share of a layer's units with a parallel one up to which there is no alarm.
MAX_SHARE = 0.01


class Alarm(NamedTuple):
  """Of the layer that looks most like an imprint.

  layer: its name.
  parallel: share of its units whose column has a parallel one.
  effective_rank: exponential of the spectrum's entropy (Roy and Vetterli 2007),
    as a share of what the kernel's shape allows.
  is_raised: whether a client should not train on this.
  """

  layer: str
  parallel: float
  effective_rank: float
  is_raised: bool


def of_params(params: Any, max_share: float = MAX_SHARE) -> Alarm:
  """Over all dense layers of the model that are named `dense_<n>`.

  Raises:
    ValueError: there is none.
  """
  layers = sorted(name for name in params if name.startswith('dense_'))
  if not layers:
    raise ValueError(
      f'{sorted(params)}: no layer dense_<n>; want DeepSpeech 1.'
    )
  alarms = [
    of_kernel(np.asarray(params[name]['kernel'], np.float64), name, max_share)
    for name in layers
  ]
  return max(alarms, key=lambda alarm: alarm.parallel)


def of_kernel(
  kernel: Float[np.ndarray, 'inputs units'],
  layer: str = '',
  max_share: float = MAX_SHARE,
) -> Alarm:
  """Of one kernel; units whose column is zero are like none."""
  parallel = parallel_share(kernel)
  return Alarm(layer, parallel, effective_rank(kernel), parallel > max_share)


def parallel_share(
  kernel: Float[np.ndarray, 'inputs units'], cosine: float = PARALLEL
) -> float:
  """Of the units, those whose column is parallel to another's or opposite."""
  norms = np.linalg.norm(kernel, axis=0)
  columns = kernel[:, norms > 0] / norms[norms > 0]
  cosines = np.abs(columns.T @ columns)
  np.fill_diagonal(cosines, 0)
  return float((cosines.max(axis=1, initial=0) > cosine).sum() / len(norms))


def effective_rank(kernel: Float[np.ndarray, 'inputs units']) -> float:
  """1 for a spectrum that is level, towards 0 for one direction."""
  values = np.linalg.svd(kernel, compute_uv=False)
  if not values.any():
    return 0.0
  share = values / values.sum()
  share = share[share > 0]
  return float(np.exp(-np.sum(share * np.log(share))) / len(values))


def described(alarm: Alarm) -> str:
  """One line for a terminal."""
  raised = 'ALARM' if alarm.is_raised else 'no alarm'
  return (
    f'{raised}: {alarm.parallel:.1%} of the units of {alarm.layer} have a '
    f'parallel one (honest models: at most {MAX_SHARE:.0%}), effective rank '
    f'{alarm.effective_rank:.2f}'
  )
