"""From what a manifest says to what is trained on and measured by."""

import json
import pathlib
import sys

import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.corpora import datasets, manifest, utterance
from fedjax_asr.speech import alphabets, transcript

_SHARED = pathlib.Path(__file__).parents[3] / 'shared' / 'data'
_FEATURES = config.FeaturesConfig(
  kind=config.FeatureKind.PRECOMPUTED, num_features=3
)


def _data(folder, texts, **fields):
  np.save(folder / 'u.npy', np.ones((200, 3), np.float32))
  rows = [
    {'features_filepath': 'u.npy', 'speaker': f's{i}', 'text': said}
    for i, said in enumerate(texts)
  ]
  path = folder / 'manifest.jsonl'
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return config.DataConfig(
    corpus=config.Corpus.MANIFEST,
    path=str(path),
    cache_dir=str(folder / 'cache'),
    num_workers=1,
    **{'num_heldout_speakers': 0} | fields,
  )


def _prepared(data, seed=0):
  return datasets.prepare(
    data, _FEATURES, lambda frames: frames, seed, lambda *_: None
  )


def test_a_transcript_that_would_lose_a_digit_or_keep_a_tag_is_left_out(
  tmp_path,
):
  data = _data(tmp_path, ['Go, on!', 'go 25', '[noise] go', 'a & b'])
  found = _prepared(data)
  assert found.train.texts == ['go on']
  fatal = [each.kind for each in found.problems if not each.is_warning]
  assert fatal == ['unspelled', 'unknown_tag', 'unspelled']


def test_a_transcript_that_would_lose_a_digit_is_fatal_where_asked(tmp_path):
  bad = config.OnBadUtterance.ERROR
  data = _data(tmp_path, ['go on', 'go 25'], on_bad_utterance=bad)
  with pytest.raises(utterance.CorpusError, match=r"^1 bad .*'25'.*=spell"):
    _prepared(data)


def test_labels_and_references_are_what_was_said(tmp_path):
  pytest.importorskip('num2words')
  data = _data(
    tmp_path,
    ['[noise] Turn it to 25.', 'go <UNK> on'],
    numbers=config.Numbers.SPELL,
    drop_tags=('[noise]', '<unk>'),
  )
  found = _prepared(data)
  assert found.train.texts == ['turn it to twenty five', 'go on']
  assert [len(labels) for labels in found.train.labels] == [22, 5]
  assert found.problems[0].is_warning


def test_disjoint_transcripts_are_compared_as_said(tmp_path):
  pytest.importorskip('num2words')
  data = _data(
    tmp_path,
    ['Call 2!', 'call two', 'call [x] two', 'call john'],
    disjoint_transcripts=True,
    num_heldout_speakers=1,
    numbers=config.Numbers.SPELL,
    drop_tags=('[x]',),
  )
  seeds = (_prepared(data, seed) for seed in range(20))
  found = next(
    parts for parts in seeds if parts.heldout_speakers.texts == ['call two']
  )
  assert found.train.texts == ['call john']
  assert found.num_dropped_transcripts == 2


def test_a_missing_package_is_named_before_any_work(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'num2words', None)
  data = _data(tmp_path, ['go'], numbers=config.Numbers.SPELL)
  with pytest.raises(config.UserError, match='pip install'):
    _prepared(data)
  assert not (tmp_path / 'cache').exists()


@pytest.mark.parametrize('name', ['an4_mfcc', 'librispeech_100'])
def test_transcripts_of_real_corpora_lose_nothing(name):
  path = _SHARED / name / 'manifest.jsonl'
  if not path.is_file():
    pytest.skip(f'{path} is absent')
  found, _ = manifest.utterances(path)
  assert len(found) > 50
  for item in found:
    said = transcript.spelled(item.text, config.DataConfig(), alphabets.ENGLISH)
    assert said == transcript.Transcript(item.text, '', '', ())
