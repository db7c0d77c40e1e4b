import resource
import subprocess
import sys
import tempfile
import textwrap
import types
import typing

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedjax_asr import checkpoint, config


class State(typing.NamedTuple):
  params: dict
  norm_state: dict
  opt_state: typing.Any
  round: typing.Any


def _state(round_index=0, width=3, optimizer=None):
  rng = np.random.default_rng(round_index)
  kernel = rng.normal(size=(width, 2)).astype(np.float32)
  params = {
    'dense': {
      'kernel': jnp.asarray(kernel),
      'bias': jnp.asarray(kernel[0], jnp.bfloat16),
    }
  }
  optimizer = optimizer or optax.adam(1e-3)
  return State(params, {}, optimizer.init(params), jnp.int32(round_index))


def _open(path, **kwargs):
  settings = {'every_rounds': 1, 'keep_last': 2, 'keep_best': 0} | kwargs
  return checkpoint.Checkpoints(path, config.CheckpointConfig(**settings))


def _saved(path, rounds, wers=None, **kwargs):
  checkpoints = _open(path, **kwargs)
  for round_index, wer in zip(
    rounds, wers or [None] * len(rounds), strict=True
  ):
    checkpoints.save(round_index, _state(round_index), wer)
  checkpoints.close()
  return _open(path, **kwargs)


def _assert_same(got, want):
  assert jax.tree.structure(got) == jax.tree.structure(want)
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_restored_state_is_bit_for_bit_the_saved_one(tmp_path):
  checkpoints = _saved(tmp_path, [7])
  assert checkpoints.latest_round == 7
  _assert_same(checkpoints.restore(7, _state(1)), _state(7))


def test_restore_needs_shapes_only(tmp_path):
  like = jax.eval_shape(_state)
  _assert_same(_saved(tmp_path, [7]).restore(7, like), _state(7))


def test_restored_arrays_are_placed_like_the_wanted_ones(tmp_path):
  checkpoints = _saved(tmp_path, [1])
  free = checkpoints.restore(1, _state())
  assert not free.params['dense']['kernel'].committed
  pinned = jax.device_put(_state(), jax.devices()[0])
  pinned = checkpoints.restore(1, pinned)
  assert pinned.params['dense']['kernel'].committed


def test_empty_directory_has_no_round(tmp_path):
  checkpoints = _open(tmp_path / 'a' / 'b')
  assert checkpoints.latest_round is None
  assert checkpoints.rounds == ()


def test_kept_rounds_are_the_last_the_best_and_every_tenth(tmp_path):
  wers = [0.9, 0.9, 0.9, 0.3, 0.5, 0.6, 0.7, 0.8, 0.8, 0.8, None, 0.8, 0.8, 0.8]
  kept = {'keep_last': 2, 'keep_best': 2, 'keep_every': 10}
  checkpoints = _saved(tmp_path, range(1, 15), wers, **kept)
  assert checkpoints.rounds == (4, 5, 10, 13, 14)


def test_rounds_without_a_finite_wer_are_never_the_best(tmp_path):
  wers = [None, float('nan'), 0.5, None]
  checkpoints = _saved(tmp_path, range(1, 5), wers, keep_last=1, keep_best=1)
  assert checkpoints.rounds == (3, 4)


def test_best_round_is_known_after_reopening(tmp_path):
  kept = {'keep_last': 1, 'keep_best': 1}
  _saved(tmp_path, [1, 2], [0.3, 0.9], **kept).close()
  assert _saved(tmp_path, [3, 4], [0.8, 0.7], **kept).rounds == (1, 4)


def test_only_due_or_forced_rounds_are_saved(tmp_path):
  checkpoints = _open(tmp_path, every_rounds=3, keep_last=9)
  for round_index in range(1, 8):
    checkpoints.save(round_index, _state(), None, force=round_index == 7)
  checkpoints.save(7, _state(99), None, force=True)
  checkpoints.wait()
  assert checkpoints.rounds == (3, 6, 7)
  _assert_same(checkpoints.restore(7, _state()), _state())


def test_round_that_was_not_due_makes_way_for_those_that_are(tmp_path):
  """An interrupted run ends with the rounds of one that was not."""
  checkpoints = _open(tmp_path, every_rounds=2)
  for round_index, force in ((2, False), (4, False), (5, True)):
    checkpoints.save(round_index, _state(), None, force=force)
    checkpoints.wait()
  assert checkpoints.rounds == (4, 5)
  checkpoints.save(6, _state(), None)
  checkpoints.wait()
  assert checkpoints.rounds == (4, 6)


@pytest.mark.parametrize(
  'name', ['lr=[0.1]', 'a*b', 'a?', 'a\\b', '[', 'é %#"', 'a\udcff']
)
def test_any_name_of_a_directory_holds_checkpoints(tmp_path, name):
  checkpoints = _saved(tmp_path / name, [1, 2, 3])
  assert checkpoints.rounds == (2, 3)
  _assert_same(checkpoints.restore(3, _state()), _state(3))
  assert {path.name for path in (tmp_path / name).iterdir()} == {'2', '3'}
  with pytest.raises(checkpoint.CheckpointError) as caught:
    checkpoints.restore(3, _state(width=4))
  assert str(tmp_path / name / '3') in str(caught.value)


def test_link_to_a_directory_goes_with_it(tmp_path, monkeypatch):
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
  _saved(tmp_path / '[1]', [1]).close()
  assert [path.name for path in tmp_path.iterdir()] == ['[1]']


def test_checkpoint_that_cannot_be_read_back_replaces_none(tmp_path):
  checkpoints = _open(tmp_path, keep_last=1)
  checkpoints.save(1, _state(1), None)
  checkpoints.wait()
  checkpoints.save(2, _state(2), None)
  checkpoints._manager.wait_until_finished()
  for file in (tmp_path / '2' / 'state').rglob('*'):
    if file.is_file() and file.parent.name == 'd':
      file.write_bytes(b'')
  with pytest.raises(checkpoint.CheckpointError) as caught:
    checkpoints.wait()
  assert 'round 2 could not be read back from' in str(caught.value)
  assert 'intact (rounds: 1)' in str(caught.value)
  checkpoints = _open(tmp_path)
  assert checkpoints.latest_round == 1
  _assert_same(checkpoints.restore(1, _state()), _state(1))


def test_state_may_be_overwritten_as_soon_as_save_returns(tmp_path):
  checkpoints = _open(tmp_path)
  array = np.arange(1_000_000, dtype=np.float32)
  checkpoints.save(1, {'array': array}, None)
  array[:] = -1
  restored = checkpoints.restore(1, {'array': array})
  np.testing.assert_array_equal(restored['array'], np.arange(1_000_000))


@pytest.mark.parametrize(
  ('like', 'leaf'),
  [
    (
      _state(width=4),
      r'params.dense.kernel is float32\[3, 2\] there; want flo',
    ),
    (
      _state(optimizer=optax.sgd(0.1, momentum=0.9)),
      r'opt_state.0.trace.dense.bias is absent there; want bfloat16\[2\]',
    ),
    (
      _state(optimizer=optax.sgd(0.1)),
      r'opt_state.0.count is int32\[\] there; want absent',
    ),
    (
      _state()._replace(round=jnp.float32(0)),
      r'round is int32\[\] there; want float32\[\]',
    ),
  ],
  ids=['model', 'optimizer', 'less', 'dtype'],
)
def test_checkpoint_of_another_model_names_the_first_leaf(tmp_path, like, leaf):
  checkpoints = _saved(tmp_path, [1])
  with pytest.raises(checkpoint.CheckpointError, match=leaf):
    checkpoints.restore(1, like)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_state_that_is_not_finite_is_not_restored(tmp_path, value):
  checkpoints = _open(tmp_path)
  checkpoints.save(1, _state(), None)
  bad = _state()
  bad.params['dense']['bias'] = jnp.full(2, value, jnp.bfloat16)
  checkpoints.save(2, bad, None)
  wanted = (
    r'/2 is of a training that diverged: params\.dense\.bias is not .*1, 2'
  )
  with pytest.raises(checkpoint.CheckpointError, match=wanted):
    checkpoints.restore(2, _state())
  checkpoints.restore(1, _state())


def test_unsaved_round_names_the_saved_ones(tmp_path):
  with pytest.raises(checkpoint.CheckpointError, match=r'want one of: 1, 2\.'):
    _saved(tmp_path, [1, 2]).restore(3, _state())


def test_damaged_checkpoint_names_its_folder(tmp_path):
  _saved(tmp_path, [1, 2]).close()
  for file in (tmp_path / '2' / 'state').rglob('*'):
    if file.is_file() and file.parent.name == 'd':
      file.write_bytes(b'')
  with pytest.raises(checkpoint.CheckpointError, match=rf'{tmp_path}/2 cannot'):
    _open(tmp_path).restore(2, _state())


def test_directory_that_is_a_file_is_an_error(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(checkpoint.CheckpointError, match='cannot hold'):
    _open(tmp_path / 'file')


def test_failed_write_is_named_and_leaves_earlier_rounds(tmp_path):
  checkpoints = _open(tmp_path, keep_last=1)
  state = {'w': np.random.default_rng(0).normal(size=500_000)}
  checkpoints.save(1, state, None)
  checkpoints.wait()
  _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  # Stands for a full disk: writes past this size fail, in any thread.
  resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
  try:
    checkpoints.save(2, state, None)
    with pytest.raises(checkpoint.CheckpointError) as caught:
      checkpoints.save(3, state, None)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
  assert 'checkpoint of round 2 could not be written' in str(caught.value)
  assert 'intact (rounds: 1); the same command resumes' in str(caught.value)
  with pytest.raises(checkpoint.CheckpointError, match='round 2 could not'):
    checkpoints.close()
  checkpoints = _open(tmp_path, keep_last=1)
  _assert_same(checkpoints.restore(1, state), state)
  checkpoints.save(2, state, None)
  checkpoints.wait()
  assert checkpoints.rounds == (2,)


def test_full_disk_is_noticed_before_a_write(tmp_path, monkeypatch, capfd):
  checkpoints = _open(tmp_path)
  checkpoints.save(1, _state(), None)
  checkpoints.wait()
  monkeypatch.setattr(
    'shutil.disk_usage', lambda path: types.SimpleNamespace(free=10)
  )
  with pytest.raises(checkpoint.CheckpointError, match='No space left') as got:
    checkpoints.save(2, _state(), None)
  assert 'intact (rounds: 1); the same command resumes' in str(got.value)
  assert [item.name for item in tmp_path.iterdir()] == ['1']
  assert capfd.readouterr() == ('', '')


_WRITER = textwrap.dedent("""
  import pathlib, sys
  import numpy as np
  from fedjax_asr import checkpoint, config
  cfg = config.CheckpointConfig(every_rounds=1, keep_last=1, keep_best=0)
  checkpoints = checkpoint.Checkpoints(pathlib.Path(sys.argv[1]), cfg)
  first = (checkpoints.latest_round or 0) + 1
  for round_index in range(first, first + 1000):
    checkpoints.save(round_index, {'w': np.full(4_000_000, round_index)}, None)
    print(round_index, flush=True)
""")


def test_killed_write_leaves_the_round_before_it(tmp_path):
  for delay_rounds in (2, 3):
    with subprocess.Popen(
      [sys.executable, '-c', _WRITER, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
      assert process.stdout
      started = [int(process.stdout.readline()) for _ in range(delay_rounds)]
      process.kill()
    checkpoints = _open(tmp_path, keep_last=1)
    latest = checkpoints.latest_round
    assert latest in (started[-1] - 1, started[-1])
    like = {'w': np.zeros(4_000_000, int)}
    assert (checkpoints.restore(latest, like)['w'] == latest).all()
    checkpoints.close()


def test_nothing_is_printed(tmp_path, capfd, caplog):
  checkpoints = _saved(tmp_path, [1, 2, 3])
  checkpoints.restore(3, _state())
  checkpoints.close()
  assert capfd.readouterr() == ('', '')
  assert not caplog.records
