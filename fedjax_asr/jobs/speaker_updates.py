"""What speakers would send in a round as clients: two updates of each.

A speaker's utterances are cut at random in two halves that share none, and a
client trains on each as the audited round would have it. Two draws of the run's
own schedule would be nearly the same utterances, whose words and recordings
alone link them; halves have the voice in common, and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from fedjax_asr import config, streams
from fedjax_asr.attacks import victim
from fedjax_asr.corpora import dataset
from fedjax_asr.federated import (
  algorithm,
  algorithms,
  channels,
  cohort,
  optimizers,
  partition,
)
from fedjax_asr.jobs import audited_run, run_memory

NUM_HALVES = 2


class Speaker(NamedTuple):
  """One that may be a client.

  client: its index, behind the population's where the run did not train on it.
  halves: positions in `examples` of what is said in each update.
  """

  name: str
  client: int
  was_trained_on: bool
  examples: dataset.Dataset
  halves: tuple[np.ndarray, ...]


class Speakers(NamedTuple):
  """Those that are audited, and how many have too little to say."""

  found: list[Speaker]
  num_left_out: int


def speakers(
  audited: audited_run.AuditedRun, own: config.AuditSpeakersConfig, seed: int
) -> Speakers:
  """Of the training set and those that were held out from it.

  A function of the audit's seed. All halves are of as many utterances; whoever
  has too few for that is left out.
  """
  members = [
    (name, examples, positions)
    for examples in (audited.examples, audited.heldout_speakers)
    for name, positions in _by_speaker(examples)
  ]
  wanted = NUM_HALVES * own.num_utterances
  usable = [each for each in members if len(each[2]) >= wanted]
  rng = streams.rng(seed, streams.Stream.AUDITED_SPEAKERS)
  chosen = np.sort(rng.permutation(len(usable))[: own.num_speakers or None])
  places = {each.name: index for index, each in enumerate(audited.clients)}
  num_clients = len(audited.clients)
  found = []
  for index in chosen.tolist():
    name, examples, positions = usable[index]
    shuffled = streams.rng(
      seed, streams.Stream.SPEAKER_HALVES, index
    ).permutation(positions)[:wanted]
    found.append(
      Speaker(
        name=name,
        client=places[name] if name in places else num_clients + index,
        was_trained_on=examples is audited.examples,
        examples=examples,
        halves=tuple(np.array_split(shuffled, NUM_HALVES)),
      )
    )
  return Speakers(found, len(members) - len(usable))


def _by_speaker(
  examples: dataset.Dataset,
) -> Iterator[tuple[str, Int[np.ndarray, ' own']]]:
  spoken = np.asarray(examples.speakers, str)
  for name in np.unique(spoken).tolist():
    yield name, np.flatnonzero(spoken == name)


def missing(audited: audited_run.AuditedRun) -> str:
  """Why no update can be made again; '' where it can."""
  saved, settings = audited.saved, audited.settings
  method = algorithms.make(saved.acoustic, settings, saved.config.augment, 1)
  kept = jax.eval_shape(method.init_server, saved.params, saved.norm_state)
  if jax.tree.leaves(kept):
    return (
      f'the server of federated.algorithm={settings.algorithm.value} sends '
      'clients what it remembers, which an audit does not have; want a run '
      'whose server remembers nothing, such as one of fedavg'
    )
  return ''


def updates(
  audited: audited_run.AuditedRun, found: Sequence[Speaker]
) -> Iterator[tuple[int, algorithm.Update]]:
  """(speaker, what the server has of it), each speaker's halves in turn.

  By the run's algorithm, client settings and channel at the audited round; the
  second half with the randomness of the round after it. All are padded to one
  shape, which changes no update.
  """
  saved = audited.saved
  send = victim.make_send(
    saved.acoustic,
    audited.settings,
    saved.config.augment,
    config.Observed.DELTA,
    len(audited.clients),
  )
  broadcast = _broadcast(audited)
  memory = run_memory.algorithm_memories(saved)
  told = channels.make(audited.settings).told(saved.channel_state)
  steps = {
    (index, half): _steps(audited, speaker, half)
    for index, speaker in enumerate(found)
    for half in range(NUM_HALVES)
  }
  shape = _shape(found, steps)
  for (index, half), chosen in steps.items():
    speaker = found[index]
    message = send(
      broadcast,
      algorithm.Participant(jnp.int32(speaker.client)),
      memory(speaker.name),
      _batches(speaker.examples, chosen, shape),
      _key(audited, speaker, half),
      told,
    )
    yield index, message.update


def _broadcast(audited: audited_run.AuditedRun) -> algorithm.Broadcast:
  saved = audited.saved
  scale = optimizers.step_scale(audited.settings, jnp.float32(saved.scale))
  return algorithm.Broadcast(
    params=saved.params,
    norm_state=saved.norm_state,
    memory=(),
    learning_rate=optimizers.client_rate(
      audited.settings, saved.round, scale.client
    ),
  )


def _key(audited, speaker: Speaker, half: int):
  saved = audited.saved
  return streams.key(
    saved.config.seed,
    streams.Stream.CLIENT,
    saved.round + half,
    speaker.client,
  )


def _steps(
  audited: audited_run.AuditedRun, speaker: Speaker, half: int
) -> Int[np.ndarray, 'steps batch']:
  """Those of a client that holds this half of the speaker's utterances."""
  client = partition.Client(speaker.name, speaker.halves[half])
  return cohort.client_steps(
    # Its index decides what is drawn; nobody else is looked at.
    [client] * (speaker.client + 1),
    speaker.client,
    speaker.examples.num_frames,
    audited.settings.client,
    audited.saved.config.seed,
    audited.saved.round + half,
  )


class _Shape(NamedTuple):
  """Of every client's batches."""

  num_steps: int
  num_frames: int
  num_labels: int


def _shape(
  found: Sequence[Speaker], steps: Mapping[tuple[int, int], np.ndarray]
) -> _Shape:
  frames, labels = 1, 1
  for (index, _), chosen in steps.items():
    used = np.unique(chosen[chosen >= 0])
    examples = found[index].examples
    frames = max(frames, int(examples.num_frames[used].max()))
    labels = max(labels, *(len(examples.labels[each]) for each in used))
  most = max(len(chosen) for chosen in steps.values())
  return _Shape(most, frames, labels)


def _batches(
  examples: dataset.Dataset,
  chosen: Int[np.ndarray, 'steps batch'],
  shape: _Shape,
) -> cohort.Batch:
  missing_steps = shape.num_steps - len(chosen)
  positions = np.pad(chosen, ((0, missing_steps), (0, 0)), constant_values=-1)
  return victim.padded(
    cohort.Batch(*examples.batch(positions, shape.num_frames, shape.num_labels))
  )
