"""The stand-in corpus of features, as the config `features` reads it."""

import json

import numpy as np
import pytest

from benchmarks import feature_manifest
from configs import ds1_fedavg, ds2_fedavg
from fedjax_asr import config
from fedjax_asr.corpora import datasets, synthetic
from fedjax_asr.models import model

pytest.importorskip('espeakng_loader', reason='the synthetic extra is absent')

_SPEAKERS, _UTTERANCES = 2, 4


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp('standin')
  items = synthetic.utterances(
    config.SyntheticConfig(
      grammar=config.Grammar.SPELLING,
      num_speakers=_SPEAKERS,
      utterances_per_speaker=_UTTERANCES,
    )
  )
  feature_manifest.write(items, path)
  return path


@pytest.mark.parametrize('configs', [ds1_fedavg, ds2_fedavg])
def test_config_takes_every_utterance_of_it(folder, configs, tmp_path):
  cfg = configs.get_config('features')
  cfg.data.path = str(folder / 'manifest.jsonl')
  cfg.data.cache_dir = str(tmp_path)
  acoustic = model.acoustic(cfg.model, cfg.features.num_features)
  found = datasets.usable(
    cfg.data, cfg.features, acoustic.num_output_frames, lambda *_: None
  )
  assert len(found.kept) == _SPEAKERS * _UTTERANCES
  assert found.problems == []
  speakers = [item.speaker for item in found.utterances]
  assert len(set(speakers)) == _SPEAKERS
  # Raw: what normalisation is for.
  first = np.concatenate([found.store.features(i)[:, 0] for i in found.kept])
  assert abs(first.mean()) > 10


def test_some_lines_have_a_duration_and_some_have_not(folder):
  text = (folder / 'manifest.jsonl').read_text()
  has = ['duration' in json.loads(line) for line in text.splitlines()]
  assert has == [True, True, False] * 2 + [True, True]
