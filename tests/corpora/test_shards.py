"""Shards in WebDataset's form, and every way in which one can be bad."""

import gzip
import io
import json
import tarfile

import layouts
import numpy as np
import pytest
import soundfile

from fedjax_asr import config
from fedjax_asr.corpora import corpus, shards, utterance

TONE = np.sin(np.arange(4000) / 5).astype(np.float32) / 2


def recording(samples=TONE, kind='WAV'):
  file = io.BytesIO()
  soundfile.write(file, samples, 16_000, format=kind, subtype='PCM_16')
  return file.getvalue()


def write(path, *members):
  """`members`: names and what they hold."""
  with tarfile.open(path, 'w') as tar:
    for name, content in members:
      layouts.add(tar, name, content)
  return path


def said(**fields):
  return json.dumps(fields).encode()


def test_members_of_one_name_are_an_utterance(tmp_path):
  path = write(
    tmp_path / '0.tar',
    ('x/a.wav', recording()),
    ('x/a.json', said(transcript='one', speaker=7, client='phone', other=[])),
    ('x/b.v2.txt', b'ignored'),
    ('b.txt', b'two\n'),
    ('b.FLAC', recording(kind='FLAC')),
    ('readme.md', b'ignored'),
  )
  (one, two), (warning,) = shards.utterances(path)
  assert one[:3] == ('x/a', '7', 'one')
  assert (one.client, one.source.describe()) == ('phone', f'{path}/x/a.wav')
  assert two[:3] == ('b', 'b', 'two')
  assert warning.kind == 'no_speaker'
  for item in (one, two):
    np.testing.assert_allclose(item.source.waveform(16_000), TONE, atol=1e-4)


def test_the_text_of_json_wins_and_a_speaker_may_come_with_a_txt(tmp_path):
  path = write(
    tmp_path / '0.tar',
    ('a.wav', recording()),
    ('a.txt', b'one'),
    ('a.json', said(text='two', speaker='s')),
    ('b.wav', recording()),
    ('b.txt', b'six'),
    ('b.json', said(speaker_id='s')),
  )
  found, problems = shards.utterances(path)
  assert [item[:3] for item in found] == [('a', 's', 'two'), ('b', 's', 'six')]
  assert problems == []


@pytest.mark.parametrize(
  ('members', 'kind', 'reason'),
  [
    ([('b.wav', b'')], 'no_transcript', 'no b.txt, nor text or transcript in'),
    ([('b.txt', b'one')], 'missing_file', 'no recording beside'),
    ([('b.wav', b''), ('b.txt', b'\xe9')], 'bad_line', 'not UTF-8'),
    ([('b.wav', b''), ('b.json', b'{')], 'bad_line', 'not JSON'),
    ([('b.wav', b''), ('b.json', b'[]')], 'bad_line', 'not a JSON object'),
    ([('b.wav', b''), ('b.json', said(text=3))], 'bad_line', 'text=3'),
    ([('b.wav', b''), ('b.txt', bytes(2**21))], 'bad_line', 'longer than'),
  ],
)
def test_a_bad_member_is_a_problem(tmp_path, members, kind, reason):
  good = [('a.wav', recording()), ('a.json', said(text='one', speaker='s'))]
  path = write(tmp_path / '0.tar', *good, *members)
  (found,), (only,) = shards.utterances(path)
  assert found.id == 'a'
  assert (only.kind, only.source) == (kind, f'{path}/b')
  assert reason in only.reason


def test_an_id_of_two_shards_is_a_problem(tmp_path):
  members = ('a.wav', recording()), ('a.json', said(text='one', speaker='s'))
  for name in ('0.tar', '1.tar'):
    write(tmp_path / name, *members)
  found, (only,) = shards.utterances(tmp_path)
  assert len(found) == 1
  assert (only.kind, only.source) == ('duplicate_id', f'{tmp_path}/1.tar/a')


def test_wherever_a_shard_is_cut_off_that_is_a_problem(tmp_path):
  path = write(
    tmp_path / '0.tar',
    *(
      member
      for stem in 'abc'
      for member in (
        (f'{stem}.wav', recording()),
        (f'{stem}.json', said(text='one', speaker='s')),
      )
    ),
  )
  whole = path.read_bytes()
  wav, sidecar = 512 + 8192, 1024  # Headers and what they announce.
  each = wav + sidecar
  for size, count in (
    (0, 0),
    (100, 0),
    (512, 0),
    (wav, 0),
    (each, 1),
    (each + 100, 1),
    (each + 512, 1),
    (each + wav - 100, 1),
    (2 * each, 2),
    (3 * each, 3),
    (3 * each + 512, 3),
  ):
    path.write_bytes(whole[:size])
    found, problems = shards.utterances(path)
    kinds = [each.kind for each in problems if each.kind != 'no_transcript']
    assert len(found) == count, size
    assert kinds == ['bad_shard'] * (size < 3 * each + 512), size


def test_a_transcript_that_is_cut_off_is_not_used(tmp_path):
  path = write(
    tmp_path / '0.tar', ('a.wav', recording()), ('a.txt', b'good morning')
  )
  path.write_bytes(path.read_bytes()[: 512 + 8192 + 512 + len('good')])
  found, problems = shards.utterances(path)
  assert found == []
  assert [each.kind for each in problems] == ['bad_shard', 'no_transcript']


def test_a_shard_without_anything_usable_is_one_line(tmp_path):
  path = write(tmp_path / '0.tar', ('a.wav', recording()))
  path.write_bytes(gzip.compress(path.read_bytes()))
  data = config.DataConfig(corpus=config.Corpus.SHARDS, path=str(path))
  with pytest.raises(utterance.CorpusError, match='or a compressed one'):
    corpus.load(data)
  with pytest.raises(utterance.CorpusError, match='cannot read the shard: No'):
    shards.utterances(tmp_path / '1.tar')
  (tmp_path / 'empty').mkdir()
  with pytest.raises(utterance.CorpusError, match=r'no \*\.tar in it'):
    shards.utterances(tmp_path / 'empty')


def test_a_recording_that_is_cut_inside_its_shard_is_unreadable(tmp_path):
  """As a file of its own would be, with its place in the message."""
  path = write(
    tmp_path / '0.tar',
    ('a.wav', recording()[:-1000]),
    ('a.txt', b'one'),
    ('b.wav', recording()),
    ('b.txt', b'one'),
  )
  (a, b), _ = shards.utterances(path)
  assert a.source.fingerprint() != b.source.fingerprint()
  with pytest.raises(ValueError, match=r'0\.tar/a\.wav: truncated'):
    a.source.features(config.FeaturesConfig(), 20.0)
  with pytest.raises(utterance.TooLongError, match=r'config\.data\.max_sec'):
    b.source.features(config.FeaturesConfig(), 0.1)
  assert len(b.source.features(config.FeaturesConfig(), 20.0)) > 20
