"""Every random stream of the project, by name.

What is drawn is a function of (seed, stream, indices) and of nothing else, so
that a resumed run draws what an uninterrupted one would have. A stream's number
stands where no other draw has one, and its indices behind it, so that no two
streams coincide for any index. The attacker's are other streams than any that a
client draws from, of a seed of the attack's own.
"""

import enum
import typing
from typing import Any

import numpy as np

if typing.TYPE_CHECKING:
  from jaxtyping import PRNGKeyArray

# A round, a client or a step; also of JAX, in a compiled program.
Index = Any


class Stream(enum.IntEnum):
  """Names and numbers; a number that was used once is never given again.

  In brackets: the indices. Those of the corpus go by `data.synthetic.seed`.
  """

  # Of the corpus.
  VOICE = 1  # [speaker]
  SENTENCE = 2  # [speaker, utterance]
  RENDER = 3  # [speaker, utterance]
  SPLIT = 4  # []
  # Of a run, on the host.
  PARTITION = 0x7061  # []
  COHORT = 0x636F  # [round]
  # In place of a seed these have the first half of a run's secret.
  PRIVATE_COHORT = 0x7063  # [second half, round]
  SAMPLING_GROUPS = 0x7367  # [second half]
  CLIENT_UTTERANCES = 0x6375  # [round, client]
  SPEEDS = 0x7370  # []
  DROPOUT = 0x6472  # [draw]
  MASK_GRAPH = 0x6D67  # [round]
  MASKS = 0x6D61  # [round, client]: keys, seeds and shares
  # Of a run, on the devices.
  INITIAL_PARAMETERS = 0x6970  # []
  CLIENT = 0x636C  # [round, client], from which those of `ClientStream` come
  SERVER_NOISE = 0x736E  # [round]
  # Of clients that audit a training.
  CANARY = 0x6361  # [canary]
  CANARY_ROUNDS = 0x6372  # [round]
  CANARY_NOISE = 0x636E  # [round, canary]
  # Of other jobs.
  BOOTSTRAP = 0x626F  # []
  CONVERGE_BATCHES = 0x6366  # []
  CONVERGE = 0x6376  # [iteration]
  FINE_TUNING_SPLIT = 0x6673  # [speaker]
  FINE_TUNING = 0x6674  # [client], from which those of `ClientStream` come
  EXPORT_PROBE = 0x6570  # [probe]
  # Of audits: who is left out of a shadow training, what else is random in it,
  # what perturbs a candidate, and which sentences are planted where.
  SHADOW_HALVES = 0x736C  # [kind]
  SHADOW = 0x7364  # [shadow]
  SHADOW_NOISE = 0x736F  # [shadow]
  PERTURBATION = 0x7074  # []
  CANDIDATES = 0x6364  # []
  OBSERVED_CANDIDATES = 0x6F63  # [round, client]
  EXPOSURE = 0x6578  # []
  EXPOSURE_NOISE = 0x656E  # []
  PLANTED = 0x706C  # []
  PLANTED_CANDIDATES = 0x706E  # [sentence]
  # Who is attacked, and with which of their speech.
  VICTIMS = 0x6174  # [round]
  VICTIM_UTTERANCES = 0x7675  # [round, client]
  PUBLIC_SPEECH = 0x7073  # []
  # Whose updates are audited, of what speech, and how results are tested.
  AUDITED_SPEAKERS = 0x73706B  # []
  SPEAKER_HALVES = 0x7368  # [speaker]
  SPEAKER_FOLDS = 0x7366  # []
  SPEAKER_RESAMPLES = 0x7372  # []
  # What an attacker draws.
  ATTACKER = 0x6173  # [client]
  SPEAKER_ID = 0x7369  # []
  IMPRINT = 0x696D  # []


class ClientStream(enum.IntEnum):
  """Of one client in one round, from its key."""

  STEP = 1  # [step]: augmentation and dropout
  NOISE = 2  # []
  CODING = 3  # []


class ServerStream(enum.IntEnum):
  """Of the server in one round, from its key."""

  COUNT = 1  # []: noise on how many clients were not clipped
  SUM = 2  # []: beside it, on the sum


def rng(seed: int, stream: Stream, *indices: Index) -> np.random.Generator:
  """NumPy's generator of a stream.

  Raises:
    ValueError: a number that is not of 32 bits, which would be another stream.
  """
  return np.random.default_rng(entropy(seed, stream, *indices))


def entropy(seed: int, stream: Stream, *indices: Index) -> list[int]:
  """What a NumPy stream is made of: a word each, the stream's the second."""
  words = [seed, int(stream), *map(int, indices)]
  for word in words:
    if not 0 <= word < 2**32:
      raise ValueError(f'{word} in stream {stream.name}; want 32 bits.')
  return words


def key(seed: int, stream: Stream, *indices: Index) -> 'PRNGKeyArray':
  """JAX's key of a stream."""
  # Not on top: processes that synthesise speech do without JAX.
  import jax

  return of_root(jax.random.key(seed), stream, *indices)


def of_root(
  root: 'PRNGKeyArray', stream: Stream, *indices: Index
) -> 'PRNGKeyArray':
  """As `key`, from `jax.random.key(seed)`; may be called under `jax.jit`."""
  return _folded(root, stream, indices)


def of_client(
  client_key: 'PRNGKeyArray', stream: ClientStream, *indices: Index
) -> 'PRNGKeyArray':
  """From a client's key in a round, which is of the stream `CLIENT`."""
  return _folded(client_key, stream, indices)


def of_server(
  server_key: 'PRNGKeyArray', stream: ServerStream, *indices: Index
) -> 'PRNGKeyArray':
  """From the server's key in a round, which is of the stream `SERVER_NOISE`."""
  return _folded(server_key, stream, indices)


def _folded(found, stream: enum.IntEnum, indices):
  import jax

  found = jax.random.fold_in(found, int(stream))
  for index in indices:
    found = jax.random.fold_in(found, index)
  return found
