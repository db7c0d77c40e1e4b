"""Held-out speakers and utterances."""

import pytest

from fedjax_asr import config
from fedjax_asr.corpora import split, utterance


def corpus(counts):
  return [
    utterance.Utterance(
      id=f'{speaker}-{index}',
      speaker=speaker,
      text=f'{index} words of {speaker}',
      duration=0.0,
      source=utterance.AudioFile('absent.wav'),
    )
    for speaker, count in counts.items()
    for index in range(count)
  ]


def settings(**fields):
  return config.DataConfig(
    **{
      'num_heldout_speakers': 3,
      'heldout_utterance_fraction': 0.25,
      **fields,
    }
  )


TEN = corpus({f's{number}': 8 for number in range(10)})


def speakers(items, indices):
  return {items[index].speaker for index in indices}


def test_the_sets_are_disjoint_and_cover_the_corpus():
  splits = split.split(TEN, settings(), seed=0)
  together = [*splits.train, *splits.heldout_speakers]
  together += [*splits.heldout_utterances]
  assert sorted(together) == list(range(len(TEN)))


def test_a_heldout_speaker_has_no_utterance_in_training():
  splits = split.split(TEN, settings(), seed=0)
  heldout = speakers(TEN, splits.heldout_speakers)
  assert len(heldout) == 3
  assert len(splits.heldout_speakers) == 3 * 8
  assert not heldout & speakers(TEN, splits.train)
  assert not heldout & speakers(TEN, splits.heldout_utterances)


def test_the_fraction_of_utterances_is_held_out():
  splits = split.split(TEN, settings(), seed=0)
  assert len(splits.heldout_utterances) == 7 * 8 // 4


def test_the_seed_alone_decides():
  first, again = (split.split(TEN, settings(), seed=5) for _ in range(2))
  other = split.split(TEN, settings(), seed=6)
  assert first.train.tolist() == again.train.tolist()
  assert first.train.tolist() != other.train.tolist()


def test_a_speaker_keeps_one_utterance_to_train_on():
  items = corpus({f's{number}': 2 for number in range(10)})
  data = settings(num_heldout_speakers=0, heldout_utterance_fraction=0.99)
  splits = split.split(items, data, seed=0)
  assert len(speakers(items, splits.train)) == 10
  assert len(splits.train) == 10


def test_a_speaker_with_one_utterance_stays_in_training():
  items = corpus({'one': 1, 'many': 20})
  data = settings(num_heldout_speakers=0, heldout_utterance_fraction=0.9)
  splits = split.split(items, data, seed=0)
  assert 0 in splits.train


def test_as_many_heldout_speakers_as_there_are_is_an_error():
  with pytest.raises(
    config.ConfigError, match='num_heldout_speakers=10; want fewer than the 10'
  ):
    split.split(TEN, settings(num_heldout_speakers=10), seed=0)


def test_named_speakers_are_held_out_whatever_the_seed():
  named = settings(heldout_speakers=('s7', 's2'))
  for seed in range(3):
    splits = split.split(TEN, named, seed)
    assert speakers(TEN, splits.heldout_speakers) == {'s2', 's7'}


@pytest.mark.parametrize(
  ('names', 'said'),
  [
    (('s1', 'nobody'), "heldout_speakers: 'nobody'; want some of the 10"),
    (tuple(f's{n}' for n in range(10)), 'all 10 speakers of the corpus'),
  ],
)
def test_names_that_cannot_be_held_out_are_an_error(names, said):
  with pytest.raises(config.ConfigError, match=said):
    split.split(TEN, settings(heldout_speakers=names), 0)


def test_no_utterance_to_train_on_is_an_error():
  with pytest.raises(utterance.CorpusError, match='None of 0'):
    split.split([], settings(num_heldout_speakers=0), seed=0)


def test_one_transcript_of_all_is_an_error_that_says_so():
  same = [item._replace(text='ja') for item in TEN]
  with pytest.raises(utterance.CorpusError) as caught:
    split.split(same, settings(disjoint_transcripts=True), seed=0)
  message = str(caught.value)
  assert message.startswith('None of 80 usable utterances is left to train on:')
  assert 'disjoint_transcripts=false' in message
  # 56 of training speakers, a quarter of which is held out.
  assert 'the transcripts of 42 are held out too' in message


def test_disjoint_transcripts_drops_what_a_heldout_set_says():
  said = [item._replace(text=f'Say {i % 8}') for i, item in enumerate(TEN)]
  words = [item._replace(text='abcdefgh'[i % 8]) for i, item in enumerate(said)]
  words[0] = words[0]._replace(text='ONLY here')
  data = settings(disjoint_transcripts=True, heldout_utterance_fraction=0.0)
  splits = split.split(words, data, 0, heldout_speakers=frozenset({'s9'}))
  assert splits.train.tolist() == [0]
  assert splits.num_dropped_transcripts == 9 * 8 - 1


def test_given_heldout_speakers_replace_drawn_ones():
  splits = split.split(TEN, settings(), 0, heldout_speakers=frozenset({'s4'}))
  assert speakers(TEN, splits.heldout_speakers) == {'s4'}


@pytest.mark.parametrize(
  ('num_speakers', 'want'),
  [(1, 0), (2, 1), (3, 1), (12, 1), (19, 1), (20, 2), (88, 8), (120, 12)],
)
def test_number_of_heldout_speakers_left_open_is_a_tenth(num_speakers, want):
  items = corpus({f's{number}': 2 for number in range(num_speakers)})
  splits = split.split(items, settings(num_heldout_speakers=-1), seed=0)
  assert len(speakers(items, splits.heldout_speakers)) == want


def test_each_client_of_a_training_speaker_keeps_an_utterance():
  """Two phones of each speaker, one of them with a single utterance."""
  items = [
    item._replace(client=f'{item.speaker}-{"b" if index % 8 else "a"}')
    for index, item in enumerate(TEN)
  ]
  splits = split.split(items, settings(heldout_utterance_fraction=0.75), seed=0)
  heldout = speakers(items, splits.heldout_speakers)
  kept = {items[index].client for index in splits.train}
  assert kept == {item.client for item in items if item.speaker not in heldout}


def test_a_client_of_heldout_and_other_speakers_trains_with_the_others():
  items = [item._replace(client='home') for item in TEN]
  splits = split.split(items, settings(), seed=0)
  heldout = speakers(items, splits.heldout_speakers)
  assert len(heldout) == 3
  assert not heldout & speakers(items, splits.train)
  assert speakers(items, splits.train) == {f's{i}' for i in range(10)} - heldout
