"""Loading what `config.data` names, up to audited features."""

import json
import pathlib

import numpy as np
import pytest
import soundfile

from fedjax_asr import config
from fedjax_asr.corpora import audit, corpus, split, store, utterance
from fedjax_asr.speech import alphabets, transcript

SHARED = pathlib.Path(__file__).parents[3] / 'shared' / 'data'
FEATURES = config.FeaturesConfig()


def manifest(folder, speakers, **fields):
  folder.mkdir(exist_ok=True)
  lines = []
  for index, speaker in enumerate(speakers):
    samples = np.random.default_rng(index).normal(0, 0.1, 16000)
    soundfile.write(folder / f'{index}.wav', samples, 16000)
    line = {'audio_filepath': f'{index}.wav', 'text': 'one'}
    lines.append(json.dumps({**line, 'speaker': speaker, **fields}))
  path = folder / 'manifest.jsonl'
  path.write_text('\n'.join(lines))
  return str(path)


def settings(path, **fields):
  return config.DataConfig(
    corpus=config.Corpus.MANIFEST, path=path, num_workers=1, **fields
  )


def test_a_synthetic_corpus_needs_no_path():
  pytest.importorskip('espeakng_loader')
  data = config.DataConfig()
  data.synthetic.num_speakers = 2
  found = corpus.load(data)
  assert len(found.utterances) == 2 * 24
  assert (found.problems, found.heldout_speakers) == ([], frozenset())


def test_a_heldout_corpus_supplies_the_heldout_speakers(tmp_path):
  data = settings(
    manifest(tmp_path / 'train', ['a', 'a', 'b']),
    heldout_path=manifest(tmp_path / 'test', ['c', 'd']),
  )
  found = corpus.load(data)
  assert found.heldout_speakers == {'c', 'd'}
  assert [item.id for item in found.utterances] == [
    '0',
    '1',
    '2',
    'heldout/0',
    'heldout/1',
  ]
  splits = split.split(found.utterances, data, 0, found.heldout_speakers)
  assert splits.heldout_speakers.tolist() == [3, 4]


def test_a_speaker_of_both_corpora_is_an_error(tmp_path):
  data = settings(
    manifest(tmp_path / 'train', ['a', 'b']),
    heldout_path=manifest(tmp_path / 'test', ['b']),
  )
  with pytest.raises(utterance.CorpusError, match="speaker 'b' is also in"):
    corpus.load(data)


def test_a_corpus_without_a_usable_line_is_an_error(tmp_path):
  path = manifest(tmp_path, ['a'], audio_filepath='absent.wav')
  with pytest.raises(
    utterance.CorpusError, match=r'1 problems, the first: .*:1'
  ):
    corpus.load(settings(path))


def run(data):
  """Corpus, store, and audit for a model with two frames an output."""
  found = corpus.load(data)
  built = store.open_or_build(
    found.utterances, data, FEATURES, lambda done, total: None
  )
  result = audit.audit(
    found.utterances,
    [
      transcript.spelled(item.text, data, alphabets.ENGLISH)
      for item in found.utterances
    ],
    built.num_frames,
    built.failures,
    lambda frames: -(-frames // 2),
    alphabets.ENGLISH,
  )
  return found, built, result


def test_bad_audio_is_skipped_and_counted_and_the_rest_kept(tmp_path):
  path = manifest(tmp_path, ['a'] * 5)
  (tmp_path / '0.wav').write_bytes(b'')
  (tmp_path / '1.wav').write_bytes(b'no audio')
  soundfile.write(tmp_path / '2.wav', np.zeros(16000 * 21), 16000)
  soundfile.write(tmp_path / '3.wav', np.linspace(-0.1, 0.1, 10), 16000)
  data = settings(path, cache_dir=str(tmp_path / 'cache'))
  for _ in range(2):
    _, built, result = run(data)
    assert result.kept == [4]
    assert [problem.kind for problem in result.problems] == [
      'unreadable',
      'unreadable',
      'too_long',
      'too_short',
    ]
  assert not built.was_built


def test_audio_that_is_mended_is_read_again(tmp_path):
  path = manifest(tmp_path, ['a', 'a'])
  good = (tmp_path / '1.wav').read_bytes()
  (tmp_path / '1.wav').write_bytes(good[:500])
  data = settings(path, cache_dir=str(tmp_path / 'cache'))
  assert run(data)[2].kept == [0]
  (tmp_path / '1.wav').write_bytes(good)
  assert run(data)[2].kept == [0, 1]


@pytest.mark.skipif(not SHARED.is_dir(), reason=f'no {SHARED}')
def test_librispeech_through_a_manifest(tmp_path):
  data = settings(
    str(SHARED / 'librispeech_100' / 'manifest.jsonl'),
    cache_dir=str(tmp_path),
  )
  found, built, result = run(data)
  assert len(result.kept) == len(found.utterances) == 88
  assert result.problems == []
  seconds = np.array([item.duration for item in found.utterances])
  # One frame each 10 ms, and the last one begun.
  np.testing.assert_allclose(built.num_frames / 100, seconds, atol=0.03)
