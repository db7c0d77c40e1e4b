"""No two random streams of the project coincide, whatever their indices."""

import inspect
import itertools
import pathlib
import re

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedjax_asr
from fedjax_asr import streams

WORD = st.integers(0, 2**32 - 1)
STREAMS = list(streams.Stream)


def test_no_number_is_used_twice():
  numbers = [int(stream) for stream in STREAMS]
  assert len(numbers) == len(set(numbers))
  assert len(streams.Stream.__members__) == len(STREAMS)
  assert len(streams.ClientStream.__members__) == len(
    list(streams.ClientStream)
  )


@settings(max_examples=200, deadline=None)
@given(
  st.sampled_from(list(itertools.combinations(STREAMS, 2))),
  WORD,
  st.lists(WORD, max_size=3),
  st.lists(WORD, max_size=3),
)
def test_different_streams_differ_for_any_seed_and_indices(
  pair, seed, one, other
):
  """NumPy pads what it is given with zeros: only the stream may tell them."""
  words = [
    np.array((streams.entropy(seed, stream, *indices) + [0] * 3)[:5])
    for stream, indices in zip(pair, (one, other), strict=True)
  ]
  assert (words[0] != words[1]).any()
  left, right = (
    streams.rng(seed, stream, *indices).integers(2**63, size=4)
    for stream, indices in zip(pair, (one, other), strict=True)
  )
  assert (left != right).all()


def test_the_client_that_shared_the_cohorts_stream_does_not():
  """0x636f was the cohort's number, and utterances had the client's there."""
  cohort = streams.rng(0, streams.Stream.COHORT, 7)
  client = streams.rng(0, streams.Stream.CLIENT_UTTERANCES, 7, 0x636F)
  assert (
    cohort.integers(2**63, size=4) != client.integers(2**63, size=4)
  ).all()


def _paths():
  """Of every JAX stream at a few indices."""
  few = 0, 1, 2, 0x6363, 2**31, 2**32 - 1
  for stream in STREAMS:
    for count in range(3):
      for indices in itertools.product(few[: 6 - count], repeat=count):
        yield streams.key(3, stream, *indices)
  clients = itertools.product(few[:4], repeat=2)
  for round_index, client in clients:
    key = streams.key(3, streams.Stream.CLIENT, round_index, client)
    yield streams.of_client(key, streams.ClientStream.NOISE)
    yield streams.of_client(key, streams.ClientStream.CODING)
    for step in few:
      yield streams.of_client(key, streams.ClientStream.STEP, step)


def test_keys_of_all_streams_are_different():
  keys = [np.asarray(jax.random.key_data(key)).tobytes() for key in _paths()]
  # The root itself is nobody's.
  keys.append(np.asarray(jax.random.key_data(jax.random.key(3))).tobytes())
  assert len(keys) > 500
  assert len(set(keys)) == len(keys)


def test_a_key_is_the_same_in_a_compiled_program():
  def key(root, index):
    return streams.of_root(root, streams.Stream.CLIENT, index, 2)

  compiled = jax.jit(key)(jax.random.key(3), 5)
  assert compiled == streams.key(3, streams.Stream.CLIENT, 5, 2)


@pytest.mark.parametrize('number', [-1, 2**32])
def test_more_than_32_bits_would_be_another_stream(number):
  with pytest.raises(ValueError, match='want 32 bits'):
    streams.rng(0, streams.Stream.COHORT, number)


# Keys that are derived from a stream's, by whoever was given it, may be split
# and folded further; what may not is to start from a seed.
_SEEDED = re.compile(r'random\.key\(|default_rng\(|SeedSequence\(|PRNGKey\(')
# A shape's key, one of whose draws nothing depends on, and generators that
# start from a stream's own key.
_ALLOWED = {
  'saved_run.py': 1,  # eval_shape
  'client_gradient.py': 1,  # nothing is drawn
  'train.py': 2,  # the root of a run's streams on the devices; eval_shape
  'secret.py': 1,  # in words: `of_seed` makes the same root
  'audit_canaries.py': 2,  # the same root, and that of an audit's streams
  'empirical_epsilon.py': 1,  # of a bootstrap, by the audit's seed
  'planted_bugs.py': 1,  # the bug is that noise has a key that is known
  'attack_victims.py': 1,  # the same root
  'fine_tuning.py': 1,  # the root of a job's
  'client_memory.py': 1,  # eval_shape
  'stages.py': 1,  # shapes are traced
  'streams.py': 3,
  'span.py': 1,  # from the attacker's key
  'speaker_id.py': 1,
  'sparse_frames.py': 1,
}


def test_nothing_else_in_the_package_starts_from_a_seed():
  (package,) = fedjax_asr.__path__
  found = {}
  for file in pathlib.Path(package).rglob('*.py'):
    code = file.read_text(encoding='utf-8')
    count = len(_SEEDED.findall(code))
    if count:
      found[file.name] = count
  assert found == _ALLOWED


def test_each_stream_is_used_and_says_its_indices():
  (package,) = fedjax_asr.__path__
  code = ''.join(
    file.read_text(encoding='utf-8')
    for file in pathlib.Path(package).rglob('*.py')
    if file.name != 'streams.py'
  )
  for kind in (streams.Stream, streams.ClientStream):
    source = inspect.getsource(kind)
    for name in kind.__members__:
      assert f'{kind.__name__}.{name}' in code, name
      assert re.search(rf'{name} = \w+  # \[', source), name
