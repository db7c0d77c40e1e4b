"""What the attacker sees of a client: an update, and what is declared known."""

from typing import Any, NamedTuple

import jax
import numpy as np

from fedjax_asr import config
from fedjax_asr.models import model as model_lib
from fedjax_asr.speech import features as features_lib


class ObservationError(config.UserError):
  """An update that no attack can use, or a layer that is not there."""


class Declared(NamedTuple):
  """What the attacker is told beside the update; None: not told.

  labels: [labels] of each utterance.
  num_frames: of each utterance.
  num_utterances: distinct utterances behind the update.
  speech: mean and deviation of public speech, in the model's input units.
  """

  labels: tuple[np.ndarray, ...] | None = None
  num_frames: tuple[int, ...] | None = None
  num_utterances: int | None = None
  speech: features_lib.Statistics | None = None


class Observation(NamedTuple):
  """All that an attack function is given; the victim's speech is not in it.

  update: a gradient, or server minus local parameters: like `params`.
  params, norm_state: what the server had sent.
  num_steps: local steps behind the update.
  learning_rate: of the client, in this round.
  norm_update: server minus local running averages of batch norm, sent beside
    the update; None where nothing of the kind is sent.
  precision: of the client's products.
  """

  update: model_lib.Params
  params: model_lib.Params
  norm_state: model_lib.NormState
  acoustic: model_lib.Model
  model: config.ModelConfig
  features: config.FeaturesConfig
  client: config.ClientConfig
  observed: config.Observed
  num_steps: int
  learning_rate: float
  round: int
  declared: Declared
  norm_update: model_lib.NormState | None = None
  precision: config.Precision = config.Precision.FLOAT32


class Ledger(NamedTuple):
  """The assumptions of a result; results of other ledgers do not compare.

  layers: names of the parameters whose updates were used.
  prior: public knowledge of speech that was used, '' where none.
  """

  knows_transcript: bool
  knows_length: bool
  knows_num_utterances: bool
  layers: tuple[str, ...]
  prior: str
  observed: str
  local_steps: int
  client_optimizer: str
  round: int


class Stretch(NamedTuple):
  """Frames `start` to `stop` of a reconstruction."""

  start: int
  stop: int


class Reconstruction(NamedTuple):
  """What an attack gives.

  features: [frames, features] of each utterance, in the model's input units;
    in no particular order.
  certificate: what the attacker can compute to judge it, without the truth.
  is_certified: whether that says to believe what is returned.
  is_whole: whether it also says that it is all that was said; never without
    `is_certified`.
  undetermined: of each utterance, the stretches that may be longer than they
    are returned, to any length; a certificate speaks of what lies between.
  """

  features: tuple[np.ndarray, ...]
  certificate: dict[str, float]
  is_certified: bool
  ledger: Ledger
  is_whole: bool = False
  undetermined: tuple[tuple[Stretch, ...], ...] = ()


class Refused(Exception):
  """A method's conditions do not hold; the message says which."""


def ledger(
  observed: Observation,
  layers: tuple[str, ...],
  *,
  uses_transcript: bool = False,
  uses_length: bool = False,
  uses_num_utterances: bool = False,
  prior: str = '',
) -> Ledger:
  """The assumptions of a method that used these parts of what is declared."""
  return Ledger(
    knows_transcript=uses_transcript,
    knows_length=uses_length,
    knows_num_utterances=uses_num_utterances,
    layers=layers,
    prior=prior,
    observed=observed.observed.value,
    local_steps=observed.num_steps,
    client_optimizer=observed.client.optimizer.value,
    round=observed.round,
  )


def check(observed: Observation) -> None:
  """Raises `ObservationError` for an update that nothing can be learned from.

  Of another structure or shape than the parameters, not finite, or all zero.
  """
  update, params = flat(observed.update), flat(observed.params)
  for name in sorted(update.keys() | params.keys()):
    if name not in update or name not in params:
      where = 'update' if name in params else 'model'
      raise ObservationError(f'{name}: not in the {where}.')
    shape, wanted = np.shape(update[name]), np.shape(params[name])
    if shape != wanted:
      raise ObservationError(f'{name}: update of shape {shape}; want {wanted}.')
    if not np.isfinite(np.asarray(update[name])).all():
      raise ObservationError(
        f'{name}: the update has values that are not finite.'
      )
  if not any(np.any(np.asarray(leaf)) for leaf in update.values()):
    raise ObservationError('the update is zero everywhere: nothing to attack.')


def flat(tree: Any) -> dict[str, Any]:
  """Leaves by name, such as `dense_0/kernel`."""
  leaves, _ = jax.tree.flatten_with_path(tree)
  return {
    '/'.join(str(getattr(key, 'key', key)) for key in path): leaf
    for path, leaf in leaves
  }


def selected(
  params: model_lib.Params, layers: tuple[str, ...]
) -> tuple[str, ...]:
  """Names of the parameters in these top-level modules; (): of all.

  Raises:
    ObservationError: the model has no such module.
  """
  for layer in layers:
    if layer not in params:
      names = ', '.join(sorted(params))
      raise ObservationError(f'layer {layer!r}; want one of {names}.')
  names = flat(params)
  return tuple(
    name for name in names if not layers or name.split('/')[0] in layers
  )
