"""DeepSpeech 2's input from its first recurrence's update, step by step.

1. The update of the recurrence's input kernel, sum_t u_t d_t^T, spans the same
   space as the frames u_t that the convolutions give.
2. The first frame is what the update of the recurrent kernel does not share,
   and each other follows from the state before it (`state_map`, `frame_chain`).
   What is missed there is searched for: frames are that space's sparse
   nonnegative directions (`sparse_frames`).
3. Only in their true order do they lead through the states that the update of
   the recurrent kernel spans (`frame_order`): no time shift is possible.
4. Features are found whose convolutions give those frames (`front_inversion`).
5. The frames give the d_t, and these the gradients that the convolutions must
   have had. Their biases' update tells the scale of the features, which
   normalisation hides; all of it together is the certificate.

No transcript, length, label or loss is used.

Assumes:
  observed: the updates of the first recurrence's kernels, and of its bias where
    no norm hides frames' lengths; of the convolutions, for scale and
    certificate; with batch norm the running averages, of one step.
  told: the parameters that the server sent, the precision of the client's
    products; neither transcript nor length nor number of utterances. Of public
    speech mean and deviation, for a scale that no update tells.
  model: a DeepSpeech 2 whose convolutions end in clipped ReLUs and give twice
    as many units as an output frame has unknowns, about half of them at zero.
  training: convolutions and recurrence as they were sent throughout: one step,
    or steps so small that the residuals stay within their limits. Something is
    sent back to each frame; there are fewer states than the recurrence is wide,
    and fewer frames than zeros of one and states together. Far fewer frames
    than units where batch norm goes by the batch, or frames are equal.
  noise: rounding, or so little that singular values still drop threefold after
    the last frame's.
  refused: another model, too few units, Adam's delta, no update of a layer that
    is needed, batch norm without averages or of several steps, a span without
    an end (noise, codes, too many frames), frames that are not found, or have
    no order.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedjax_asr import config
from fedjax_asr.attacks import (
  known_scale,
  observation,
  precision,
  subspace,
  undetermined,
)
from fedjax_asr.attacks.ds2 import (
  batch_statistics,
  dictionary_frames,
  frame_chain,
  frame_order,
  front_gradient,
  front_inversion,
  sparse_frames,
)

_KERNEL = 'recurrent_0/input_kernel'
# From this cosine on between predicted and observed convolutions' updates.
MIN_COSINE = 0.999
# A wrong scale makes the residual worse by far more.
_WORSE = 100.0


class _Found(NamedTuple):
  """Utterances as far as they are known.

  scale_is_free: they are as good at any other; prior: that of the one chosen.
  """

  problems: list[front_inversion.Problem]
  features: list[jax.Array]
  scale_is_free: bool = False
  prior: str = ''


def reconstruct(
  observed: observation.Observation,
  cfg: config.DemixingConfig,
  key: jax.Array,
  report: observation.Report | None = None,
) -> observation.Reconstruction:
  """Every utterance behind the update.

  Raises:
    Refused: not a DeepSpeech 2, too many frames for the width, an update with
      noise or without a layer that is needed, or a step that does not close.
  """
  report = report or (lambda _: None)
  _check(observed)
  update = observation.needed(observed, _KERNEL)
  spanned = subspace.column_space(update)
  with observation.having_seen(spanned.spectrum(_KERNEL)):
    _check_span(spanned, update.shape)
    return _demixed(observed, spanned, cfg, key, report)


def _demixed(
  observed: observation.Observation,
  spanned: subspace.Subspace,
  cfg: config.DemixingConfig,
  key: jax.Array,
  report: observation.Report,
) -> observation.Reconstruction:
  search_key, invert_key = jax.random.split(key)
  # What the client's forward pass was; `observed` is what its gradients were.
  seen, space = _seen(observed), spanned
  if batch_statistics.is_hidden(observed):
    space = _completed(spanned, seen)
  found = _frames(observed, space, cfg, search_key, report)
  if len(found.directions) < space.rank:
    raise observation.Refused(
      f'{len(found.directions)} of {space.rank} frames found in '
      f'{space.basis.shape[0]} units.'
    )
  mean = None
  if batch_statistics.is_hidden(observed):
    mean = batch_statistics.mean_frame(seen)
  report(f'looking for the order of {space.rank} frames')
  order = frame_order.order(seen, found.directions, mean)
  utterances = _Found([], [])
  for index, chain in enumerate(order.utterances):
    report(
      f'utterance {index + 1} of {len(order.utterances)}: features of '
      f'{len(chain)} frames'
    )
    wanted, features = _inverted(
      seen,
      found.directions[list(chain)],
      cfg,
      jax.random.fold_in(invert_key, index),
    )
    utterances.problems.append(wanted)
    utterances.features.append(features)
  if not batch_statistics.is_hidden(observed):
    # Else the moments of the batch are known, and with them the scale.
    report('the scale of the features')
    utterances = _rescaled(observed, utterances, cfg)
  report('the certificate')
  found = _result(observed, seen, cfg, order, utterances)
  return found._replace(spectra=(spanned.spectrum(_KERNEL), order.spectrum))


def _frames(
  observed: observation.Observation,
  space: subspace.Subspace,
  cfg: config.DemixingConfig,
  key: jax.Array,
  report: observation.Report,
) -> sparse_frames.Frames:
  """As `cfg.frames_by` says; without a search as far as that goes."""
  known = None
  if cfg.frames_by is config.FrameSource.DICTIONARY:
    return dictionary_frames.frames(space.basis, cfg)
  if cfg.frames_by is config.FrameSource.CHAIN:
    try:
      chained = frame_chain.frames(observed, space, key, report)
      if len(chained.directions) >= space.rank:
        return chained
      known = chained.directions
    except observation.Refused as refused:
      report(f'no chain of frames: {refused}')
  return sparse_frames.frames(space.basis, cfg, key, report, known)


def _seen(observed: observation.Observation) -> observation.Observation:
  if batch_statistics.is_hidden(observed):
    return batch_statistics.frozen(observed)
  return observed


def _check(observed: observation.Observation) -> None:
  if observed.acoustic.front is None:
    raise observation.Refused(
      'the model has no convolutions: want DeepSpeech 2.'
    )
  if not observation.keeps_span(observed):
    raise observation.Refused(
      "Adam at the client: its delta does not keep the gradient's span."
    )
  knows_mean = batch_statistics.is_hidden(observed)
  for name in frame_order.layers(observed, knows_mean=knows_mean):
    observation.needed(observed, name)
  units = len(observation.needed(observed, _KERNEL))
  hop = front_inversion.time_stride(observed)
  unknowns = hop * observed.features.num_features
  # About half of the units are at zero and tell only a sign.
  if units < 2 * unknowns:
    raise observation.Refused(
      f'{units} units for {unknowns} unknowns of each output frame; want twice '
      'as many.'
    )


def _check_span(space: subspace.Subspace, shape: tuple[int, ...]) -> None:
  if space.rank >= min(shape) or space.gap <= 1:
    raise observation.Refused(
      f'the span of the input kernel has no end: rank {space.rank} of '
      f'{min(shape)}, from noise or too many frames.'
    )


def _completed(
  space: subspace.Subspace, seen: observation.Observation
) -> subspace.Subspace:
  """With the mean frame, which batch norm takes out of the update."""
  mean = batch_statistics.mean_frame(seen)
  basis, _ = np.linalg.qr(np.column_stack([space.basis, mean]))
  return space._replace(basis=basis, complement=np.zeros((len(basis), 0)))


def _inverted(
  observed: observation.Observation,
  directions: Float[np.ndarray, 'outputs units'],
  cfg: config.DemixingConfig,
  key: jax.Array,
) -> tuple[front_inversion.Problem, Float[Array, 'frames features']]:
  """The length is the one that closes best."""
  tried = []
  for frames in _lengths(observed, len(directions)):
    wanted = front_inversion.problem(directions, frames)
    start = front_inversion.descended(observed, wanted, cfg, key)
    tried.append((float(start.residual), wanted, start))
  _, wanted, start = min(tried, key=lambda each: each[0])
  found = front_inversion.polished(observed, wanted, cfg, start.features)
  return wanted, found.features


def _lengths(observed: observation.Observation, num_outputs: int) -> list[int]:
  """Input lengths that give so many frames, apart from zeros at the end.

  Lengths count as one where every convolution gives as many frames.
  """
  strides = observed.model.ds2.conv_time_strides
  hop = front_inversion.time_stride(observed)
  lengths = {}
  for frames in range(hop * (num_outputs - 1) + 1, hop * num_outputs + 1):
    left, inside = frames, []
    for stride in strides:
      left = -(-left // stride)
      inside.append(left)
    lengths[tuple(inside)] = frames
  return list(lengths.values())


def _rescaled(
  observed: observation.Observation, found: _Found, cfg: config.DemixingConfig
) -> _Found:
  """Features of the scale that a convolution's bias update wants.

  Where normalisation, or biases of zero, make frames' directions the same at
  every scale; kept as they are where that is not so.
  """
  total = _scale_evidence(observed)
  if not total:
    return _of_known_scale(observed, found, cfg)
  predicted = [
    np.concatenate([update[name]['bias'] for name in total])
    for update in front_gradient.predicted(
      observed, found.problems, found.features
    )
  ]
  inverse, *_ = np.linalg.lstsq(
    np.stack(predicted, 1), np.concatenate(list(total.values())), rcond=None
  )
  features = []
  for wanted, values, factor in zip(
    found.problems, found.features, inverse, strict=True
  ):
    scaled = values / (factor if factor else 1.0)
    if _fits(observed, wanted, values, scaled, cfg):
      values = front_inversion.polished(observed, wanted, cfg, scaled).features
    features.append(values)
  return found._replace(features=features)


def _scale_evidence(
  observed: observation.Observation,
) -> dict[str, np.ndarray]:
  """Biases' updates that go with the features' size, by convolution.

  Behind a norm none does.
  """
  cfg = observed.model.ds2
  reached = 1 if cfg.norm is not config.Norm.NONE else len(cfg.conv_channels)
  found = {
    f'conv_{index}': observation.evidence(observed, f'conv_{index}/bias')
    for index in range(reached)
  }
  return {name: bias for name, bias in found.items() if bias is not None}


def _fits(
  observed: observation.Observation,
  wanted: front_inversion.Problem,
  values: Float[Array, 'frames features'],
  scaled: Float[Array, 'frames features'],
  cfg: config.DemixingConfig,
) -> bool:
  """Whether another scale explains the frames as well."""
  before = front_inversion.residual(observed, wanted, values)
  after = front_inversion.residual(observed, wanted, scaled)
  return bool(
    np.isfinite(after) and after < max(_WORSE * before, cfg.max_residual)
  )


def _of_known_scale(
  observed: observation.Observation, found: _Found, cfg: config.DemixingConfig
) -> _Found:
  """Without a bias: of the scale that is known beforehand, if it is free."""
  known = known_scale.of_features(observed)
  is_free, features = False, []
  for wanted, values in zip(found.problems, found.features, strict=True):
    if _fits(observed, wanted, values, 2 * values, cfg):
      is_free = True
      if known:
        values = jnp.asarray(known_scale.scaled(known, np.asarray(values)))
    features.append(values)
  return found._replace(
    features=features,
    scale_is_free=is_free,
    prior=known.source if is_free and known else '',
  )


def _result(
  observed: observation.Observation,
  seen: observation.Observation,
  cfg: config.DemixingConfig,
  order: frame_order.Order,
  found: _Found,
) -> observation.Reconstruction:
  residual = max(
    front_inversion.residual(seen, wanted, features)
    for wanted, features in zip(found.problems, found.features, strict=True)
  )
  cosine = front_gradient.cosine(observed, found.problems, found.features)
  rounding = precision.residual(observed.precision)
  is_certified = bool(
    residual < max(cfg.max_residual, rounding) and cosine > MIN_COSINE
  )
  features = [known_scale.trimmed(np.asarray(each)) for each in found.features]
  shape = front_inversion.receptive_field(observed)
  unclear = tuple(undetermined.stretches(each, shape) for each in features)
  # Equal frames are found once, but each has led to a state of its own.
  num_states = sum(len(chain) - 1 for chain in order.utterances)
  return observation.Reconstruction(
    features=tuple(features),
    certificate={
      'residual': residual,
      'convolution_cosine': cosine,
      'order_residual': order.residual,
      'order_margin': order.margin,
      'num_states': float(order.num_states),
      'scale_is_free': float(found.scale_is_free),
    },
    is_certified=is_certified,
    is_whole=bool(
      is_certified
      and not found.scale_is_free
      and not any(unclear)
      and order.num_states == num_states
    ),
    undetermined=unclear,
    ledger=_ledger(observed, found),
  )


def _ledger(
  observed: observation.Observation, found: _Found
) -> observation.Ledger:
  is_hidden = batch_statistics.is_hidden(observed)
  ordered_by = frame_order.layers(observed, knows_mean=is_hidden)
  names = dict.fromkeys(
    (_KERNEL, *ordered_by, *front_gradient.evidence(observed))
  )
  return observation.ledger(
    observed, tuple(names), uses_norm_averages=is_hidden, prior=found.prior
  )
