"""How far frames lie outside what a recurrence's update spans.

The update of DeepSpeech 2's input kernel, sum_t u_t d_t^T, spans the frames u_t
that the convolutions give. With N a basis of the complement, every true frame
solves N^T u / |u| = 0; neither labels nor loss nor recurrence is in it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedjax_asr.attacks import observation, subspace
from fedjax_asr.attacks.ds2 import front_inversion
from fedjax_asr.attacks.matching import matching_objective
from fedjax_asr.models import model
from fedjax_asr.speech import features as features_lib

LAYER = 'recurrent_0/input_kernel'
# Keeps the slope finite at a frame of zeros, whose residual then is 1.
_TINY = 1e-12


class Problem(NamedTuple):
  """What compiled programs are given.

  complement: of the span, orthonormal.
  speech: the units in which points are.
  num_frames: of the features, [1].
  """

  params: model.Params
  norm_state: model.NormState
  complement: Float[Array, 'units others']
  speech: features_lib.Statistics
  num_frames: jax.Array


def opened(
  observed: observation.Observation, spanned: subspace.Subspace | None = None
) -> Problem:
  """Of one utterance, as long as declared or else as the span's rank says.

  The rank is the number of output frames, and each counts as a whole stride;
  what an utterance lacks of the last one comes out as zeros at its end.
  `spanned` is what `space` gave, where that was called before.

  Raises:
    observation.Refused: no DeepSpeech 2, several utterances, Adam at the
      client, no drop in the spectrum, or so many frames that the complement
      has fewer equations than there are unknowns: no residual proves anything
      then.
  """
  spanned = spanned or space(observed)
  convolutions = {
    name: leaves
    for name, leaves in observed.params.items()
    if name.startswith('conv_')
  }
  declared = observed.declared
  width = observed.features.num_features
  frames = spanned.rank * front_inversion.time_stride(observed)
  if declared.num_frames is not None:
    (frames,) = declared.num_frames
  return Problem(
    convolutions,
    observed.norm_state,
    jnp.asarray(spanned.complement, jnp.float32),
    declared.speech or matching_objective.standard(width),
    jnp.full(1, frames, jnp.int32),
  )


def _check(observed: observation.Observation) -> None:
  if observed.acoustic.front is None:
    raise observation.Refused(
      f'architecture {observed.model.architecture.value}: want ds2, whose '
      'recurrence is given what convolutions make.'
    )
  if not observation.keeps_span(observed):
    raise observation.Refused(
      "client optimizer adam: its delta does not keep the gradient's span."
    )
  declared = observed.declared
  lengths = declared.num_frames
  count = declared.num_utterances or (1 if lengths is None else len(lengths))
  if count != 1 or (lengths is not None and len(lengths) != 1):
    raise observation.Refused(f'{count} utterances: want one.')


def space(observed: observation.Observation) -> subspace.Subspace:
  """What the frames span; raises as `opened` does."""
  _check(observed)
  update = observation.needed(observed, LAYER)
  spanned = subspace.column_space(update)
  with observation.having_seen(spanned.spectrum(LAYER)):
    _check_rank(observed, spanned, update.shape)
  return spanned


def _check_rank(
  observed: observation.Observation,
  spanned: subspace.Subspace,
  shape: tuple[int, ...],
) -> None:
  if spanned.gap <= 1 or spanned.rank >= min(shape):
    raise observation.Refused(
      f'{LAYER}: no drop in its {min(shape)} singular values: as many '
      'frames or more, or an update that is noisy, quantised or sparsified.'
    )
  unknowns = (
    front_inversion.time_stride(observed) * observed.features.num_features
  )
  num_equations = shape[0] - spanned.rank
  if num_equations < unknowns:
    raise observation.Refused(
      f'{LAYER}: {num_equations} equations for {unknowns} unknowns '
      f'of each of {spanned.rank} output frames; want as many.'
    )


def residual(
  front: front_inversion.Front,
  problem: Problem,
  point: Float[Array, 'frames features'],
) -> Float[Array, '']:
  """Mean over output frames of |N^T u|^2 / |u|^2; between 0 and 1.

  1 for a frame of zeros, which has no direction. `point` is in the units of
  `problem.speech`.
  """
  apply, train = front
  values, _, _ = apply(
    problem.params,
    problem.norm_state,
    matching_objective.in_features(problem.speech, point)[None],
    problem.num_frames,
    train=train,
  )
  outside = jnp.square(values[0] @ problem.complement).sum(1)
  whole = jnp.square(values[0]).sum(1)
  return ((outside + _TINY) / (whole + _TINY)).mean()


def objective(
  front: front_inversion.Front,
  problem: Problem,
  amplitude_prior: Float[Array, ''],
  point: Float[Array, 'frames features'],
) -> Float[Array, '']:
  """The residual, plus so many times the mean square of the point."""
  penalty = amplitude_prior * jnp.square(point).mean()
  return residual(front, problem, point) + penalty
