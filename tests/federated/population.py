"""A small population, and one round of it through the real code."""

import functools
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from fedjax_asr import config
from fedjax_asr.corpora import dataset, store, utterance
from fedjax_asr.federated import (
  algorithms,
  channels,
  client_memory,
  client_rows,
  cohort,
  devices,
  partition,
  rounds,
  sampling,
  schedule,
  server,
)
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets

NUM_FEATURES = 8
SEED = 3
# Two lengths and batches of two, so that the oracle compiles few shapes.
LENGTHS = 9, 22
KEY_SEED = 5


class Spoken(NamedTuple):
  """What a test says of one utterance."""

  speaker: str
  text: str
  num_frames: int


class MemoryStore(store.FeatureStore):
  """A feature store without a file; features are noise of each utterance."""

  def __init__(self, num_frames, num_features=NUM_FEATURES):
    rng = np.random.default_rng(0)
    self.ids = [f'u{index}' for index in range(len(num_frames))]
    self.num_features = num_features
    self._offsets = np.concatenate([[0], np.cumsum(num_frames)]).astype(int)
    self._frames = rng.normal(size=(self._offsets[-1], num_features))
    self._frames = self._frames.astype(np.float32)


def examples(
  spoken: list[Spoken], num_features: int = NUM_FEATURES
) -> dataset.Dataset:
  """A training set of noise that is said to be these utterances."""
  utterances = [
    utterance.Utterance(
      id=f'u{index}',
      speaker=item.speaker,
      text=item.text,
      duration=0.0,
      source=utterance.AudioFile('absent.wav'),
    )
    for index, item in enumerate(spoken)
  ]
  return dataset.Dataset(
    utterances,
    MemoryStore([item.num_frames for item in spoken], num_features),
    range(len(spoken)),
    alphabets.ENGLISH,
    config.Normalization.NONE,
  )


def uneven() -> list[Spoken]:
  """Seven speakers of 1 to 7 utterances; one transcript has no alignment."""
  rng = np.random.default_rng(1)
  spoken = []
  for speaker in range(7):
    for _ in range(speaker + 1):
      letters = rng.choice(list('abcdefgh'), rng.integers(1, 4), replace=False)
      length = int(rng.choice(LENGTHS))
      spoken.append(Spoken(f's{speaker}', ''.join(letters), length))
  # 9 frames leave 5 outputs, and 'hollow' needs 7.
  spoken[-1] = Spoken('s6', 'hollow', LENGTHS[0])
  return spoken


@functools.cache
def acoustic_model(**fields) -> model.Model:
  """DS2 of a few hundred parameters."""
  settings = {
    'conv_channels': (4,),
    'conv_time_kernels': (3,),
    'conv_frequency_kernels': (3,),
    'conv_time_strides': (2,),
    'conv_frequency_strides': (2,),
    'num_recurrent_layers': 1,
    'recurrent_size': 8,
    'bidirectional': False,
    'num_norm_groups': 2,
  }
  return model.deepspeech2(
    config.DeepSpeech2Config(**settings | fields), NUM_FEATURES
  )


@functools.cache
def deepspeech1() -> model.Model:
  """DS1 of a few hundred parameters."""
  settings = config.DeepSpeech1Config(
    context_frames=1,
    time_stride=2,
    dense_sizes=(8, 8, 8),
    recurrent_size=6,
    final_size=8,
  )
  return model.deepspeech1(settings, NUM_FEATURES)


@functools.cache
def initialised(acoustic: model.Model) -> model.Model:
  """The model with parameters that are made once, none of them zero."""
  params, norm_state = jax.device_get(acoustic.init(jax.random.key(0)))
  params = jax.tree.map(lambda leaf: leaf + _ripple(leaf), params)
  values = jax.tree.map(np.float32, (params, norm_state))
  return acoustic._replace(init=lambda key: values)


def _ripple(leaf):
  """Small enough for a recurrence of any size to stay what it was."""
  waves = np.cos(np.arange(leaf.size)).reshape(leaf.shape)
  return 0.1 * waves / np.sqrt(leaf.size / leaf.shape[-1])


def federated(
  client: dict | None = None, server: dict | None = None, **fields
) -> config.FederatedConfig:
  """Five of the seven speakers a round, in blocks of two."""
  settings = {
    'num_rounds': 4,
    'cohort_size': 5,
    'num_clients': 6,
    'block_size': 2,
    'num_devices': 1,
    'num_frame_buckets': 1,
  }
  return config.FederatedConfig(
    **settings | fields,
    client=config.ClientConfig(**{'batch_size': 2} | (client or {})),
    server=config.ServerConfig(**(server or {})),
  )


def norm(tree) -> float:
  """Of all the numbers in a tree, in float64."""
  squares = [np.square(np.float64(x)).sum() for x in jax.tree.leaves(tree)]
  return np.sqrt(sum(squares))


def distance(left, right) -> float:
  return norm(
    jax.tree.map(lambda a, b: np.float64(a) - np.float64(b), left, right)
  )


def compiled_quickly(function, *arguments):
  """The executable of a jitted function, compiled in a third of the time."""
  lowered = function.lower(*arguments)
  try:
    return lowered.compile({'xla_cpu_use_fusion_emitters': False})
  except jax.errors.JaxRuntimeError:  # An XLA without this option.
    return lowered.compile()


def batches(members: cohort.Cohort) -> cohort.Batch:
  """Of all steps, copied one by one: [devices blocks steps clients batch ...].

  `members` on the host.
  """
  indices = np.asarray(members.indices)

  def of(leaf):
    copied = np.zeros((*indices.shape, *leaf.shape[4:]), leaf.dtype)
    for place in zip(*np.nonzero(indices >= 0), strict=True):
      device, block, _, client, _ = place
      copied[place] = leaf[device, block, client, indices[place]]
    return copied

  return cohort.Batch(*map(of, members.utterances))


class Simulation:
  """Rounds of a population, as the training job runs them."""

  def __init__(
    self,
    acoustic: model.Model,
    settings: config.FederatedConfig,
    training_set: dataset.Dataset | None = None,
    augmentation: config.AugmentConfig | None = None,
    compiled: Callable = compiled_quickly,
  ):
    self.acoustic = acoustic
    self.settings = settings
    self.examples = training_set or examples(uneven())
    self.devices = devices.select(settings)
    self.clients = partition.partition(
      self.examples.speakers, self.examples.texts, settings, SEED
    )
    self.schedule = schedule.rounds(self.clients, settings, SEED)
    working = [each.working for each in self.schedule or []]
    self.layout = cohort.plan(
      self.clients,
      self.examples,
      settings,
      SEED,
      len(self.devices),
      working or None,
      sampling.places(settings, len(self.clients)),
    )
    self.round_fn = rounds.make_round(
      acoustic,
      settings,
      augmentation or config.AugmentConfig(),
      self.layout.frame_buckets,
      self.devices,
      len(self.clients),
    )
    self.memories = _memories(
      acoustic, settings, len(self.clients), self.devices
    )
    self.key = devices.replicate(jax.random.key(KEY_SEED), self.devices)
    self._compile, self._compiled = compiled, None

  def start(self) -> server.ServerState:
    state = server.initial_state(
      initialised(self.acoustic),
      self.settings,
      jax.random.key(0),
      len(self.clients),
    )
    return devices.replicate(state, self.devices)

  def draw(self, round_index: int) -> cohort.Draw:
    return cohort.draw(
      self.clients,
      self.examples.num_frames,
      self.settings,
      SEED,
      round_index,
      self.schedule[round_index].working if self.schedule else None,
    )

  def members(self, round_index: int) -> cohort.Cohort:
    """The cohort on the host."""
    return cohort.assemble(self.draw(round_index), self.examples, self.layout)

  def step(self, state, members, key=None):
    """One round, by the executable of the first; `state` is used up."""
    state, outcome = self.outcome(state, members, key)
    return state, outcome.metrics

  def outcome(self, state, members, key=None):
    """(state, metrics and reports) after one round.

    What clients keep is kept from call to call, whatever the state.
    """
    key = self.key if key is None else devices.replicate(key, self.devices)
    ids = np.asarray(members.client_ids)
    arguments = (
      state,
      devices.spread(members, self.devices),
      self.memories.gather(ids, state.params, state.norm_state),
      key,
    )
    if self._compiled is None:
      self._compiled = self._compile(self.round_fn, *arguments)
    state, memories, outcome = self._compiled(*arguments)
    self.memories.scatter(int(state.round), ids, memories)
    return state, outcome

  def run(self, num_rounds: int):
    """(state, metrics of the last round), on the host."""
    state = self.start()
    for index in range(num_rounds):
      state, metrics = self.step(state, self.members(index))
    return jax.device_get((state, metrics))


def _memories(acoustic, settings, num_clients, device_list):
  """Held by this process alone."""
  initial = client_memory.initial_memory(
    algorithms.make(acoustic, settings, config.AugmentConfig(), num_clients),
    channels.make(settings),
  )
  layout = client_memory.row_layout(initial, acoustic)
  absent = client_rows.ClientRows(pathlib.Path('absent'), layout.num_bytes, 0)
  rows = client_rows.HeldRows(absent)
  return client_memory.ClientMemories(initial, layout, rows, device_list)


def losses(settings: config.FederatedConfig, num_rounds: int = 6):
  """Of rounds of one cohort, by `uneven`'s speakers."""
  simulation = Simulation(acoustic_model(norm=config.Norm.BATCH), settings)
  state, members = simulation.start(), simulation.members(0)
  found = []
  for _ in range(num_rounds):
    state, metrics = simulation.step(state, members)
    found.append(float(metrics.loss))
  return found


# With momentum, a step of padding would move a client.
PLAIN = federated(client={'optimizer': config.ClientOptimizer.MOMENTUM})


@functools.cache
def plain() -> Simulation:
  """Without anything random; shared, for the sake of its compilation."""
  return Simulation(acoustic_model(norm=config.Norm.BATCH), PLAIN)
