"""A population of random utterances of one length, in memory.

Speed does not depend on what is said, so nothing has to be recorded or
synthesised; batches go through the job's own feed.
"""

import numpy as np

from fedjax_asr import config
from fedjax_asr.corpora import dataset, utterance
from fedjax_asr.speech import alphabets

NUM_LABELS = 40


class _Store:
  """A feature store in memory, of a few utterances that all share."""

  in_memory = True

  def __init__(self, num_utterances, num_frames, num_features):
    rng = np.random.default_rng(0)
    self.num_features = num_features
    self.num_frames = np.full(num_utterances, num_frames)
    self._values = rng.standard_normal((16, num_frames, num_features)).astype(
      np.float32
    )

  def features(self, index):
    return self._values[index % len(self._values)]


def population(
  num_clients: int,
  per_client: int,
  num_frames: int,
  num_features: int,
  alphabet: alphabets.Alphabet = alphabets.ENGLISH,
) -> dataset.Dataset:
  """`per_client` utterances of each client, who is a speaker."""
  letters = 'abcdefghijklmnopqrstuvwxyz'
  if alphabet != alphabets.ENGLISH:
    letters = alphabet.symbols[1:]
  rng = np.random.default_rng(1)
  count = num_clients * per_client
  texts = [''.join(rng.choice(list(letters), NUM_LABELS)) for _ in range(16)]
  utterances = [
    utterance.Utterance(
      id=f'u{index}',
      speaker=f's{index // per_client:05d}',
      text=texts[index % 16],
      duration=0.0,
      source=utterance.AudioFile(f'u{index}.wav'),
    )
    for index in range(count)
  ]
  return dataset.Dataset(
    utterances,
    _Store(count, num_frames, num_features),
    range(count),
    alphabet,
    config.Normalization.NONE,
  )
