"""What is installed elsewhere: configs travel with the package."""

import os
import pathlib
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_CONFIGS = sorted(path.stem for path in (_ROOT / 'configs').glob('*.py'))

# As pip does, without its download of setuptools.
_BUILD = """
import sys
from setuptools import build_meta
build_meta.build_wheel(sys.argv[1])
"""


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
  """The package as a wheel has it, unpacked."""
  folder = tmp_path_factory.mktemp('wheel')
  source = folder / 'source'
  for name in ('fedjax_asr', 'configs'):
    shutil.copytree(
      _ROOT / name,
      source / name,
      ignore=shutil.ignore_patterns('__pycache__'),
    )
  for name in ('pyproject.toml', 'README.md'):
    shutil.copy(_ROOT / name, source)
  subprocess.run(
    [sys.executable, '-c', _BUILD, str(folder)],
    cwd=source,
    check=True,
    capture_output=True,
    timeout=120,
  )
  (wheel,) = folder.glob('*.whl')
  with zipfile.ZipFile(wheel) as archive:
    archive.extractall(folder / 'site')
  return folder / 'site'


def _main(installed, folder, *flags):
  return subprocess.run(
    [sys.executable, '-m', 'fedjax_asr.main', *flags],
    cwd=folder,
    env=os.environ | {'PYTHONPATH': str(installed)},
    capture_output=True,
    text=True,
    timeout=300,
  )


def test_every_subpackage_is_named():
  with (_ROOT / 'pyproject.toml').open('rb') as file:
    named = tomllib.load(file)['tool']['setuptools']['packages']
  found = [
    '.'.join(path.parent.relative_to(_ROOT).parts)
    for path in sorted((_ROOT / 'fedjax_asr').rglob('__init__.py'))
  ]
  assert sorted(named) == sorted([*found, 'fedjax_asr.configs'])


def test_a_wheel_has_all_modules_and_configs_and_nothing_else(installed):
  wanted = {
    str(path.relative_to(_ROOT)) for path in _ROOT.glob('fedjax_asr/**/*.py')
  }
  wanted |= {f'fedjax_asr/configs/{name}.py' for name in _CONFIGS}
  found = {str(path.relative_to(installed)) for path in installed.rglob('*.py')}
  assert found == wanted


def test_a_wheel_has_what_pages_are_made_of(installed):
  """With the licence of the library among it."""
  rooms = ('assets', 'templates')
  wanted = {
    str(path.relative_to(_ROOT))
    for room in rooms
    for path in (_ROOT / 'fedjax_asr' / 'report_pages' / room).iterdir()
  }
  assert 'fedjax_asr/report_pages/assets/uPlot.LICENSE' in wanted
  assert all((installed / each).is_file() for each in wanted)


def test_an_installed_config_goes_by_its_name(installed, tmp_path):
  # A flag that is refused once the config is read.
  done = _main(
    installed, tmp_path, '--config=ds2_fedavg:smoke', '--config.seed=x'
  )
  assert (done.returncode, done.stderr) == (
    2,
    'error: --config.seed=x; want an integer.\n',
  )
  done = _main(installed, tmp_path, '--config=ds2_fedavg:none')
  assert done.returncode == 2
  assert "variant 'none'; want one of '', 'tiny'" in done.stderr


def test_installed_configs_are_listed(installed, tmp_path):
  done = _main(installed, tmp_path)
  assert done.returncode == 2
  assert done.stderr.startswith('error: --config is missing; want')
  assert done.stderr.count('\n') == 1
  lines = done.stdout.splitlines()
  assert [line.split()[0] for line in lines] == _CONFIGS
  assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.slow
def test_an_installed_package_trains_by_a_config_name(installed, tmp_path):
  cache = f'--config.data.cache_dir={tmp_path}/cache'
  done = _main(installed, tmp_path, '--config=ds2_fedavg:smoke', cache)
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'runs/ds2_fedavg-smoke/metrics.jsonl').is_file()
