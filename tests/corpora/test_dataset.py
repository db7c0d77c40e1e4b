"""Utterances of a split, normalised and padded."""

import pathlib

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.corpora import dataset, store, utterance
from fedjax_asr.speech import alphabets, features

WIDTH = 4
LENGTHS = [5, 3, 7, 2]
TEXTS = ['hello', "it's", 'a b', 'e']


@pytest.fixture(scope='module')
def corpus(tmp_path_factory) -> tuple:
  """Utterances of one speaker each, and their store."""
  folder = tmp_path_factory.mktemp('features')
  rng = np.random.default_rng(0)
  utterances = []
  for index, (length, transcript) in enumerate(
    zip(LENGTHS, TEXTS, strict=True)
  ):
    path = folder / f'{index}.npy'
    np.save(path, rng.normal(3.0, 2.0, (length, WIDTH)).astype(np.float32))
    utterances.append(
      utterance.Utterance(
        id=f'u{index}',
        speaker=f's{index}',
        text=transcript,
        duration=0.0,
        source=utterance.FeatureFile(str(path)),
      )
    )
  opened = store.open_or_build(
    utterances,
    config.DataConfig(cache_dir=str(folder / 'cache'), num_workers=1),
    config.FeaturesConfig(num_features=WIDTH, num_mels=WIDTH),
    lambda done, total: None,
  )
  return utterances, opened


def raw(corpus, index):
  return np.load(pathlib.Path(corpus[0][index].source.path))


def subset(corpus, indices, kind=config.Normalization.NONE, statistics=None):
  return dataset.Dataset(*corpus, indices, alphabets.ENGLISH, kind, statistics)


def test_fields_are_by_position_in_the_subset(corpus):
  chosen = subset(corpus, [2, 0])
  assert len(chosen) == 2
  assert chosen.ids == ['u2', 'u0']
  assert chosen.speakers == ['s2', 's0']
  assert chosen.texts == ['a b', 'hello']
  assert chosen.num_frames.tolist() == [7, 5]
  assert [
    alphabets.ENGLISH.decode(labels) for labels in chosen.labels
  ] == chosen.texts
  np.testing.assert_array_equal(chosen.features(0), raw(corpus, 2))


def test_features_are_normalised_as_configured(corpus):
  frames = raw(corpus, 0)
  by_itself = subset(corpus, [0], config.Normalization.UTTERANCE).features(0)
  np.testing.assert_allclose(by_itself.mean(0), 0, atol=1e-5)
  np.testing.assert_allclose(by_itself.std(0), 1, rtol=1e-3)
  statistics = features.Statistics(
    mean=np.full(WIDTH, 3.0, np.float32), std=np.full(WIDTH, 2.0, np.float32)
  )
  by_all = subset(corpus, [0], config.Normalization.GLOBAL, statistics)
  for _ in range(2):
    np.testing.assert_allclose(
      by_all.features(0), (frames - 3) / 2, rtol=1e-5, atol=1e-6
    )


def test_a_batch_is_padded_with_zeros(corpus):
  padded, num_frames, labels, num_labels = subset(corpus, range(4)).batch(
    np.array([1, 3]), num_frames=8, num_labels=6
  )
  assert padded.shape == (2, 8, WIDTH)
  assert padded.dtype == np.float32
  assert labels.dtype == num_frames.dtype == num_labels.dtype == np.int32
  np.testing.assert_array_equal(padded[0, :3], raw(corpus, 1))
  assert not padded[0, 3:].any()
  assert num_frames.tolist() == [3, 2]
  assert num_labels.tolist() == [4, 1]
  assert alphabets.ENGLISH.decode(labels[0, :4]) == "it's"
  assert alphabets.ENGLISH.decode(labels[1, :1]) == 'e'
  assert not labels[1, 1:].any()


def test_positions_of_any_shape_and_minus_one_for_nobody(corpus):
  positions = np.array([[[0, -1]], [[-1, 2]]])
  padded, num_frames, labels, num_labels = subset(corpus, range(4)).batch(
    positions, num_frames=7, num_labels=5
  )
  assert padded.shape == (2, 1, 2, 7, WIDTH)
  assert num_frames.tolist() == [[[5, 0]], [[0, 7]]]
  assert num_labels.tolist() == [[[5, 0]], [[0, 3]]]
  np.testing.assert_array_equal(padded[1, 0, 1], raw(corpus, 2))
  assert not padded[positions < 0].any()
  assert not labels[positions < 0].any()


def test_an_empty_subset_has_empty_batches(corpus):
  nobody = subset(corpus, [])
  assert len(nobody) == 0
  assert not any(leaf.any() for leaf in nobody.batch(np.full((2, 3), -1), 4, 1))


def test_what_several_places_hold_is_read_once_and_in_order(
  corpus, monkeypatch
):
  chosen = subset(corpus, [3, 2, 1, 0])
  positions = np.array([[2, -1, 0], [3, 2, 2]])
  each = [chosen.batch(row, 8, 6) for row in positions]
  asked = []
  read = chosen.features
  monkeypatch.setattr(
    chosen, 'features', lambda index: asked.append(index) or read(index)
  )
  for field, rows in zip(
    chosen.batch(positions, 8, 6), zip(*each, strict=True), strict=True
  ):
    np.testing.assert_array_equal(field, np.stack(rows))
  assert asked == [0, 2, 3]
