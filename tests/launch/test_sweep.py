import shlex
import sys
import textwrap

import pytest

from fedjax_asr import command_line
from launch import sweep

_CONFIG = """
from fedjax_asr import config

def get_config(variant=''):
  if variant not in ('', 'smoke'):
    raise ValueError(f'variant={variant!r}; want one of: smoke.')
  return config.Config(name='mine')

def sweep():
"""


@pytest.fixture
def config_flag(tmp_path):
  def written(*points):
    body = ''.join(f'  yield {point}\n' for point in points)
    (tmp_path / 'my config.py').write_text(_CONFIG + (body or '  return []'))
    return f'--config={tmp_path}/my config.py'

  return written


def _error(capsys, *flags):
  assert sweep.main(['sweep.py', *flags]) == 2
  out, err = capsys.readouterr()
  assert out == ''
  assert err.startswith('error: ')
  assert err.count('\n') == 1
  return err


def test_command_is_a_run_of_its_point(config_flag):
  flag = config_flag(
    {'federated.cohort_size': 4, 'model.ds2.conv_channels': (8, 8)},
    {'federated.client.learning_rate': 0.3, 'model.ds2.bidirectional': False},
    '{"model.ds2.cell": config.Cell.LSTM}',
  )
  lines = sweep.commands(['sweep.py', f'{flag}:smoke', '--config.seed=3'])
  words = [shlex.split(line) for line in lines]
  assert all(w[:3] == [sys.executable, '-m', 'fedjax_asr.main'] for w in words)
  first, second, third = [command_line.parse(w[2:]) for w in words]
  assert first.config.federated.cohort_size == 4
  assert first.config.model.ds2.conv_channels == (8, 8)
  assert second.config.federated.client.learning_rate == 0.3
  assert not second.config.model.ds2.bidirectional
  assert third.config.model.ds2.cell == 'lstm'
  assert {c.config.seed for c in (first, second, third)} == {3}
  assert third.workdir == 'runs/mine-smoke-model.ds2.cell=lstm'


def test_sweep_may_depend_on_the_variant(config_flag, tmp_path):
  flag = config_flag("{'name': variant or 'none'}")
  path = tmp_path / 'my config.py'
  path.write_text(path.read_text().replace('sweep()', "sweep(variant='')"))
  for source, name in ((flag, 'none'), (f'{flag}:smoke', 'smoke')):
    (line,) = sweep.commands(['sweep.py', source])
    assert command_line.parse(shlex.split(line)[2:]).config.name == name


def test_points_have_work_directories_of_their_own(config_flag):
  flag = config_flag(*({'seed': seed} for seed in range(3)))
  lines = sweep.commands(['sweep.py', flag, '--workdir=/w'])
  workdirs = [command_line.parse(shlex.split(x)[2:]).workdir for x in lines]
  assert workdirs == ['/w-seed=0', '/w-seed=1', '/w-seed=2']


def test_main_prints_a_command_a_line(config_flag, capsys):
  flag = config_flag({'seed': 1}, {'seed': 2})
  assert sweep.main(['sweep.py', flag]) == 0
  assert capsys.readouterr().out.count('\n') == 2


@pytest.mark.parametrize(
  ('point', 'message'),
  [
    ({'federated.cohortsize': 1}, 'no such field; nearest: --config.federated'),
    ({'federated.block_size': 0}, 'config.federated.block_size=0; want >= 1'),
    ({'seed': 'x'}, '--config.seed=x; want an integer.'),
    (7, 'sweep() yields 7; want a dict such as'),
    ('1 / 0', 'line 10: ZeroDivisionError: division by zero'),
  ],
)
def test_point_that_cannot_work_is_named(config_flag, capsys, point, message):
  assert message in _error(capsys, config_flag(point))


def test_repeated_point_is_named(config_flag, capsys):
  flag = config_flag({'seed': 1}, {'seed': 1})
  assert "yields {'seed': 1} twice" in _error(capsys, flag)


def test_flag_mistakes_are_one_line(config_flag, capsys, tmp_path):
  flag = config_flag({'seed': 1})
  assert 'want one of: smoke' in _error(capsys, f'{flag}:gpu')
  assert '--config is missing' in _error(capsys)
  assert 'no such file' in _error(capsys, '--config=nowhere.py')
  path = tmp_path / 'none.py'
  path.write_text(textwrap.dedent(_CONFIG.partition('def sweep')[0]))
  assert 'has no function sweep()' in _error(capsys, f'--config={path}')
