"""Which clients are attacked, and what each of them sends."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from fedjax_asr import config, saved_run, streams
from fedjax_asr.attacks import observation, precision, victim
from fedjax_asr.attacks.measure import score
from fedjax_asr.corpora import utterance as utterance_lib
from fedjax_asr.federated import algorithm, channels, cohort, optimizers
from fedjax_asr.jobs import attacked_run, run_memory, run_secret
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets
from fedjax_asr.speech import features as features_lib


class Spoken(NamedTuple):
  """An utterance as a victim trains on it: the truth, which attacks never see.

  features: in the model's input units.
  statistics: what normalised them; None where nothing did.
  source: of the whole recording.
  first_frame: where in it a stretch begins; None where it is the whole.
  """

  utterance: str
  speaker: str
  text: str
  features: np.ndarray
  labels: np.ndarray
  statistics: features_lib.Statistics | None
  source: utterance_lib.Source
  first_frame: int | None


class Victim(NamedTuple):
  """Clients behind one observed update; several, if it is an aggregate.

  steps: [steps, batch] positions into `spoken` of each client, -1: padding.
  """

  name: str
  clients: tuple[int, ...]
  spoken: tuple[Spoken, ...]
  steps: tuple[np.ndarray, ...]


def victims(
  attacked: attacked_run.AttackedRun, attack: config.AttackConfig
) -> list[Victim]:
  """Those that `attack` asks for, a function of the run's seed and round.

  Raises:
    UserError: no such client, or too few with utterances of that length.
  """
  size = attack.num_aggregated
  wanted = size if attack.victim else attack.num_victims * size
  found: list[tuple[int, np.ndarray]] = []
  for client in _candidates(attacked, attack):
    positions = _positions(attacked, attack, client)
    if positions is not None:
      found.append((client, positions))
    elif not found and attack.victim:
      break  # The one that was named.
    if len(found) == wanted:
      break
  if len(found) < wanted:
    raise attacked_run.too_few(attack, len(found))
  groups = [found[start : start + size] for start in range(0, wanted, size)]
  return [_victim(attacked, attack, group) for group in groups]


def _candidates(
  attacked: attacked_run.AttackedRun, attack: config.AttackConfig
) -> list[int]:
  """The named client, the round's cohort, then all others at random."""
  clients, settings = attacked.clients, attacked.settings
  seed, round_index = attacked.saved.config.seed, attacked.saved.round
  named = []
  if attack.victim:
    named = victim.chosen(clients, settings, attack, seed, round_index)
  anybody = dataclasses.replace(attack, victim='')
  # A fresh model has no rounds behind it that were drawn by a secret.
  secret = None
  if attack.run:
    secret = run_secret.of_saved(attacked.saved.path, settings)
  drawn = victim.chosen(clients, settings, anybody, seed, round_index, secret)
  rng = streams.rng(seed, streams.Stream.VICTIMS, round_index)
  left = np.setdiff1d(np.arange(len(clients)), [*named, *drawn])
  return list(dict.fromkeys([*named, *drawn, *rng.permutation(left).tolist()]))


def _positions(
  attacked: attacked_run.AttackedRun,
  attack: config.AttackConfig,
  client: int,
) -> Int[np.ndarray, 'steps batch'] | None:
  """Utterances of a client; None where it has too few."""
  saved, examples = attacked.saved, attacked.examples
  seed, round_index = saved.config.seed, saved.round
  if not attack.batch_size:
    return victim.batches(
      attacked.clients,
      client,
      examples.num_frames,
      attacked.settings,
      seed,
      round_index,
      num_steps=attack.local_steps,
    )
  hop = saved.config.features.hop_ms / 1000
  members = attacked.clients[client].utterances
  seconds = examples.num_frames[members] * hop
  eligible = members[
    (seconds >= max(attack.min_seconds, attack.stretch_seconds))
    & (seconds <= attack.max_seconds)
  ]
  if len(eligible) < attack.batch_size:
    return None
  rng = streams.rng(seed, streams.Stream.VICTIM_UTTERANCES, round_index, client)
  chosen = rng.permutation(eligible)[: attack.batch_size]
  client_config = attacked.settings.client
  steps = (
    attack.local_steps
    or client_config.local_steps
    or client_config.local_epochs
  )
  return np.broadcast_to(chosen, (steps, len(chosen)))


def _victim(
  attacked: attacked_run.AttackedRun,
  attack: config.AttackConfig,
  group: Sequence[tuple[int, np.ndarray]],
) -> Victim:
  """Of clients, each with its `_positions`."""
  spoken: list[Spoken] = []
  steps = []
  for _, positions in group:
    used = np.unique(positions[positions >= 0])
    place = {index: len(spoken) + i for i, index in enumerate(used.tolist())}
    spoken += [_spoken(attacked, attack, int(index)) for index in used]
    local = [place.get(index, -1) for index in positions.ravel().tolist()]
    steps.append(np.reshape(local, positions.shape))
  clients = tuple(client for client, _ in group)
  name = '+'.join(attacked.clients[client].name for client in clients)
  return Victim(name, clients, tuple(spoken), tuple(steps))


def _spoken(
  attacked: attacked_run.AttackedRun,
  attack: config.AttackConfig,
  index: int,
) -> Spoken:
  saved, examples = attacked.saved, attacked.examples
  raw, said = examples.raw(index), examples.texts[index]
  start = None
  if attack.stretch_seconds:
    raw, said, start = _stretch(raw, said, attack, saved)
  kind = saved.config.features.normalization
  labels = _feasible(saved.alphabet.encode(said), len(raw), saved.acoustic)
  return Spoken(
    utterance=examples.ids[index],
    speaker=examples.speakers[index],
    text=saved.alphabet.decode(labels),
    features=features_lib.normalize(raw, kind, saved.statistics),
    labels=labels,
    statistics={
      config.Normalization.NONE: None,
      config.Normalization.GLOBAL: saved.statistics,
      config.Normalization.UTTERANCE: features_lib.statistics([raw]),
    }[kind],
    source=examples.sources[index],
    first_frame=start,
  )


def _stretch(
  values: Float[np.ndarray, 'frames features'],
  said: str,
  attack: config.AttackConfig,
  saved: saved_run.SavedRun,
) -> tuple[Float[np.ndarray, 'stretch features'], str, int]:
  """The middle of an utterance, as much of its transcript, and its start.

  Words are taken to be spread evenly: nothing better is known of them.
  """
  hop = saved.config.features.hop_ms
  frames = round(attack.stretch_seconds * 1000 / hop)
  start = (len(values) - frames) // 2
  share = len(said) / len(values)
  part = said[round(start * share) : round((start + frames) * share)].strip()
  # What is cut within a symbol of several characters, or a unit, is others.
  part = saved.alphabet.normalize(part).text
  return values[start : start + frames], part or said[:1], start


def _feasible(
  labels: Int[np.ndarray, ' labels'], num_frames: int, acoustic: model.Model
) -> Int[np.ndarray, ' feasible']:
  """As many labels as the model's output frames can hold."""
  outputs = acoustic.num_output_frames(num_frames)
  while len(labels) > 1 and alphabets.min_ctc_frames(labels) > outputs:
    labels = labels[:-1]
  return labels


def _memories(
  saved: saved_run.SavedRun, observed: config.Observed
) -> run_memory.MemoryFn:
  """What each client has of the rounds before."""
  match observed:
    case config.Observed.GRADIENT:
      # FedSGD's clients keep nothing.
      return lambda name: ()
    case config.Observed.DELTA:
      return run_memory.algorithm_memories(saved)


class Programs(NamedTuple):
  """Compiled once for all that is observed of one run.

  send: of a client (`victim.make_send`).
  aggregate: (messages, key, channel state) -> what a server sees of them.
  """

  send: victim.SendFn
  aggregate: Callable[..., model.Params]


def programs(
  attacked: attacked_run.AttackedRun, attack: config.AttackConfig
) -> Programs:
  """Of the clients of this run, at any of its rounds."""
  saved = attacked.saved
  send = victim.make_send(
    saved.acoustic,
    attacked.settings,
    saved.config.augment,
    attack.observed,
    len(attacked.clients),
  )
  # Jitted: it is an operation or two for each parameter.
  aggregate = jax.jit(
    lambda messages, key, state: victim.aggregate(
      messages, attacked.settings, key, state
    )
  )
  return Programs(send, aggregate)


def observations(
  attacked: attacked_run.AttackedRun,
  attack: config.AttackConfig,
  chosen: Sequence[Victim],
  speech: features_lib.Statistics | None,
  public: tuple[observation.PublicUtterance, ...] | None = None,
  compiled: Programs | None = None,
) -> Iterator[observation.Observation]:
  """What is observed of each victim, computed when it is asked for.

  `speech` and `public`: what is declared of public speech. `compiled`:
  `programs` of the same run, where more than once is asked; None: made here.

  Raises:
    UserError: an update that tells nothing, such as one of a rate of zero.
  """
  sent = _sender(attacked, attack, compiled or programs(attacked, attack))
  for each in chosen:
    declared = _declared(attack, each, speech)._replace(public=public)
    observed = _observation(attacked, attack, each, declared, sent(each))
    try:
      observation.check(observed)
    except observation.ObservationError as error:
      raise observation.ObservationError(
        f'client {each.name} in round {attacked.saved.round}: {error}'
      ) from error
    yield observed


class _Sent(NamedTuple):
  """What is seen of a victim, less what it withholds.

  norm_update: None where several clients are behind the update.
  learning_rate: of the clients.
  """

  update: model.Params
  norm_update: model.NormState | None
  learning_rate: float


def _sender(
  attacked: attacked_run.AttackedRun,
  attack: config.AttackConfig,
  compiled: Programs,
) -> Callable[[Victim], _Sent]:
  """What is seen of a victim in the round."""
  saved = attacked.saved
  rate, message = _messages(attacked, attack, compiled.send)
  key = streams.key(saved.config.seed, streams.Stream.SERVER_NOISE, saved.round)

  def sent(each: Victim) -> _Sent:
    messages = [
      message(client, victim.padded(_batches(each.spoken, steps)))
      for client, steps in zip(each.clients, each.steps, strict=True)
    ]
    update = compiled.aggregate(messages, key, saved.channel_state)
    norm_update = None
    if len(messages) == 1:
      norm_update = messages[0].update.norm_state
    return _Sent(
      observation.without(jax.device_get(update), attack.withheld),
      jax.device_get(norm_update),
      rate,
    )

  return sent


def _messages(
  attacked: attacked_run.AttackedRun,
  attack: config.AttackConfig,
  send: victim.SendFn,
) -> tuple[float, Callable[[int, cohort.Batch], algorithm.Message]]:
  """The clients' rate, and (client, its batches) -> what it sends."""
  saved = attacked.saved
  root = jax.random.key(saved.config.seed)
  scale = optimizers.step_scale(attacked.settings, jnp.float32(saved.scale))
  broadcast = algorithm.Broadcast(
    params=saved.params,
    norm_state=saved.norm_state,
    memory=(),
    learning_rate=optimizers.client_rate(
      attacked.settings, saved.round, scale.client
    ),
  )
  memory = _memories(saved, attack.observed)
  kept = run_memory.channel_memories(saved)
  told = channels.make(attacked.settings).told(saved.channel_state)

  def message(client: int, batches: cohort.Batch) -> algorithm.Message:
    name = attacked.clients[client].name
    return send(
      broadcast,
      algorithm.Participant(jnp.int32(client)),
      memory(name),
      batches,
      streams.of_root(root, streams.Stream.CLIENT, saved.round, client),
      told,
      kept(name),
    )

  return float(broadcast.learning_rate), message


def _observation(
  attacked: attacked_run.AttackedRun,
  attack: config.AttackConfig,
  each: Victim,
  declared: observation.Declared,
  sent: _Sent,
) -> observation.Observation:
  """Of an update, with all that is public of the run."""
  saved = attacked.saved
  return observation.Observation(
    update=sent.update,
    params=saved.params,
    norm_state=saved.norm_state,
    acoustic=saved.acoustic,
    model=saved.config.model,
    features=saved.config.features,
    client=dataclasses.replace(attacked.settings.client),
    observed=attack.observed,
    num_steps=len(each.steps[0]),
    learning_rate=sent.learning_rate,
    round=saved.round,
    declared=declared,
    norm_update=sent.norm_update,
    precision=precision.of_products(saved.config.model),
    treatment=_treatment(attacked.settings, len(each.clients)),
    server=attack.server,
  )


def _treatment(
  settings: config.FederatedConfig, num_clients: int
) -> observation.Treatment:
  privacy = settings.privacy
  return observation.Treatment(
    clip_norm=privacy.clip_norm,
    local_noise_multiplier=privacy.local_noise_multiplier,
    central_noise_multiplier=privacy.central_noise_multiplier,
    compression=_compression(settings.compression),
    num_clients=num_clients,
  )


def _compression(cfg: config.CompressionConfig) -> str:
  """The code with its parameters, as the ledger names it."""
  name = cfg.method.value
  match cfg.method:
    case config.Compression.NONE:
      return ''
    case config.Compression.INT8:
      name += f' {cfg.rounding.value}'
    case config.Compression.QUANTIZED:
      name += f' {cfg.bits} {cfg.rounding.value}'
    case config.Compression.TOP_K | config.Compression.RANDOM_K:
      name += f' {cfg.top_fraction:g}'
  return f'{name} error_feedback' if cfg.error_feedback else name


def public_speech(
  attacked: attacked_run.AttackedRun, chosen: Sequence[Victim]
) -> features_lib.Statistics | None:
  """Statistics of the speech of everybody who is no victim."""
  return attacked_run.public_speech(attacked, _speakers(chosen))


def public_utterances(
  attacked: attacked_run.AttackedRun,
  attack: config.AttackConfig,
  chosen: Sequence[Victim],
) -> tuple[observation.PublicUtterance, ...] | None:
  """Those of nobody who is a victim; None where no method asks for any."""
  if config.AttackMethod.ADAPTIVE not in attack.methods:
    return None
  return attacked_run.public_utterances(attacked, _speakers(chosen))


def public_units(
  attacked: attacked_run.AttackedRun, chosen: Sequence[Victim]
) -> features_lib.Statistics | None:
  """By which the attacker undoes the normalisation of what is reconstructed."""
  return attacked_run.public_units(attacked, _speakers(chosen))


def _speakers(chosen: Sequence[Victim]) -> set[str]:
  return {item.speaker for each in chosen for item in each.spoken}


def _declared(
  attack: config.AttackConfig,
  each: Victim,
  speech: features_lib.Statistics | None,
) -> observation.Declared:
  labels = tuple(item.labels for item in each.spoken)
  lengths = tuple(len(item.features) for item in each.spoken)
  return observation.Declared(
    labels=labels if attack.knows_transcript else None,
    num_frames=lengths if attack.knows_length else None,
    num_utterances=len(each.spoken),
    speech=speech,
  )


def _batches(spoken: Sequence[Spoken], steps: np.ndarray) -> cohort.Batch:
  """[steps, batch] utterances, padded to the longest."""
  num_frames = max(len(item.features) for item in spoken)
  num_labels = max(len(item.labels) for item in spoken)
  width = spoken[0].features.shape[1]
  batch = cohort.Batch(
    features=np.zeros((*steps.shape, num_frames, width), np.float32),
    num_frames=np.zeros(steps.shape, np.int32),
    labels=np.zeros((*steps.shape, num_labels), np.int32),
    num_labels=np.zeros(steps.shape, np.int32),
  )
  for place in zip(*np.nonzero(steps >= 0), strict=True):
    item = spoken[int(steps[place])]
    batch.features[place][: len(item.features)] = item.features
    batch.labels[place][: len(item.labels)] = item.labels
    batch.num_frames[place] = len(item.features)
    batch.num_labels[place] = len(item.labels)
  return batch


def truth(item: Spoken) -> score.Truth:
  """As scores take it."""
  return score.Truth(item.utterance, item.features, item.statistics)
