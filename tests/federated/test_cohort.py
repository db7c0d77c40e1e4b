"""Who trains in a round, on what, and how it is padded."""

import itertools

import jax
import numpy as np
import population
import pytest

from fedjax_asr import config
from fedjax_asr.federated import cohort, partition

SEED = population.SEED
EXAMPLES = population.examples(population.uneven())
CLIENTS = partition.partition(
  EXAMPLES.speakers, EXAMPLES.texts, population.federated(), SEED
)


def draw(round_index=0, seed=SEED, examples=EXAMPLES, **fields):
  return cohort.draw(
    CLIENTS,
    examples.num_frames,
    population.federated(**fields),
    seed,
    round_index,
  )


def used(row):
  """Utterances of one client's steps."""
  return sorted(row[row >= 0].tolist())


def test_a_sample_is_a_function_of_seed_and_round():
  first = cohort.sample(100, 10, 1, 2)
  cohort.sample(100, 10, 5, 5)
  np.testing.assert_array_equal(first, cohort.sample(100, 10, 1, 2))
  assert first.tolist() != cohort.sample(100, 10, 2, 2).tolist()
  assert first.tolist() != cohort.sample(100, 10, 1, 3).tolist()
  assert first.tolist() != cohort.sample(100, 10, 2, 1).tolist()


def test_a_sample_is_without_replacement_and_uniform():
  counts = np.zeros(20)
  for index in range(1000):
    chosen = cohort.sample(20, 5, 0, index)
    assert len(set(chosen)) == 5
    counts[chosen] += 1
  # 250 expected of each; five standard deviations of a binomial.
  assert np.abs(counts - 250).max() < 5 * np.sqrt(1000 * 0.25 * 0.75)


def test_a_draw_is_a_function_of_seed_and_round():
  np.testing.assert_array_equal(draw(1).utterances, draw(1).utterances)
  for other in (draw(2), draw(1, seed=SEED + 1)):
    assert other.utterances.tolist() != draw(1).utterances.tolist()


@pytest.mark.parametrize('epochs', [1, 3])
def test_an_epoch_uses_each_utterance_of_a_client_once(epochs):
  drawn = draw(client={'local_epochs': epochs}, cohort_size=7)
  assert sorted(drawn.client_ids) == list(range(7))
  for client, row in zip(drawn.client_ids, drawn.utterances, strict=True):
    own = CLIENTS[client].utterances.tolist()
    assert used(row) == sorted(own * epochs)
    steps = -(-len(own) // 2)
    for epoch in np.split(row[: epochs * steps], epochs):
      assert used(epoch) == own


def test_a_round_uses_at_most_so_many_utterances_of_a_client():
  drawn = draw(client={'max_utterances': 3, 'local_epochs': 2}, cohort_size=7)
  assert drawn.utterances.shape[1] == 2 * 2
  for client, row in zip(drawn.client_ids, drawn.utterances, strict=True):
    own = CLIENTS[client].utterances
    assert set(used(row)) <= set(own)
    assert len(set(used(row))) == min(3, len(own))
    assert used(row) == sorted(2 * list(set(used(row))))


def test_the_utterances_that_are_left_out_change_with_the_round():
  chosen = set()
  for index in range(30):
    drawn = draw(index, client={'max_utterances': 1}, cohort_size=7)
    chosen |= set(used(drawn.utterances))
  assert chosen == set(range(len(EXAMPLES)))


@pytest.mark.parametrize('steps', [1, 2, 5, 9])
def test_local_steps_are_so_many_steps(steps):
  drawn = draw(client={'local_steps': steps}, cohort_size=7)
  assert drawn.utterances.shape == (7, steps, 2)
  for client, row in zip(drawn.client_ids, drawn.utterances, strict=True):
    assert (row >= 0).any(1).all()
    counts = np.bincount(row[row >= 0], minlength=len(EXAMPLES))
    own = counts[CLIENTS[client].utterances]
    # Another epoch begins only when one is over.
    assert own.max() - own.min() <= 1
    assert own.sum() == counts.sum()


def test_steps_short_of_an_epoch_reach_the_long_utterances():
  seen = set()
  for index in range(60):
    drawn = draw(index, client={'local_steps': 1}, cohort_size=7)
    seen |= set(used(drawn.utterances))
  assert seen == set(range(len(EXAMPLES)))


def test_batches_of_an_epoch_ascend_in_length():
  for row in draw(cohort_size=7).utterances:
    lengths = EXAMPLES.num_frames[row[row >= 0]]
    assert (np.diff(lengths) >= 0).all()


def padded_frames(lengths, buckets):
  return sum(min(b for b in buckets if b >= length) for length in lengths)


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('num_buckets', [1, 2, 3, 16])
def test_frame_buckets_pad_least(seed, num_buckets):
  rng = np.random.default_rng(seed)
  lengths = rng.integers(1, 80, 20)
  buckets = cohort.frame_buckets(lengths, 88, num_buckets)
  assert len(buckets) <= num_buckets
  assert buckets[-1] == 88
  assert list(buckets) == sorted(set(buckets))
  assert all(bucket % 8 == 0 for bucket in buckets)
  # Every choice of so many lengths below the last.
  best = min(
    padded_frames(lengths, (*others, 88))
    for count in range(min(num_buckets, 4))
    for others in itertools.combinations(range(8, 88, 8), count)
  )
  if num_buckets == 16:
    best = (-(-lengths // 8) * 8).sum()
  assert padded_frames(lengths, buckets) == best


def test_buckets_of_no_length_are_the_longest():
  assert cohort.frame_buckets(np.array([], int), 24, 3) == (24,)


def layout(**fields):
  return cohort.plan(
    CLIENTS,
    EXAMPLES,
    population.federated(**fields),
    SEED,
    fields.get('num_devices', 1),
  )


@pytest.mark.parametrize(
  ('cohort_size', 'block_size', 'num_devices', 'wanted'),
  [(5, 2, 1, (3, 2)), (5, 8, 1, (1, 5)), (5, 8, 4, (1, 2)), (7, 1, 2, (4, 1))],
)
def test_blocks_hold_the_cohort(cohort_size, block_size, num_devices, wanted):
  planned = layout(
    cohort_size=cohort_size, block_size=block_size, num_devices=num_devices
  )
  assert (planned.num_blocks, planned.block_size) == wanted


@pytest.mark.parametrize(
  ('client', 'wanted'),
  [
    ({}, 4),
    ({'local_epochs': 3}, 12),
    ({'local_steps': 5}, 5),
    ({'max_utterances': 3}, 2),
    ({'max_utterances': 99}, 4),
    ({'batch_size': 99}, 1),
  ],
)
def test_a_layout_has_the_steps_of_the_largest_client(client, wanted):
  assert layout(client=client).num_steps == wanted


@pytest.mark.parametrize(
  ('client', 'wanted'),
  [
    ({}, 7),
    ({'local_epochs': 10}, 7),
    ({'local_epochs': 10, 'max_utterances': 3}, 3),
    ({'local_steps': 2}, 4),
    ({'local_steps': 50}, 7),
  ],
)
def test_a_layout_has_room_for_the_utterances_of_a_client(client, wanted):
  assert layout(client=client).num_utterances == wanted
  drawn = draw(client=client, cohort_size=7)
  most = max(len(set(used(row))) for row in drawn.utterances)
  assert most == wanted


def test_speech_of_ten_epochs_takes_the_bytes_of_one():
  sizes = []
  for num_epochs in (1, 10):
    settings = {'client': {'local_epochs': num_epochs}}
    planned, drawn = layout(**settings), draw(**settings)
    shapes = cohort.shapes(planned, population.NUM_FEATURES)
    members = cohort.assemble(drawn, EXAMPLES, planned)
    assert jax.tree.map(np.shape, members) == jax.tree.map(np.shape, shapes)
    sizes.append(sum(leaf.nbytes for leaf in members.utterances))
    # Four steps an epoch: a number for each of 6 x 2 places, and of 3 blocks.
    rest = members.indices.nbytes + members.bucket.nbytes
    assert rest == num_epochs * 4 * 4 * (6 * 2 + 3)
  assert sizes[0] == sizes[1]


def test_gathered_speech_is_that_of_the_index_and_padding_is_zero():
  rng = np.random.default_rng(0)
  own = cohort.Batch(
    features=rng.normal(size=(3, 24, 2)).astype(np.float32),
    num_frames=np.array([16, 9, 24], np.int32),
    labels=rng.integers(1, 9, (3, 5)).astype(np.int32),
    num_labels=np.array([5, 3, 1], np.int32),
  )
  # Garbage where padding could look, and behind the cut.
  own.features[0] = np.nan
  own.features[:, 16:] = np.nan
  indices = np.array([-1, 1, 2, 1, -1], np.int32)
  got = jax.jit(cohort.gathered, static_argnums=2)(own, indices, 16)
  np.testing.assert_array_equal(got.features[1:4], own.features[[1, 2, 1], :16])
  for leaf, mine in zip(got[1:], own[1:], strict=True):
    np.testing.assert_array_equal(leaf[1:4], mine[[1, 2, 1]])
  for leaf in got:
    assert not np.asarray(leaf)[[0, 4]].any()


def test_a_layout_without_a_label_has_room_for_one():
  silent = population.examples([population.Spoken('s', '', 9)] * 5)
  settings = population.federated(partition=config.Partition.IID, num_clients=5)
  clients = partition.partition(silent.speakers, silent.texts, settings, SEED)
  assert cohort.plan(clients, silent, settings, SEED, 1).num_labels == 1


@pytest.mark.parametrize('num_devices', [1, 2, 4])
def test_assemble_puts_every_utterance_in_its_place(num_devices):
  settings = {'num_devices': num_devices, 'num_frame_buckets': 2}
  planned, drawn = layout(**settings), draw(**settings)
  members = cohort.assemble(drawn, EXAMPLES, planned)
  steps = population.batches(members)
  seen = []
  for device, block, place in np.ndindex(members.client_ids.shape):
    client = members.client_ids[device, block, place]
    batches = [leaf[device, block, :, place] for leaf in steps]
    if client < 0:
      assert not any(leaf.any() for leaf in batches)
      continue
    (row,) = drawn.utterances[drawn.client_ids == client]
    for step, column in np.ndindex(row.shape):
      expect(row[step, column], [leaf[step, column] for leaf in batches])
    seen.append(client)
  assert sorted(seen) == sorted(drawn.client_ids)


def expect(index, utterance):
  """Checks one padded utterance; `index` -1 is nobody."""
  features, num_frames, labels, num_labels = utterance
  if index < 0:
    assert not any(leaf.any() for leaf in utterance)
    return
  assert num_frames == EXAMPLES.num_frames[index]
  np.testing.assert_array_equal(features[:num_frames], EXAMPLES.features(index))
  assert not features[num_frames:].any()
  np.testing.assert_array_equal(labels[:num_labels], EXAMPLES.labels[index])
  assert not labels[num_labels:].any()


def test_a_bucket_is_the_shortest_that_holds_its_step():
  planned, drawn = layout(num_frame_buckets=2), draw()
  members = cohort.assemble(drawn, EXAMPLES, planned)
  assert planned.frame_buckets == (16, 24)
  longest = population.batches(members).num_frames.max((3, 4))
  wanted = np.where(longest > 16, 2, np.where(longest > 0, 1, 0))
  np.testing.assert_array_equal(members.bucket, wanted)
  assert set(np.unique(wanted)) == {0, 1, 2}


def test_padding_waste_by_hand():
  # One client, one step: 9 and 22 frames, both at 24.
  spoken = [population.Spoken('s', 'a', 9), population.Spoken('s', 'b', 22)]
  examples = population.examples(spoken)
  planned = cohort.Layout(
    num_devices=1,
    num_blocks=1,
    block_size=2,
    num_steps=2,
    batch_size=2,
    num_utterances=2,
    frame_buckets=(24,),
    num_labels=1,
  )
  drawn = cohort.Draw(
    np.array([0]), np.array([[[0, 1], [-1, -1]]]), np.array([0])
  )
  members = cohort.assemble(drawn, examples, planned)
  # A block of two clients and one step that is computed: 4 x 24 frames.
  frames = cohort.bucket_frames(members, planned)
  assert frames.padding_waste == pytest.approx(1 - 31 / 96)


def test_frames_of_each_bucket_by_hand():
  # Two clients, a block each: 9 frames at 16; 20 and 22 at 24.
  spoken = [
    population.Spoken('s', 'a', 9),
    population.Spoken('t', 'b', 20),
    population.Spoken('t', 'c', 22),
  ]
  examples = population.examples(spoken)
  planned = cohort.Layout(
    num_devices=1,
    num_blocks=2,
    block_size=1,
    num_steps=1,
    batch_size=2,
    num_utterances=2,
    frame_buckets=(16, 24),
    num_labels=1,
  )
  utterances = np.array([[[0, -1]], [[1, 2]]])
  drawn = cohort.Draw(np.array([0, 1]), utterances, np.zeros(2, int))
  members = cohort.assemble(drawn, examples, planned)
  frames = cohort.bucket_frames(members, planned)
  assert frames.speech.tolist() == [9, 42]
  assert frames.computed.tolist() == [2 * 16, 2 * 24]


LIMITED = {'batch_size': 4, 'batch_frames': 60, 'local_epochs': 2}


def test_batches_of_limited_frames_hold_each_utterance_once_an_epoch():
  drawn = draw(client=LIMITED, cohort_size=7)
  lengths = EXAMPLES.num_frames
  num_full = 0
  for client, row in zip(drawn.client_ids, drawn.utterances, strict=True):
    own = CLIENTS[client].utterances.tolist()
    assert used(row) == sorted(own * 2)
    batches = [batch[batch >= 0] for batch in row if (batch >= 0).any()]
    assert len(batches) % 2 == 0
    for batch in batches:
      assert len(batch) * lengths[batch].max() <= 60
      assert (np.diff(lengths[batch]) >= 0).all()
    for first, second in itertools.pairwise(batches[: len(batches) // 2]):
      # The longer batch is as large as either limit lets it be.
      longest = lengths[second].max()
      assert len(second) == min(4, 60 // longest)
      assert lengths[first].max() <= lengths[second].min()
      num_full += len(second) == 60 // longest < 4
  assert num_full


def test_an_utterance_longer_than_a_batch_is_one_of_its_own():
  drawn = draw(client={**LIMITED, 'batch_frames': 1}, cohort_size=7)
  counts = (drawn.utterances >= 0).sum(-1)
  assert set(counts.ravel().tolist()) == {0, 1}
  assert counts.max(0).sum() == 2 * max(len(c.utterances) for c in CLIENTS)


def test_the_plan_has_a_place_for_each_batch_of_limited_frames():
  settings = population.federated(client=LIMITED, cohort_size=7)
  layout = cohort.plan(CLIENTS, EXAMPLES, settings, SEED, 1)
  most = 0
  for index, member in enumerate(CLIENTS):
    steps = cohort.client_steps(
      CLIENTS, index, EXAMPLES.num_frames, settings.client, SEED, 0
    )
    assert used(steps) == sorted(member.utterances.tolist() * 2)
    most = max(most, len(steps))
  assert layout.num_steps == most
  members = cohort.assemble(
    draw(client=LIMITED, cohort_size=7), EXAMPLES, layout
  )
  frames = population.batches(members).num_frames
  assert frames.sum() == 2 * EXAMPLES.num_frames.sum()
