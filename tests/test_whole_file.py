"""Folders that are there whole or not at all."""

import pytest

from fedjax_asr import whole_file


def content(folder):
  return {file.name: file.read_text() for file in folder.iterdir()}


def write(path, **files):
  with whole_file.replacing_folder(path) as folder:
    for name, text in files.items():
      (folder / name).write_text(text)


def test_a_folder_takes_the_place_of_another(tmp_path):
  write(tmp_path / 'made', a='1', b='2')
  write(tmp_path / 'made', a='3')
  assert content(tmp_path / 'made') == {'a': '3'}
  assert [path.name for path in tmp_path.iterdir()] == ['made']


def fail(path):
  with whole_file.replacing_folder(path) as folder:
    (folder / 'a').write_text('half')
    raise KeyError


def test_what_fails_leaves_what_was_there(tmp_path):
  write(tmp_path / 'made', a='1')
  with pytest.raises(KeyError):
    fail(tmp_path / 'made')
  assert content(tmp_path / 'made') == {'a': '1'}
  assert [path.name for path in tmp_path.iterdir()] == ['made']


def test_what_a_killed_process_left_is_put_right(tmp_path):
  write(tmp_path / 'made', a='1')
  # Killed between the two renames.
  (tmp_path / 'made').rename(tmp_path / '.made.before')
  (tmp_path / '.made.tmp').mkdir()
  (tmp_path / '.made.tmp' / 'half').write_text('x')
  with pytest.raises(KeyError):
    fail(tmp_path / 'made')
  assert content(tmp_path / 'made') == {'a': '1'}
  write(tmp_path / 'made', a='2')
  assert content(tmp_path / 'made') == {'a': '2'}
