"""The clients of a round and their batches, padded and masked.

Everything here is a function of (seed, round), so a resumed run draws what an
uninterrupted one would have drawn.

A round has one compiled shape. Its steps are scanned, and each (block, step)
pair is computed at the shortest of a few frame lengths (buckets) that holds
it: `Cohort.bucket` names the length, 0 skips a step that no client has.
Clients of similar length share a block and a client's batches are cut from its
utterances sorted by length, so little of what is computed is padding.

An utterance stands in the cohort once, however many epochs use it: a step
gathers its batch by index, on the device.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedjax_asr import config, streams
from fedjax_asr.corpora import dataset
from fedjax_asr.federated import partition

# NumPy's while a cohort is assembled, JAX's once it is on the devices.
AnyArray = Array | np.ndarray


class Batch(NamedTuple):
  """Utterances, of one local step or more; axes may stand before `batch`.

  A padding utterance has no frames and no labels; a padding step has only
  padding utterances and changes nothing.
  """

  features: Float[AnyArray, '*axes batch frames features']
  num_frames: Int[AnyArray, '*axes batch']
  labels: Int[AnyArray, '*axes batch labels']
  num_labels: Int[AnyArray, '*axes batch']


class Cohort(NamedTuple):
  """What a round's clients train on, outermost axis the devices.

  A padding client has only padding steps and weighs nothing.

  utterances: of each client, each once; axes: devices blocks clients batch.
  indices: those of a step, among its client's; -1 is padding.
  masks: of secure aggregation (`masks.Masks`); () without.
  """

  utterances: Batch
  indices: Int[AnyArray, 'devices blocks steps clients batch']
  bucket: Int[AnyArray, 'devices blocks steps']
  client_ids: Int[AnyArray, 'devices blocks clients']
  staleness: Int[AnyArray, 'devices blocks clients']
  masks: Any = ()


class Layout(NamedTuple):
  """The one padded shape of a run.

  num_utterances: room for those that one client uses in a round.
  frame_buckets: ascending; the last holds every training utterance.
  """

  num_devices: int
  num_blocks: int
  block_size: int
  num_steps: int
  batch_size: int
  num_utterances: int
  frame_buckets: tuple[int, ...]
  num_labels: int


class Working(NamedTuple):
  """Who sends in a round; at most the cohort, and possibly nobody.

  num_steps: that each takes, of those of its local work.
  staleness: rounds since the server's values that each starts from.
  """

  client_ids: Int[np.ndarray, ' clients']
  num_steps: Int[np.ndarray, ' clients']
  staleness: Int[np.ndarray, ' clients']


class Draw(NamedTuple):
  """A round's clients and, for each, the utterances of its steps.

  utterances: [clients, steps, batch] into the training set, -1 for padding.
  staleness: as `Working` has it.
  """

  client_ids: Int[np.ndarray, ' clients']
  utterances: Int[np.ndarray, 'clients steps batch']
  staleness: Int[np.ndarray, ' clients']


_FRAME_QUANTUM = 8
_PLANNED_ROUNDS = 32


def sample(
  num_clients: int, cohort_size: int, seed: int, round_index: int
) -> Int[np.ndarray, ' cohort']:
  """Clients of a round, without replacement; a function of (seed, round)."""
  rng = streams.rng(seed, streams.Stream.COHORT, round_index)
  return rng.choice(num_clients, cohort_size, replace=False)


def num_steps(
  clients: Sequence[partition.Client],
  num_frames: Int[np.ndarray, ' utterances'],
  client: config.ClientConfig,
) -> int:
  """Steps of the client that has most."""
  if not _is_cut_by_frames(client):
    return max(work(len(member.utterances), client) for member in clients)
  per_epoch = (
    len(_batch_ends(np.sort(num_frames[member.utterances]), client))
    for member in clients
  )
  return client.local_epochs * max(per_epoch)


def _is_cut_by_frames(client: config.ClientConfig) -> bool:
  return bool(client.batch_frames) and not client.local_steps


def _batch_ends(
  lengths: Int[np.ndarray, ' utterances'], client: config.ClientConfig
) -> list[int]:
  """Where batches of ascending lengths end; the first may be partial."""
  ends, end = [], len(lengths)
  while end:
    ends.append(end)
    fitting = max(client.batch_frames // int(lengths[end - 1]), 1)
    end -= min(client.batch_size, fitting, end)
  return ends[::-1]


def work(num_utterances: int, client: config.ClientConfig) -> int:
  """Steps of a client that has so many utterances, without `batch_frames`."""
  if client.local_steps:
    return client.local_steps
  if client.max_utterances:
    num_utterances = min(num_utterances, client.max_utterances)
  return client.local_epochs * -(-num_utterances // client.batch_size)


def num_utterances(
  clients: Sequence[partition.Client], client: config.ClientConfig
) -> int:
  """Different ones in a round, of the client that uses most."""
  most = max(len(member.utterances) for member in clients)
  if client.max_utterances:
    most = min(most, client.max_utterances)
  if client.local_steps:
    most = min(most, client.local_steps * client.batch_size)
  return most


def draw(
  clients: Sequence[partition.Client],
  num_frames: Int[np.ndarray, ' utterances'],
  federated: config.FederatedConfig,
  seed: int,
  round_index: int,
  working: Working | None = None,
) -> Draw:
  """The cohort and its batches of one round, padded to one length.

  `working`: who sends; None: a sample, and each does all its local work.
  """
  if working is None:
    ids = sample(len(clients), federated.cohort_size, seed, round_index)
  else:
    ids = working.client_ids
  steps = [
    client_steps(
      clients, int(index), num_frames, federated.client, seed, round_index
    )
    for index in ids
  ]
  most_steps = num_steps(clients, num_frames, federated.client)
  shape = (len(ids), most_steps)
  utterances = np.full((*shape, federated.client.batch_size), -1)
  for row, batches in zip(utterances, steps, strict=True):
    row[: len(batches)] = batches
  staleness = np.zeros_like(ids)
  if working is not None:
    is_late = np.arange(shape[1]) >= working.num_steps[:, None]
    utterances[is_late] = -1
    staleness = working.staleness
  order = _length_order(utterances, num_frames)
  return Draw(ids[order], utterances[order], staleness[order])


def client_steps(
  clients: Sequence[partition.Client],
  index: int,
  num_frames: Int[np.ndarray, ' utterances'],
  client: config.ClientConfig,
  seed: int,
  round_index: int,
) -> Int[np.ndarray, 'steps batch']:
  """What one client trains on in a round, whether it is drawn or not.

  Each epoch is sorted, then cut in batches; -1 is padding. The partial batch,
  if any, is the first and has the shortest utterances, as in SortaGrad (Amodei
  et al. 2015, 3.3). An epoch that `local_steps` cuts short has random
  utterances, not the shortest. `batch_frames` limits batches of epochs.
  """
  rng = streams.rng(seed, streams.Stream.CLIENT_UTTERANCES, round_index, index)
  utterances = clients[index].utterances
  size = client.batch_size
  if client.max_utterances:
    utterances = rng.permutation(utterances)[: client.max_utterances]
  if _is_cut_by_frames(client):
    return _epochs_by_frames(utterances, num_frames, client, rng)
  per_epoch = -(-len(utterances) // size)
  left = client.local_steps or client.local_epochs * per_epoch
  cut = []
  while left:
    chosen = rng.permutation(utterances)[: left * size]
    chosen = chosen[np.argsort(num_frames[chosen], kind='stable')]
    padding = np.full(-len(chosen) % size, -1)
    cut.append(np.concatenate([padding, chosen]).reshape(-1, size))
    left -= len(cut[-1])
  return np.concatenate(cut)


def _epochs_by_frames(
  utterances: Int[np.ndarray, ' own'],
  num_frames: Int[np.ndarray, ' utterances'],
  client: config.ClientConfig,
  rng: np.random.Generator,
) -> Int[np.ndarray, 'steps batch']:
  """All of a client's epochs, cut by `batch_frames`, longest first filled."""
  batches = []
  for _ in range(client.local_epochs):
    chosen = rng.permutation(utterances)
    chosen = chosen[np.argsort(num_frames[chosen], kind='stable')]
    ends = _batch_ends(num_frames[chosen], client)
    for part in np.split(chosen, ends[:-1]):
      padding = np.full(client.batch_size - len(part), -1)
      batches.append(np.concatenate([padding, part]))
  return np.stack(batches)


def _length_order(utterances: np.ndarray, num_frames: np.ndarray) -> np.ndarray:
  """Order of clients by work, so that neighbours are alike."""
  frames = np.where(utterances >= 0, num_frames[utterances], 0)
  work = frames.max(-1).sum(-1)
  return np.argsort(work, kind='stable')


def plan(
  clients: Sequence[partition.Client],
  examples: dataset.Dataset,
  federated: config.FederatedConfig,
  seed: int,
  num_devices: int,
  working: Sequence[Working] | None = None,
  num_places: int = 0,
) -> Layout:
  """The padded shape of every round of a run.

  Frame buckets are those that waste least on the first rounds, which are
  known in advance, being functions of the seed. `working`: of each round, as
  `draw` takes it. `num_places`: clients of a round at most; 0: the cohort.
  """
  per_device = -(-(num_places or federated.cohort_size) // num_devices)
  block_size = min(federated.block_size, per_device)
  layout = Layout(
    num_devices=num_devices,
    num_blocks=-(-per_device // block_size),
    block_size=block_size,
    num_steps=num_steps(clients, examples.num_frames, federated.client),
    batch_size=federated.client.batch_size,
    num_utterances=num_utterances(clients, federated.client),
    frame_buckets=(_quantized(int(examples.num_frames.max())),),
    num_labels=max(1, *(len(labels) for labels in examples.labels)),
  )
  needed = [
    step_frames(
      draw(
        clients,
        examples.num_frames,
        federated,
        seed,
        index,
        working[index] if working else None,
      ),
      examples.num_frames,
      layout,
    ).ravel()
    for index in range(min(federated.num_rounds, _PLANNED_ROUNDS))
  ]
  lengths = np.concatenate(needed)
  buckets = frame_buckets(
    lengths[lengths > 0], layout.frame_buckets[-1], federated.num_frame_buckets
  )
  return layout._replace(frame_buckets=buckets)


def _quantized(frames: int) -> int:
  return -(-frames // _FRAME_QUANTUM) * _FRAME_QUANTUM


def frame_buckets(
  lengths: Int[np.ndarray, ' lengths'], longest: int, num_buckets: int
) -> tuple[int, ...]:
  """At most `num_buckets` lengths, `longest` the last, that pad least.

  Exact, by dynamic programming over the distinct rounded lengths.
  """
  rounded = -(-lengths // _FRAME_QUANTUM) * _FRAME_QUANTUM
  values, counts = np.unique(np.append(rounded, longest), return_counts=True)
  below = np.concatenate([[0], np.cumsum(counts)])
  # cost[i]: frames of the shortest i lengths when values[i - 1] is a bucket.
  cost = np.append(0.0, values * below[1:])
  choice = [np.zeros(len(values) + 1, int)]
  for _ in range(num_buckets - 1):
    extended = cost[:-1, None] + np.triu(
      values * (below[None, 1:] - below[:-1, None])
    )
    extended[np.tril_indices_from(extended, -1)] = np.inf
    choice.append(np.append(0, extended.argmin(0)))
    cost = np.append(0.0, extended.min(0))
  buckets = []
  end = len(values)
  for previous in reversed(choice):
    buckets.append(int(values[end - 1]))
    end = previous[end]
    if not end:
      break
  return tuple(sorted(buckets))


def step_frames(
  drawn: Draw, num_frames: Int[np.ndarray, ' utterances'], layout: Layout
) -> Int[np.ndarray, 'devices blocks steps']:
  """The longest utterance of each (block, step); 0 where there is none."""
  utterances = _blocks(drawn.utterances, layout, fill=-1)
  frames = np.where(utterances >= 0, num_frames[utterances], 0)
  return frames.max((2, 4))


def _blocks(values: np.ndarray, layout: Layout, fill: int) -> np.ndarray:
  """[clients, ...] -> [devices, blocks, clients of a block, ...]."""
  places = layout.num_devices * layout.num_blocks * layout.block_size
  padding = np.full((places - len(values), *values.shape[1:]), fill)
  # Padding clients first: the order is by length, and theirs is 0.
  values = np.concatenate([padding, values])
  shape = (layout.num_blocks, layout.num_devices, layout.block_size)
  return values.reshape(*shape, *values.shape[1:]).swapaxes(0, 1)


def assemble(drawn: Draw, examples: dataset.Dataset, layout: Layout) -> Cohort:
  """Fills the padded arrays of a round, on the host."""
  own, indices = _indexed(drawn.utterances, layout.num_utterances)
  utterances = examples.batch(
    _blocks(own, layout, fill=-1), layout.frame_buckets[-1], layout.num_labels
  )
  indices = _blocks(indices, layout, fill=-1).swapaxes(2, 3)
  longest = step_frames(drawn, examples.num_frames, layout)
  bucket = np.searchsorted(layout.frame_buckets, longest) + 1
  return Cohort(
    utterances=Batch(*utterances),
    indices=indices.astype(np.int32),
    bucket=np.where(longest > 0, bucket, 0).astype(np.int32),
    client_ids=_blocks(drawn.client_ids, layout, fill=-1).astype(np.int32),
    staleness=_blocks(drawn.staleness, layout, fill=0).astype(np.int32),
  )


def positions(
  drawn: Draw, layout: Layout
) -> Int[np.ndarray, 'devices blocks steps clients batch']:
  """Where in the training set each of `Cohort.indices` stands; -1: padding."""
  return _blocks(drawn.utterances, layout, fill=-1).swapaxes(2, 3)


def _indexed(
  utterances: Int[np.ndarray, 'clients steps batch'], most: int
) -> tuple[
  Int[np.ndarray, 'clients utterances'], Int[np.ndarray, 'clients steps batch']
]:
  """Each client's utterances, each once, and where those of its steps are."""
  own = np.full((len(utterances), most), -1)
  indices = np.full_like(utterances, -1)
  for row, used, places in zip(own, utterances, indices, strict=True):
    is_real = used >= 0
    distinct, places[is_real] = np.unique(used[is_real], return_inverse=True)
    row[: len(distinct)] = distinct
  return own, indices


def gathered(
  utterances: Batch, indices: Int[AnyArray, ' batch'], num_frames: int
) -> Batch:
  """The batch of one client's step, cut to so many frames.

  Padding (-1) is zeros, whatever stands in `utterances`. Reads nothing but
  what the batch holds.
  """

  def cut(leaf: AnyArray, index: Int[AnyArray, '']):
    sizes = (1, *leaf.shape[1:])
    if leaf is utterances.features:
      sizes = (1, num_frames, leaf.shape[-1])
    start = (index, *[0] * (leaf.ndim - 1))
    taken = jax.lax.dynamic_slice(leaf, start, sizes)[0]
    return jnp.where(index >= 0, taken, jnp.zeros_like(taken))

  def one(index: Int[AnyArray, '']):
    return jax.tree.map(lambda leaf: cut(leaf, index), utterances)

  return jax.vmap(one)(indices)


def shapes(layout: Layout, num_features: int) -> Cohort:
  """What `assemble` fills, as `jax.ShapeDtypeStruct`s: to compile ahead."""

  def of(*axes: int, dtype: Any = np.int32) -> Any:
    return jax.ShapeDtypeStruct(axes, dtype)

  blocks = layout.num_devices, layout.num_blocks
  own = *blocks, layout.block_size, layout.num_utterances
  frames = layout.frame_buckets[-1], num_features
  return Cohort(
    utterances=Batch(
      features=of(*own, *frames, dtype=np.float32),
      num_frames=of(*own),
      labels=of(*own, layout.num_labels),
      num_labels=of(*own),
    ),
    indices=of(*blocks, layout.num_steps, layout.block_size, layout.batch_size),
    bucket=of(*blocks, layout.num_steps),
    client_ids=of(*blocks, layout.block_size),
    staleness=of(*blocks, layout.block_size),
  )


class BucketFrames(NamedTuple):
  """Frames of a round, of each frame bucket: of speech, and all computed."""

  speech: Int[np.ndarray, ' buckets']
  computed: Int[np.ndarray, ' buckets']

  @property
  def padding_waste(self) -> float:
    """Fraction of all frames computed that are padding."""
    return 1.0 - float(self.speech.sum()) / max(int(self.computed.sum()), 1)


def bucket_frames(cohort: Cohort, layout: Layout) -> BucketFrames:
  """What each bucket's steps hold, and what they cost."""
  # Axes: devices blocks clients steps batch.
  indices = np.asarray(cohort.indices).swapaxes(2, 3)
  own = np.asarray(cohort.utterances.num_frames)
  used = np.take_along_axis(own[..., None, :], indices, -1)
  # Of each (device, block, step), whose clients share a bucket.
  spoken = np.where(indices >= 0, used, 0).sum((2, 4))
  bucket, num_buckets = np.asarray(cohort.bucket), len(layout.frame_buckets)
  of_bucket = bucket[..., None] == np.arange(1, num_buckets + 1)
  places = layout.block_size * layout.batch_size
  steps = of_bucket.sum((0, 1, 2))
  return BucketFrames(
    speech=(spoken[..., None] * of_bucket).sum((0, 1, 2)),
    computed=steps * places * np.array(layout.frame_buckets),
  )
