import os
import pathlib
import pwd
import subprocess
import sys
import tempfile

import pytest

from fedjax_asr import config, home

_DEFAULT = config.DataConfig().cache_dir
# Whoever runs the tests, even root, can make no directory there.
_NOWHERE = '/dev/null/home'


@pytest.fixture
def temporary(tmp_path, monkeypatch):
  """The folder of temporary files, of a process that has not used it yet."""
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
  home._temporary.cache_clear()
  home._warn.cache_clear()
  yield tmp_path
  home._temporary.cache_clear()
  home._warn.cache_clear()


@pytest.fixture(params=['unset', 'cannot be written', 'a file'])
def no_home(request, tmp_path, monkeypatch):
  """An account as a container's: without a home, or with none to write to."""
  if request.param == 'unset':

    def unknown(uid):
      raise KeyError(uid)

    monkeypatch.delenv('HOME')
    monkeypatch.setattr(pwd, 'getpwuid', unknown)
  else:
    written = request.param == 'a file'
    monkeypatch.setenv('HOME', '/dev/null' if written else _NOWHERE)


def test_a_cache_at_home_is_there(monkeypatch, tmp_path, caplog):
  monkeypatch.setenv('HOME', str(tmp_path))
  wanted = tmp_path / '.cache' / 'fedjax_asr'
  assert home.writable_cache(_DEFAULT) == wanted
  assert home.readable_cache(_DEFAULT) == wanted
  assert not caplog.records
  assert not (tmp_path / '.cache').exists()


def test_without_a_home_a_cache_is_temporary_with_one_warning(
  temporary, no_home, caplog
):
  found = home.writable_cache(_DEFAULT)
  assert found.parent == temporary
  assert found.stat().st_mode & 0o777 == 0o700
  assert home.writable_cache(_DEFAULT) == found
  (record,) = caplog.records
  assert f'config.data.cache_dir={_DEFAULT!r}' in record.getMessage()
  assert str(found) in record.getMessage()


def test_a_second_process_finds_the_same_temporary_cache(temporary, no_home):
  first = home.writable_cache(_DEFAULT)
  home._temporary.cache_clear()
  assert home.writable_cache(_DEFAULT) == first


@pytest.mark.parametrize('mode', [0o777, 0o720])
def test_a_temporary_cache_that_others_can_write_is_not_used(
  temporary, no_home, mode
):
  planted = temporary / f'fedjax_asr-{os.getuid()}'
  planted.mkdir()
  planted.chmod(mode)
  found = home.writable_cache(_DEFAULT)
  assert found != planted
  assert found.parent == temporary


def test_a_temporary_cache_that_is_a_link_is_not_used(temporary, no_home):
  (temporary / 'elsewhere').mkdir(mode=0o700)
  planted = temporary / f'fedjax_asr-{os.getuid()}'
  planted.symlink_to(temporary / 'elsewhere')
  assert home.writable_cache(_DEFAULT) != planted


def test_a_cache_at_home_that_can_only_be_read_is_read(
  temporary, tmp_path, monkeypatch
):
  monkeypatch.setenv('HOME', str(tmp_path))
  cache = tmp_path / '.cache/fedjax_asr'
  cache.mkdir(parents=True)
  access = os.access
  monkeypatch.setattr(
    os,
    'access',
    lambda path, mode: (
      access(path, mode) and (not mode & os.W_OK or 'fedjax_asr-' in str(path))
    ),
  )
  assert home.readable_cache(_DEFAULT) == cache
  assert home.writable_cache(_DEFAULT) != cache


def test_a_home_of_somebody_else_is_not_looked_into(
  temporary, tmp_path, monkeypatch
):
  monkeypatch.setenv('HOME', str(tmp_path / 'root'))
  access = os.access
  monkeypatch.setattr(
    os,
    'access',
    lambda path, mode: 'fedjax_asr-' in str(path) and access(path, mode),
  )
  found = home.readable_cache(_DEFAULT)
  assert found == home.writable_cache(_DEFAULT)
  assert found.parent == temporary


def test_a_place_that_was_named_is_never_replaced(no_home, caplog):
  for name in (_NOWHERE, '', 'relative', '/proc/cache'):
    assert home.writable_cache(name) == pathlib.Path(name)
    assert home.readable_cache(name) == pathlib.Path(name)
  assert not caplog.records


def test_nothing_to_write_to_is_one_line(temporary, no_home, monkeypatch):
  monkeypatch.setattr(tempfile, 'tempdir', _NOWHERE)
  with pytest.raises(config.UserError, match=r'data\.cache_dir') as caught:
    home.writable_cache(_DEFAULT)
  assert '\n' not in str(caught.value)


def test_a_path_at_a_home_that_is_not_known_is_one_line():
  with pytest.raises(config.ConfigError, match=r"^'~nobody-here/x': the home"):
    home.expanded('~nobody-here/x')


def test_libraries_are_lent_a_place_unless_they_have_one(
  temporary, no_home, monkeypatch
):
  monkeypatch.setattr(os, 'environ', dict(os.environ))
  os.environ.pop('NUMBA_CACHE_DIR', None)
  os.environ['MPLCONFIGDIR'] = '/mine'
  home.lend_to_libraries()
  assert os.environ['NUMBA_CACHE_DIR'].startswith(str(temporary))
  assert os.environ['MPLCONFIGDIR'] == '/mine'


def test_libraries_are_lent_the_cache_that_was_named(
  no_home, monkeypatch, tmp_path
):
  monkeypatch.setattr(os, 'environ', dict(os.environ))
  os.environ.pop('NUMBA_CACHE_DIR', None)
  home.lend_to_libraries(tmp_path / 'cache')
  assert os.environ['NUMBA_CACHE_DIR'] == str(tmp_path / 'cache/numba')


def test_libraries_keep_to_a_home_that_can_be_written(monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.setattr(os, 'environ', dict(os.environ))
  before = dict(os.environ)
  home.lend_to_libraries()
  assert os.environ == before


_PROGRAM = """
import sys
from fedjax_asr import config, home
from fedjax_asr.corpora import datasets

if __name__ == '__main__':
  home.lend_to_libraries()
  data = config.DataConfig(
    synthetic=config.SyntheticConfig(num_speakers=2, utterances_per_speaker=1),
    num_heldout_speakers=0,
    num_workers=1,
  )
  found = datasets.usable(
    data, config.FeaturesConfig(), lambda frames: frames, lambda *_: None
  )
  print(len(found.kept), found.store.path.parent, 'librosa' in sys.modules)
"""


def test_features_are_computed_without_home_numba_or_librosa(tmp_path):
  pytest.importorskip('espeakng_loader')
  environment = os.environ | {'HOME': _NOWHERE, 'TMPDIR': str(tmp_path)}
  done = subprocess.run(
    [sys.executable, '-c', _PROGRAM],
    env=environment,
    capture_output=True,
    text=True,
    timeout=60,
  )
  folder = tmp_path / f'fedjax_asr-{os.getuid()}'
  assert (done.returncode, done.stdout) == (0, f'2 {folder} False\n')
  assert done.stderr.count('\n') == 1
  assert "config.data.cache_dir='~/.cache/fedjax_asr' cannot" in done.stderr
