"""What a client sends in a round: the update that an attack observes.

Made by the code of the round itself: local training, dropout, clipping, noise
and compression. Only this module and scores see the victim's speech.
"""

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from fedjax_asr import config
from fedjax_asr.federated import (
  aggregation,
  algorithm,
  algorithms,
  channel,
  channels,
  client,
  client_report,
  cohort,
  partition,
  schedule,
  secure_sum,
)
from fedjax_asr.federated import secret as secret_lib
from fedjax_asr.models import model


class VictimError(config.UserError):
  """A victim that does not exist, or sends nothing of that kind."""


# (broadcast, participant, memory, batches, key) -> algorithm.Message.
SendFn = Callable[..., algorithm.Message]

# Victims' batches are padded to multiples, so that many share a compilation.
_FRAME_QUANTUM = 64
_LABEL_QUANTUM = 32


def make_send(
  acoustic: model.Model,
  federated: config.FederatedConfig,
  augmentation: config.AugmentConfig,
  observed: config.Observed,
  num_clients: int,
) -> SendFn:
  """`send(broadcast, participant, memory, batches, key)`.

  The message of that client as the server decodes it, after local training on
  `batches`, whose leading axis are its steps; `key` is the client's in the
  round, and `told` and `kept` (of the channel, () for most: what it says of its
  state, and the client's memory of it) may follow it. For a delta it
  is what `rounds.make_round` adds up for this client, whatever the cohort; for
  a gradient, what FedSGD would send of the only step, through the same channel.
  With secure aggregation its numbers are integers, as they are before masks.
  `num_clients` are in the population. Jitted: compiled once for each shape of
  `batches` (`padded` makes few).
  """
  match observed:
    case config.Observed.GRADIENT:
      method = algorithms.of_gradient(acoustic, federated, augmentation)
    case config.Observed.DELTA:
      method = algorithms.make(acoustic, federated, augmentation, num_clients)
  line = channels.make(federated)
  secure = secure_sum.make(federated)

  def send(
    broadcast: algorithm.Broadcast,
    participant: algorithm.Participant,
    memory: algorithm.Memory,
    batches: cohort.Batch,
    key: jax.Array,
    told: Any = (),
    kept: channel.Memory = (),
  ) -> algorithm.Message:
    num_steps = len(batches.num_frames)
    if observed is config.Observed.GRADIENT and num_steps != 1:
      raise VictimError(
        f'{num_steps} local steps; want 1 for config.attack.observed=gradient.'
      )
    message, _ = client.message(
      method, broadcast, participant, memory, batches, key
    )
    sender = channel.Sender(key, key, told)
    received, _, _ = line.client(message, kept, sender)
    if secure is None:
      return received
    is_broken = ~client_report.is_finite(received)
    return secure.encoded(aggregation.emptied(received, is_broken), sender)

  return jax.jit(send)


def aggregate(
  messages: Sequence[algorithm.Message],
  federated: config.FederatedConfig,
  key: jax.Array,
  state: channel.State = (),
) -> model.Params:
  """What secure aggregation shows of clients: their weighted mean.

  With the server's noise, where there is some: the attacker then is whoever
  sees what the server made of the round. Of one message, it is that client's
  update as it was sent (and the noise that one who knows all others' updates
  has to deal with). Exactly zero where no utterance was usable. `key` is that
  of the server's noise in the round, and `state` the channel's at the server.
  With `federated.secure_aggregation` the sum is that of the encoded updates,
  without masks; of how many it may be, `attacked_run` says.
  """
  secure = secure_sum.make(federated)
  # They are the whole round: by their number the server's mean divides.
  federated = dataclasses.replace(federated, cohort_size=len(messages))
  if len(messages) == 1:
    (alone,) = messages
    # To the bit: times its weight, over its weight, is not.
    one = jnp.where(alone.weight > 0, 1.0, 0.0)
    messages = [alone._replace(weight=one)]
  sums = aggregation.summed(
    jax.tree.map(lambda *leaves: jnp.stack(leaves), *messages)
  )
  if secure is not None:
    sums = secure.decoded(sums)
  line = channels.make(federated)
  sums, _ = line.server(sums, state, key)
  return aggregation.mean(sums).params


def padded(batches: cohort.Batch) -> cohort.Batch:
  """Frames and labels padded to a few lengths; this changes no update."""
  frames = _missing(batches.features.shape[-2], _FRAME_QUANTUM)
  labels = _missing(batches.labels.shape[-1], _LABEL_QUANTUM)
  axes = [(0, 0)] * batches.num_frames.ndim
  return batches._replace(
    features=np.pad(batches.features, [*axes, (0, frames), (0, 0)]),
    labels=np.pad(batches.labels, [*axes, (0, labels)]),
  )


def _missing(length: int, quantum: int) -> int:
  return max(-length % quantum, quantum - length)


def chosen(
  clients: Sequence[partition.Client],
  federated: config.FederatedConfig,
  attack: config.AttackConfig,
  seed: int,
  round_index: int,
  secret: secret_lib.Secret | None = None,
) -> list[int]:
  """The index of the named client, or the round's cohort as it was drawn.

  Raises:
    VictimError: there is no such client.
    ConfigError: the run's clients as systems are not known any more.
  """
  if not attack.victim:
    drawn = schedule.members(clients, federated, seed, round_index, secret)
    return [int(index) for index in drawn]
  names = [each.name for each in clients]
  if attack.victim not in names:
    near = difflib.get_close_matches(attack.victim, names, 3, cutoff=0)
    raise VictimError(
      f'config.attack.victim={attack.victim!r}: no such client among '
      f'{len(names)}; nearest: {", ".join(near)}.'
    )
  return [names.index(attack.victim)]


def batches(
  clients: Sequence[partition.Client],
  index: int,
  num_frames: Int[np.ndarray, ' utterances'],
  federated: config.FederatedConfig,
  seed: int,
  round_index: int,
  *,
  num_steps: int = 0,
) -> Int[np.ndarray, 'steps batch']:
  """Utterances of each step that the run has this client take in the round.

  Positions in the training set, -1 for padding; drawn or not, what the client
  would train on. `num_steps`: in so many steps; 0: in as many as in the run.
  `dataset.Dataset.batch` makes features of them.
  """
  settings = federated.client
  if num_steps:
    settings = dataclasses.replace(settings, local_steps=num_steps)
  return cohort.client_steps(
    clients, index, num_frames, settings, seed, round_index
  )
