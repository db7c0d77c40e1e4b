"""What the attacker sees of a client: an update, and what is declared known."""

import contextlib
import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float64

from fedjax_asr import config
from fedjax_asr.attacks import subspace
from fedjax_asr.models import model as model_lib
from fedjax_asr.speech import features as features_lib

# What an attack says of its progress, a line at a time.
Report = Callable[[str], None]


class ObservationError(config.UserError):
  """An update that no attack can use, or a layer that is not there."""


class PublicUtterance(NamedTuple):
  """Speech of somebody who is not attacked: model inputs, and its labels."""

  features: np.ndarray
  labels: np.ndarray


class Declared(NamedTuple):
  """What the attacker is told beside the update; None: not told.

  labels: [labels] of each utterance.
  num_frames: of each utterance.
  num_utterances: distinct utterances behind the update.
  speech: mean and deviation of public speech, in the model's input units.
  public: public utterances; those behind `speech`, or some of them.
  """

  labels: tuple[np.ndarray, ...] | None = None
  num_frames: tuple[int, ...] | None = None
  num_utterances: int | None = None
  speech: features_lib.Statistics | None = None
  public: tuple[PublicUtterance, ...] | None = None


class Treatment(NamedTuple):
  """What is publicly done to updates between a client and who sees them.

  clip_norm: of the whole update; 0: none. That of local gradients is the
    client's.
  local_noise_multiplier, central_noise_multiplier: of `clip_norm`, the standard
    deviation of noise by the client and on the aggregate.
  compression: the method with its parameters, '' where there is none.
  num_clients: of which the weighted mean is seen.
  """

  clip_norm: float = 0.0
  local_noise_multiplier: float = 0.0
  central_noise_multiplier: float = 0.0
  compression: str = ''
  num_clients: int = 1


class Observation(NamedTuple):
  """All that an attack function is given; the victim's speech is not in it.

  update: a gradient, or server minus local parameters: like `params`, but
    for tensors that the client keeps to itself.
  params, norm_state: what the server had sent.
  num_steps: local steps behind the update.
  learning_rate: of the client, in this round.
  norm_update: server minus local running averages of batch norm, sent beside
    the update; None where nothing of the kind is sent.
  precision: of the client's products.
  treatment: of the update, on its way.
  others: of the same client in other rounds, for methods that combine them.
  server: whether `params` are those that training gave.
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
  treatment: Treatment = Treatment()
  others: tuple['Observation', ...] = ()
  server: config.Server = config.Server.HONEST


class Ledger(NamedTuple):
  """The assumptions of a result; results of other ledgers do not compare.

  knows_transcript, knows_length, knows_num_utterances: it was used.
  layers: names of the parameters whose updates were used.
  prior: public knowledge of speech that was used, '' where none.
  label_layers: names of those that estimates of labels and the alignment with
    the transcript rest on, which are no part of the reconstruction.
  told: all that is declared, used or not.
  withheld: parameters whose updates were not sent.
  sends_norm_averages, uses_norm_averages: running averages of batch norm.
  local_clip_norm: at which the client's local gradients are clipped; 0: never.
  clip_norm, local_noise_multiplier, central_noise_multiplier, compression,
  num_clients: as in `Treatment`.
  precision: of the client's products.
  server: honest, or active: it chose the parameters that clients were sent.
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
  label_layers: tuple[str, ...]
  told: tuple[str, ...]
  withheld: tuple[str, ...]
  sends_norm_averages: bool
  uses_norm_averages: bool
  local_clip_norm: float
  clip_norm: float
  local_noise_multiplier: float
  central_noise_multiplier: float
  compression: str
  num_clients: int
  precision: str
  server: str


class Stretch(NamedTuple):
  """Frames `start` to `stop` of a reconstruction."""

  start: int
  stop: int


class Reconstruction(NamedTuple):
  """What an attack gives.

  features: [frames, features] of each utterance, in the model's input units;
    in no particular order.
  certificate: what the attacker can compute to judge it, without the truth;
    where `scale_is_free` in it is 1, it is of the features' shape alone.
  is_certified: whether that says to believe what is returned.
  is_whole: whether it also says that it is all that was said; never without
    `is_certified`.
  undetermined: of each utterance, the stretches that may be longer than they
    are returned, to any length; a certificate speaks of what lies between.
  spectra: of the updates whose rank it went by.
  """

  features: tuple[np.ndarray, ...]
  certificate: dict[str, float]
  is_certified: bool
  ledger: Ledger
  is_whole: bool = False
  undetermined: tuple[tuple[Stretch, ...], ...] = ()
  spectra: tuple[subspace.Spectrum, ...] = ()


class Refused(Exception):
  """A method's conditions do not hold; the message says which.

  spectra: of the updates whose rank was looked at before.
  """

  def __init__(
    self, reason: str, spectra: tuple[subspace.Spectrum, ...] = ()
  ) -> None:
    super().__init__(reason)
    self.spectra = spectra


@contextlib.contextmanager
def having_seen(spectrum: subspace.Spectrum) -> Iterator[None]:
  """What is refused inside says that this was seen before."""
  try:
    yield
  except Refused as refused:
    raise Refused(str(refused), (spectrum, *refused.spectra)) from refused


def ledger(
  observed: Observation,
  layers: tuple[str, ...] = (),
  *,
  uses_transcript: bool = False,
  uses_length: bool = False,
  uses_num_utterances: bool = False,
  uses_norm_averages: bool = False,
  prior: str = '',
) -> Ledger:
  """The assumptions of a method that used these parts of what is declared.

  Without any, those under which a method refused.
  """
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
    label_layers=(),
    told=_told(observed.declared),
    withheld=withheld(observed),
    sends_norm_averages=bool(jax.tree.leaves(observed.norm_update)),
    uses_norm_averages=uses_norm_averages,
    local_clip_norm=observed.client.clip_norm,
    precision=observed.precision.value,
    server=observed.server.value,
    **observed.treatment._asdict(),
  )


def _told(declared: Declared) -> tuple[str, ...]:
  """Names of fields; the statistics of speech are not the victim's."""
  return tuple(
    name for name, value in declared._asdict().items() if value is not None
  )


def keeps_span(observed: Observation) -> bool:
  """Whether a matrix's update spans what its gradients do.

  Not after Adam, which scales every weight by itself.
  """
  is_delta = observed.observed is config.Observed.DELTA
  adam = observed.client.optimizer is config.ClientOptimizer.ADAM
  return not (is_delta and adam)


def withheld(observed: Observation) -> tuple[str, ...]:
  """Names of the parameters whose updates were not sent."""
  update = flat(observed.update)
  return tuple(name for name in flat(observed.params) if name not in update)


def evidence(
  observed: Observation, name: str
) -> Float64[np.ndarray, '...'] | None:
  """The update of a parameter, or None where it says nothing.

  Because it was withheld, or is zero throughout.
  """
  update = flat(observed.update).get(name)
  if update is None or not np.any(np.asarray(update)):
    return None
  return np.asarray(update, np.float64)


def needed(observed: Observation, name: str) -> Float64[np.ndarray, '...']:
  """`evidence` that a method cannot do without.

  Raises:
    Refused: it says nothing.
  """
  found = evidence(observed, name)
  if found is None:
    why = 'withheld' if name in withheld(observed) else 'zero throughout'
    raise Refused(f'{name}: its update is {why}; want it sent.')
  return found


def without(update: model_lib.Params, names: tuple[str, ...]) -> Any:
  """The update less these parameters; a module may be left without any.

  Raises:
    ObservationError: there is no such parameter.
  """
  known = flat(update)
  for name in names:
    if name not in known:
      near = difflib.get_close_matches(name, known, 1, cutoff=0)
      raise ObservationError(
        f'{name!r}: no such parameter; nearest: {", ".join(near)}.'
      )
  return _pruned(update, names, '')


def _pruned(tree: Any, names: tuple[str, ...], prefix: str) -> Any:
  if not isinstance(tree, Mapping):
    return tree
  return {
    key: _pruned(value, names, f'{prefix}{key}/')
    for key, value in tree.items()
    if f'{prefix}{key}' not in names
  }


def check(observed: Observation) -> None:
  """Raises `ObservationError` for an update that nothing can be learned from.

  Of a parameter that the model lacks, of another shape, not finite, or all
  zero. Parameters may be absent: they were withheld.
  """
  update, params = flat(observed.update), flat(observed.params)
  for name in sorted(update):
    if name not in params:
      raise ObservationError(f'{name}: not in the model.')
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


def telling(observed: Observation, layers: tuple[str, ...]) -> tuple[str, ...]:
  """Those of `selected` whose updates are `evidence`.

  Raises:
    Refused: none of them is.
    ObservationError: the model has no such module.
  """
  names = selected(observed.params, layers)
  found = tuple(name for name in names if evidence(observed, name) is not None)
  if not found:
    raise Refused(f'the update of {", ".join(names)} is zero or withheld.')
  return found
