"""What of a corpus is noticed when it changes."""

import hashlib
import json

import numpy as np
import pytest

from fedjax_asr.corpora import dataset, datasets, fingerprint
from fedjax_asr.speech import alphabets

_TRAIN = {'a1': 'x', 'a2': 'y', 'b1': 'z'}


def _made(train=_TRAIN, unseen=None, speakers=('c',)):
  sets = {
    'train': dict(train),
    'heldout_speakers': dict(unseen or {'c1': 'w'}),
    'heldout_utterances': {},
  }
  return fingerprint.Fingerprint(sets, list(speakers))


def test_same_corpus_does_not_differ():
  assert fingerprint.difference(_made(), _made()) == ''


@pytest.mark.parametrize(
  ('now', 'wanted'),
  [
    (_made({'a1': 'x'}), "2 utterance(s) vanished, such as 'a2'"),
    (
      _made(_TRAIN | {'d1': 'v'}),
      "1 utterance(s) appeared, such as 'd1'",
    ),
    (
      _made(_TRAIN | {'a2': 'other'}),
      '1 utterance(s) changed speaker, client, length or transcript, such as '
      "'a2'",
    ),
    (
      _made({'c1': 'w', 'a1': 'x', 'a2': 'y'}, {'b1': 'z'}, ('b',)),
      "2 utterance(s) moved to another set, such as 'c1'; held-out speakers "
      'were c, now b',
    ),
    (
      _made(dict(reversed(_TRAIN.items()))),
      'its utterances have another order',
    ),
  ],
)
def test_difference_says_what_it_is(now, wanted):
  assert fingerprint.difference(_made(), now) == wanted


def test_fingerprint_outlives_a_file():
  made = _made()
  text = json.dumps(fingerprint.as_dict(made))
  assert fingerprint.from_dict(json.loads(text)) == made


@pytest.mark.parametrize('values', [{}, [], {'sets': {}}])
def test_what_is_no_fingerprint_is_an_error(values):
  with pytest.raises(ValueError, match='no fingerprint'):
    fingerprint.from_dict(values)


def test_edited_fingerprint_is_an_error():
  values = fingerprint.as_dict(_made())
  values['sets']['train']['a1'] = 'forged'
  with pytest.raises(ValueError, match='edited'):
    fingerprint.from_dict(values)


def test_another_client_is_noticed_and_no_client_changes_nothing():
  """Digests of a run of before there were clients stay what they are."""

  def digest(client):
    examples = dataset.Dataset.__new__(dataset.Dataset)
    examples.ids, examples.speakers = ['a'], ['anna']
    examples.clients, examples.texts = [client], ['one']
    examples.num_frames = np.array([7])
    data = datasets.Datasets(
      train=examples,
      heldout_speakers=examples,
      heldout_utterances=examples,
      statistics=None,
      problems=[],
      num_dropped_transcripts=0,
      num_heldout_speakers=0,
      was_cached=False,
      alphabet=alphabets.ENGLISH,
    )
    return fingerprint.of(data).sets['train']['a']

  row = json.dumps(['anna', 7, 'one']).encode()
  wanted = hashlib.blake2b(row, digest_size=6).hexdigest()
  assert digest('anna') == wanted
  assert digest('phone') != wanted
