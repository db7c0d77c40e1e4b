"""Who holds which utterance."""

import numpy as np
import population
import pytest

from fedjax_asr import config, streams
from fedjax_asr.federated import partition

# 20 speakers of 30 utterances, in a mixed order.
SPEAKERS = [
  f's{number}'
  for number in np.random.default_rng(0).permutation(np.repeat(range(20), 30))
]
# Twelve first words.
TEXTS = [f'{"abcdefghijkl"[i % 12]} word {i}' for i in range(len(SPEAKERS))]


def divided(kind, speakers=None, seed=0, **fields):
  settings = population.federated(
    **{'partition': kind, 'num_clients': 12} | fields
  )
  speakers = SPEAKERS if speakers is None else speakers
  return partition.partition(speakers, TEXTS[: len(speakers)], settings, seed)


def test_by_speaker_who_holds_the_speech_is_the_client_where_given():
  settings = population.federated(
    partition=config.Partition.SPEAKER, cohort_size=2
  )
  speakers = ['anna', 'anna', 'ben', 'carl', 'ben']
  holders = ['phone', 'home', 'home', 'carl', 'home']
  clients = partition.partition(speakers, ['a'] * 5, settings, 0, holders)
  assert [(each.name, each.utterances.tolist()) for each in clients] == [
    ('carl', [3]),
    ('home', [1, 2, 4]),
    ('phone', [0]),
  ]


def test_other_partitions_do_not_ask_who_holds_the_speech():
  settings = population.federated(
    partition=config.Partition.DIRICHLET, num_clients=12
  )
  holders = ['one'] * len(SPEAKERS)
  clients = partition.partition(SPEAKERS, TEXTS, settings, 0, holders)
  for ours, wanted in zip(
    clients, divided(config.Partition.DIRICHLET), strict=True
  ):
    assert ours.utterances.tolist() == wanted.utterances.tolist()


def speakers_of(client):
  return {SPEAKERS[index] for index in client.utterances}


def sizes(clients):
  return [len(client.utterances) for client in clients]


@pytest.mark.parametrize('kind', config.Partition)
@pytest.mark.parametrize('alpha', [1e-3, 0.5, 100.0])
def test_every_utterance_is_in_exactly_one_client(kind, alpha):
  clients = divided(kind, dirichlet_alpha=alpha)
  together = np.concatenate([client.utterances for client in clients])
  assert sorted(together) == list(range(len(SPEAKERS)))
  assert min(sizes(clients)) >= 1
  assert len({client.name for client in clients}) == len(clients)


@pytest.mark.parametrize('kind', config.Partition)
def test_a_partition_is_a_function_of_the_seed(kind):
  def parts(seed):
    clients = divided(kind, seed=seed)
    return [client.utterances.tolist() for client in clients]

  assert parts(0) == parts(0)
  assert (parts(0) == parts(1)) == (kind is config.Partition.SPEAKER)


def test_by_speaker_a_client_is_a_speaker():
  clients = divided(config.Partition.SPEAKER)
  assert len(clients) == 20
  assert all(speakers_of(client) == {client.name} for client in clients)


def test_by_transcript_few_first_words_are_a_clients():
  """At a small concentration; speakers are mixed all the same."""

  def mean_num_words(alpha):
    clients = divided(config.Partition.TRANSCRIPT, dirichlet_alpha=alpha)
    return np.mean(
      [
        len({TEXTS[index][0] for index in client.utterances})
        for client in clients
      ]
    )

  assert mean_num_words(1e-3) < 3
  assert mean_num_words(100.0) > 11
  clients = divided(config.Partition.TRANSCRIPT, dirichlet_alpha=1e-3)
  assert np.mean([len(speakers_of(client)) for client in clients]) > 15


def test_by_transcript_a_script_without_spaces_goes_by_first_characters():
  settings = population.federated(
    partition=config.Partition.TRANSCRIPT, num_clients=12, dirichlet_alpha=1e-3
  )

  def clients(texts):
    found = partition.partition(SPEAKERS, texts, settings, 0)
    return [client.utterances.tolist() for client in found]

  # No two transcripts are the same, and all first characters are among twelve.
  firsts = '把打关请星向零一二三四五'
  texts = [
    firsts[i % 12] + chr(0x4E00 + 20 * i) * 2 for i in range(len(SPEAKERS))
  ]
  assert clients(texts) == clients([text[0] for text in texts])
  counts = [len({texts[i][0] for i in client}) for client in clients(texts)]
  assert np.mean(counts) < 3


def test_one_word_of_letters_is_a_word_and_no_character():
  firsts = [f'{word} x' for word in ('yes', 'yea', 'you', 'no')]
  texts = [
    'ja',
    'jetzt',
    'ja',
    'हाँ',
    'हम',
    '打开灯',
    '打电话',
    '関',
    '',
    'ไป',
    'ใน',
  ]
  kinds = partition._first_words([*firsts, *texts])
  assert len(set(kinds[:4].tolist())) == 4
  same = kinds[4:]
  assert same[0] == same[2] != same[1]
  assert same[3] != same[4]
  assert same[5] == same[6] != same[7]
  assert len(set(same.tolist())) == 9


def mean_num_speakers(alpha):
  clients = divided(config.Partition.DIRICHLET, dirichlet_alpha=alpha)
  assert sizes(clients) == [50] * 12
  return np.mean([len(speakers_of(client)) for client in clients])


def test_a_small_concentration_gives_clients_few_speakers():
  # Two speakers fill a client of 50; one more is the rest of another's.
  assert 2 <= mean_num_speakers(1e-6) <= 4
  assert mean_num_speakers(1e-6) < mean_num_speakers(0.3) < 18


def test_a_large_concentration_gives_clients_the_population_mixture():
  clients = divided(
    config.Partition.DIRICHLET,
    dirichlet_alpha=1e6,
    num_clients=3,
    cohort_size=3,
  )
  for client in clients:
    names, counts = np.unique(
      [SPEAKERS[index] for index in client.utterances], return_counts=True
    )
    # 10 expected of each speaker; 5 deviations of a draw of 200.
    assert len(names) == 20
    assert np.abs(counts - 10).max() < 5 * np.sqrt(10)


def test_the_dirichlet_mixture_has_the_share_of_each_speaker():
  # A speaker of half of all utterances is half of an average client.
  speakers = ['loud'] * 400 + [f's{index % 20}' for index in range(400)]
  clients = divided(
    config.Partition.DIRICHLET, speakers, dirichlet_alpha=1e6, num_clients=5
  )
  for client in clients:
    assert 0.35 < np.mean(client.utterances < 400) < 0.65


def test_iid_clients_are_of_equal_size_and_mixed():
  clients = divided(config.Partition.IID)
  assert max(sizes(clients)) - min(sizes(clients)) <= 1
  assert min(len(speakers_of(client)) for client in clients) > 10


def test_sizes_fall_as_a_power_of_the_rank():
  counts = sizes(divided(config.Partition.SIZE, size_exponent=1.0))
  ranks = np.arange(1, 13)
  # One each, and the other 588 in proportion to 1 / rank.
  wanted = 1 + 588 / ranks / np.sum(1 / ranks)
  assert np.abs(counts - wanted).max() <= 1
  flat = sizes(divided(config.Partition.SIZE, size_exponent=0.0))
  assert set(flat) == {50}


def test_an_extreme_size_skew_leaves_nobody_without():
  counts = sizes(divided(config.Partition.SIZE, size_exponent=10.0))
  assert min(counts) == 1
  assert sum(counts) == 600


@pytest.mark.parametrize(
  ('kind', 'fields', 'speakers', 'message'),
  [
    ('speaker', {'cohort_size': 21}, None, 'cohort_size=21.* 20 clients'),
    ('speaker', {}, [], 'cohort_size=5.* 0 clients'),
    ('iid', {'num_clients': 601}, None, 'num_clients=601.* 600 training'),
    ('size', {'num_clients': 601}, None, 'num_clients=601.* 600 training'),
    ('dirichlet', {'num_clients': 601}, None, 'num_clients=601'),
    ('dirichlet', {}, [], 'num_clients=12.* 0 training'),
  ],
)
def test_more_clients_than_there_are_is_one_line(
  kind, fields, speakers, message
):
  with pytest.raises(config.ConfigError, match=message) as error:
    divided(config.Partition(kind), speakers, **fields)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('kind', config.Partition)
def test_one_utterance_each_is_enough(kind):
  names = [f's{index}' for index in range(12)]
  assert sizes(divided(kind, names)) == [1] * 12


@pytest.mark.parametrize(
  ('num_speakers', 'num_rounds', 'cohort', 'warmup'),
  [(108, 110, 8, 10), (108, 160, 8, 10), (11, 4, 8, 0), (2, 50, 2, 5)],
)
def test_cohort_and_warmup_left_open_follow_clients_and_rounds(
  num_speakers, num_rounds, cohort, warmup
):
  settings = config.FederatedConfig(
    cohort_size=0,
    num_rounds=num_rounds,
    server=config.ServerConfig(warmup_rounds=-1),
  )
  speakers = [f's{number}' for number in range(num_speakers)] * 3
  found = partition.settled(settings, speakers)
  assert found.cohort_size == cohort
  assert found.num_rounds == num_rounds
  assert found.server.warmup_rounds == warmup


@pytest.mark.parametrize(
  ('client', 'of_speakers', 'of_equal_clients'),
  [
    # A round of 3 has 34.2 of speakers, and 18 of 19 clients with 6 each.
    ({}, 30, 56),
    ({'local_epochs': 2}, 15, 28),
    ({'max_utterances': 12}, 35, 56),
    ({'local_steps': 5, 'batch_size': 2}, 34, 34),
  ],
)
def test_rounds_left_open_are_as_many_as_the_utterances_take(
  client, of_speakers, of_equal_clients
):
  settings = config.FederatedConfig(
    num_rounds=0,
    num_utterances=1000,
    cohort_size=3,
    client=config.ClientConfig(**client),
  )
  holders = ['a'] * 4 + ['b'] * 30 + [f's{n}' for n in range(8)] * 10
  assert partition.settled(settings, holders).num_rounds == of_speakers
  settings.partition, settings.num_clients = config.Partition.IID, 19
  assert partition.settled(settings, holders).num_rounds == of_equal_clients


def slowly_dirichlet(kinds, settings, seed):
  """As NumPy says it, with every mixture and every draw made anew."""
  rng = streams.rng(seed, streams.Stream.PARTITION)
  pools = [
    rng.permutation(np.flatnonzero(kinds == index))
    for index in range(kinds.max() + 1)
  ]
  left = np.array([len(pool) for pool in pools])
  concentration = settings.dirichlet_alpha * len(pools) * left / len(kinds)
  parts = np.array_split(np.arange(len(kinds)), settings.num_clients)
  found = []
  for part in parts:
    mixture = rng.dirichlet(concentration)
    chosen = []
    for _ in part:
      mixture = np.where(left > 0, mixture, 0.0)
      if not mixture.sum() > 0:
        mixture = np.zeros(len(left))
        mixture[rng.choice(len(left), p=left / left.sum())] = 1.0
      mixture = mixture / mixture.sum()
      kind = rng.choice(len(pools), p=mixture)
      left[kind] -= 1
      chosen.append(pools[kind][left[kind]])
    found.append(sorted(chosen))
  return found


@pytest.mark.parametrize('alpha', [1e-6, 1e-3, 0.5, 100.0])
def test_draws_of_a_mixture_that_stays_are_those_of_numpy(alpha):
  kind = config.Partition.DIRICHLET
  clients = divided(kind, dirichlet_alpha=alpha, num_clients=7)
  settings = config.FederatedConfig(
    partition=kind, dirichlet_alpha=alpha, num_clients=7
  )
  kinds = np.unique(SPEAKERS, return_inverse=True)[1]
  wanted = slowly_dirichlet(kinds, settings, seed=0)
  assert [client.utterances.tolist() for client in clients] == wanted
