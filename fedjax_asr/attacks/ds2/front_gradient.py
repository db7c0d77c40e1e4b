"""The convolutions' update that goes with features, given their frames."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr.attacks import observation
from fedjax_asr.attacks.ds2 import front_inversion
from fedjax_asr.models import model

_KERNEL = 'recurrent_0/input_kernel'


def predicted(
  observed: observation.Observation,
  problems: Sequence[front_inversion.Problem],
  features: Sequence[jax.Array],
) -> list[model.Params]:
  """The convolutions' update from each utterance, as their names say.

  The recurrence's input kernel gives what each frame was pulled by; that is
  taken through the convolutions.
  """
  layer = observed.params['recurrent_0']['input_kernel']
  update = observation.needed(observed, _KERNEL)
  convolutions = {
    name: leaves
    for name, leaves in observed.params.items()
    if name.startswith('conv_')
  }
  frames, pulls = [], []
  for wanted, values in zip(problems, features, strict=True):
    made, pull = jax.vjp(
      lambda params, wanted=wanted, values=values: _frames(
        observed, observed.params | params, wanted, values
      ),
      convolutions,
    )
    frames.append(np.asarray(made, np.float64))
    pulls.append(pull)
  parts, *_ = np.linalg.lstsq(np.concatenate(frames).T, update, rcond=None)
  ends = np.cumsum([len(each) for each in frames])[:-1]
  kernel = np.asarray(layer, np.float64)
  return [
    jax.tree.map(np.asarray, pull(jnp.asarray(part @ kernel.T, jnp.float32))[0])
    for pull, part in zip(pulls, np.split(parts, ends), strict=True)
  ]


def _frames(
  observed: observation.Observation,
  params: model.Params,
  wanted: front_inversion.Problem,
  features: Float[Array, 'frames features'],
) -> Float[Array, 'outputs units']:
  front, train = front_inversion.front(observed)
  with jax.default_matmul_precision('highest'):
    values, _, _ = front(
      params,
      observed.norm_state,
      features[None],
      wanted.num_frames,
      train=train,
    )
  return values[0]


def evidence(
  observed: observation.Observation,
) -> dict[str, np.ndarray]:
  """What the convolutions' updates say."""
  names = [
    name for name in observation.flat(observed.params) if name[:5] == 'conv_'
  ]
  found = {name: observation.evidence(observed, name) for name in names}
  return {name: value for name, value in found.items() if value is not None}


def cosine(
  observed: observation.Observation,
  problems: Sequence[front_inversion.Problem],
  features: Sequence[jax.Array],
) -> float:
  """Between the convolutions' updates as predicted and as observed.

  Not a number where none was sent.
  """
  total = observation.flat(
    jax.tree.map(
      lambda *leaves: sum(leaves), *predicted(observed, problems, features)
    )
  )
  wanted = evidence(observed)
  if not wanted:
    return float('nan')
  expected, seen = (
    np.concatenate(
      [np.asarray(tree[name], np.float64).ravel() for name in wanted]
    )
    for tree in (total, wanted)
  )
  scale = np.linalg.norm(expected) * np.linalg.norm(seen)
  return float(expected @ seen / max(scale, 1e-300))
