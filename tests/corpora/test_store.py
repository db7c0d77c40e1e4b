"""The feature store: built once, read often."""

import errno
import logging
import os

import h5py
import noise_store
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.corpora import store, utterance


def test_features_come_back_in_order(tmp_path):
  found = noise_store.opened(tmp_path)
  assert found.was_built
  assert len(found) == 40
  assert found.ids == [f'u{seed}' for seed in range(40)]
  assert found.num_features == 8
  noise_store.assert_whole(found)


def test_a_second_run_computes_nothing(tmp_path):
  noise_store.opened(tmp_path)
  again = noise_store.opened(tmp_path, source=noise_store.Unwilling)
  assert not again.was_built
  noise_store.assert_whole(again)


def test_failures_are_kept_with_their_reasons(tmp_path):
  seeds = [0, -1, 2, -3]
  for found in (
    noise_store.opened(tmp_path, seeds),
    noise_store.opened(tmp_path, seeds, noise_store.Unwilling),
  ):
    assert sorted(found.failures) == ['u-1', 'u-3']
    assert found.failures['u-3'].reason == 'noise -3: no good.'
    assert found.failures['u-3'].kind == 'unreadable'
    assert found.num_frames[1] == found.num_frames[3] == 0
    noise_store.assert_whole(found, [0])
    np.testing.assert_array_equal(
      found.features(2),
      noise_store.Noise(2).features(noise_store.FEATURES, 1.0),
    )


def test_sample_rates_are_kept_of_what_was_read(tmp_path):
  for _ in range(2):
    found = noise_store.opened(tmp_path, [0, 1, -1, 3])
    assert found.sample_rates.tolist() == [8000, 9000, 0, 9000]


def test_a_corpus_in_which_all_fail_is_a_store_too(tmp_path):
  found = noise_store.opened(tmp_path, [-1, -2])
  assert found.num_frames.tolist() == [0, 0]
  assert len(found.failures) == 2
  assert not noise_store.opened(tmp_path, [-1, -2]).was_built


def test_an_empty_corpus_is_an_empty_store(tmp_path):
  found = noise_store.opened(tmp_path, [])
  assert len(found) == 0
  assert found.num_frames.shape == (0,)
  assert not noise_store.opened(tmp_path, []).was_built


@pytest.mark.parametrize('name', ['héllo/日本', 'not UTF-8: \udcff'])
@pytest.mark.parametrize('seed', [1, -1])
def test_ids_keep_all_of_unicode_and_of_file_names(tmp_path, name, seed):
  item = noise_store.corpus([seed])[0]._replace(id=name)
  found = store.open_or_build(
    [item],
    noise_store.settings(tmp_path),
    noise_store.FEATURES,
    noise_store.report,
  )
  assert found.ids == [name]
  assert list(found.failures) == ([name] if seed < 0 else [])


def test_progress_ends_at_the_total(tmp_path):
  seen = []
  store.open_or_build(
    noise_store.corpus(range(40)),
    noise_store.settings(tmp_path),
    noise_store.FEATURES,
    lambda *progress: seen.append(progress),
  )
  assert seen[0] == (0, 40)
  assert seen[-1] == (40, 40)
  assert seen == sorted(seen)


@pytest.mark.parametrize('change', ['id', 'speaker', 'text', 'source'])
def test_another_utterance_is_another_store(tmp_path, change):
  (item,) = noise_store.corpus([1])
  other = {'source': noise_store.Noise(2)}.get(change, 'other')
  paths = {
    store.open_or_build(
      [each],
      noise_store.settings(tmp_path),
      noise_store.FEATURES,
      noise_store.report,
    ).path
    for each in (item, item._replace(**{change: other}))
  }
  assert len(paths) == 2


def test_other_settings_are_another_store_and_normalisation_is_none(tmp_path):
  def path(max_seconds=20.0, **fields):
    cfg = config.FeaturesConfig(num_features=8, num_mels=8, **fields)
    data = noise_store.settings(tmp_path, max_seconds=max_seconds)
    return store.open_or_build(
      noise_store.corpus([1]), data, cfg, noise_store.report
    ).path

  same = {path(), path(normalization=config.Normalization.NONE)}
  assert len(same) == 1
  assert len(same | {path(max_seconds=5.0), path(hop_ms=5.0)}) == 3


def damage_nothing_but_complete(path):
  with h5py.File(path, 'r+') as file:
    file.attrs['complete'] = False


def damage_by_truncation(path):
  os.truncate(path, path.stat().st_size // 2)


def damage_by_emptying(path):
  os.truncate(path, 0)


def damage_frames(path):
  content = bytearray(path.read_bytes())
  first = noise_store.Noise(0).features(noise_store.FEATURES, 1.0)
  start = content.index(first.tobytes())
  content[start] ^= 1
  path.write_bytes(content)


def damage_offsets(path):
  with h5py.File(path, 'r+') as file:
    file['offsets'][-1] += 1


def damage_by_removal_of_a_data_set(path):
  with h5py.File(path, 'r+') as file:
    del file['failures']


def damage_by_another_file(path):
  path.write_text('no HDF5 file at all')


@pytest.mark.parametrize(
  'damage',
  [
    damage_nothing_but_complete,
    damage_by_truncation,
    damage_by_emptying,
    damage_frames,
    damage_offsets,
    damage_by_removal_of_a_data_set,
    damage_by_another_file,
  ],
)
def test_a_damaged_store_is_rebuilt_with_a_warning(tmp_path, caplog, damage):
  damage(noise_store.opened(tmp_path).path)
  with caplog.at_level(logging.WARNING):
    again = noise_store.opened(tmp_path)
  assert again.was_built
  assert 'rebuilding' in caplog.text
  noise_store.assert_whole(again)
  assert not noise_store.opened(tmp_path).was_built


def test_what_does_not_fit_in_memory_is_read_on_demand(tmp_path, monkeypatch):
  monkeypatch.setattr(store, '_IN_MEMORY_BYTES', 100)
  found = noise_store.opened(tmp_path)
  noise_store.assert_whole(found)
  path = found.path
  # What it has decoded, HDF5 keeps while the file is open.
  del found
  damage_frames(path)
  again = noise_store.opened(tmp_path)
  with pytest.raises(utterance.CorpusError, match='delete it to have it reb'):
    again.features(0)


def test_features_in_memory_cannot_be_written(tmp_path):
  found = noise_store.opened(tmp_path)
  with pytest.raises(ValueError, match='read-only'):
    found.features(0)[0] = 1.0


def test_a_file_system_without_locks_is_a_warning(
  tmp_path, monkeypatch, caplog
):
  def flock(*_):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

  monkeypatch.setattr('fcntl.flock', flock)
  noise_store.assert_whole(noise_store.opened(tmp_path))
  (record,) = caplog.records
  assert 'cannot be locked (Function not implemented)' in record.getMessage()


def test_a_cache_folder_that_is_a_file_is_one_line(tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(utterance.CorpusError, match=r'cache_dir=.*file.*cannot'):
    noise_store.opened(tmp_path / 'file')


def test_a_cache_folder_that_cannot_be_looked_into_is_one_line(tmp_path):
  with pytest.raises(utterance.CorpusError, match=r'cache_dir=.*a.*cannot'):
    noise_store.opened(tmp_path / ('a' * 300))


def test_a_repeated_id_is_an_error(tmp_path):
  with pytest.raises(utterance.CorpusError, match='repeats an utterance id'):
    noise_store.opened(tmp_path, [1, 1])
