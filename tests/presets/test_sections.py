"""Sections that the configs share: corpora, features and federated training."""

import pytest

from fedjax_asr import config, validation
from fedjax_asr.federated import partition
from fedjax_asr.presets import corpora, features, federated, librispeech


@pytest.mark.parametrize(
  'data',
  [
    corpora.commands,
    corpora.digits,
    corpora.attacked,
    corpora.fitted,
    corpora.fitted_librispeech,
    corpora.fsdd,
    corpora.precomputed,
  ],
)
def test_corpora_are_valid_and_fresh(data):
  validation.validate(config.Config(data=data()))
  changed = data()
  changed.synthetic.num_speakers = 1
  changed.path = 'elsewhere'
  assert data() != changed
  assert data() == data()


@pytest.mark.parametrize(
  ('data', 'of_it'),
  [
    (corpora.fsdd, features.fsdd),
    (corpora.precomputed, features.precomputed_mfcc),
  ],
)
def test_features_go_with_their_corpus(data, of_it):
  validation.validate(config.Config(data=data(), features=of_it()))


def test_a_cohort_of_the_corpus_leaves_open_what_follows_it():
  cfg = config.Config(
    data=corpora.commands(),
    federated=federated.fedavg(num_utterances=800, cohort_size=0, block_size=2),
  )
  validation.validate(cfg)
  assert config.open_fields(cfg) == list(config.BY_CORPUS)


def test_smoke_leaves_nothing_open():
  cfg = config.Config(data=corpora.digits(), federated=federated.smoke())
  validation.validate(cfg)
  assert config.open_fields(cfg) == []


def test_a_central_librispeech_model_trains_for_its_epochs():
  """However large the batches are; the last round fills up the last epoch."""
  holders = ['speaker'] * 28_539
  for batch_size, wanted in ((32, 53_511), (64, 26_756), (20, 85_617)):
    recipe = librispeech.central(num_epochs=60, batch_size=batch_size)
    assert partition.settled(recipe, holders).num_rounds == wanted
