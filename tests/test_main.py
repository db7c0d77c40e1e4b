import os
import signal
import subprocess
import sys
import time

import pytest

from fedjax_asr import config, main

_CONFIG = """
from fedjax_asr import config

def get_config(variant=''):
  return config.Config(name='mine')
"""

# Stands in for the job, so that only `main` is under test.
_PROGRAM = """
import sys, types
from fedjax_asr import config, main

def run(config, workdir, *, allow_config_change):
  {body}

sys.modules['fedjax_asr.jobs'] = jobs = types.ModuleType('fedjax_asr.jobs')
for name in ('train', 'converge'):
  sys.modules[f'fedjax_asr.jobs.{{name}}'] = types.SimpleNamespace(run=run)
sys.exit(main.main(sys.argv))
"""


@pytest.fixture
def source(tmp_path):
  path = tmp_path / 'experiment.py'
  path.write_text(_CONFIG)
  return f'--config={path}'


def _run(*arguments):
  return subprocess.run(
    [sys.executable, *arguments], capture_output=True, text=True, timeout=60
  )


def _job(body, *flags):
  return _run('-c', _PROGRAM.format(body=body), *flags)


def test_wrong_flag_ends_with_one_line_before_jax_is_imported(source):
  done = _run(
    '-X', 'importtime', '-m', 'fedjax_asr.main', source, '--config.seed=x'
  )
  imports = [line for line in done.stderr.splitlines() if '|' in line]
  others = [line for line in done.stderr.splitlines() if '|' not in line]
  assert done.returncode == 2
  assert others == ['error: --config.seed=x; want an integer.']
  assert done.stdout == ''
  modules = {line.rpartition('|')[2].strip() for line in imports}
  assert not modules & {'jax', 'librosa', 'matplotlib'}


def test_job_receives_the_command(source):
  body = 'print(config.seed, workdir, allow_config_change)'
  done = _job(body, source, '--config.seed=3', '--allow_config_change')
  assert (done.returncode, done.stdout) == (0, '3 runs/mine True\n')


def test_mistake_found_by_the_job_is_one_line(source):
  body = 'from fedjax_asr import config as c; raise c.UserError("a\\nb")'
  done = _job(body, source)
  assert (done.returncode, done.stderr) == (2, 'error: a b\n')


def test_defect_keeps_its_traceback(source):
  done = _job('raise ValueError("a defect")', source)
  assert done.returncode == 1
  assert 'Traceback' in done.stderr


def test_error_may_have_a_status_of_its_own(source):
  body = (
    'from fedjax_asr import config as c; '
    'raise type("E", (c.UserError,), {"exit_status": 1})("a")'
  )
  done = _job(body, source)
  assert (done.returncode, done.stderr) == (1, 'error: a\n')


def test_job_whose_reader_has_gone_goes_on(source, tmp_path):
  body = (
    'sys.stdin.read(); print("a" * 99_999); print("b", flush=True); '
    f'open({str(tmp_path / "done")!r}, "w").close()'
  )
  with subprocess.Popen(
    [sys.executable, '-c', _PROGRAM.format(body=body), source],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  ) as process:
    assert process.stdout
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(b'', timeout=30)
  assert (process.returncode, errors) == (0, b'')
  assert (tmp_path / 'done').exists()


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1', 'SIGHUP'])
def test_signal_is_one_line_and_the_status_of_a_shell(source, name):
  number = signal.Signals[name]
  body = (
    f'import os; os.kill(os.getpid(), {int(number)}); '
    'from fedjax_asr import interruption; interruption.check()'
  )
  done = _job(body, source)
  assert done.returncode == 128 + number
  assert done.stderr == (
    f'ended by {name}; the same command resumes this run.\n'
  )


def test_signal_that_ended_nothing_is_told_at_the_end(source):
  done = _job('import os; os.kill(os.getpid(), 15); print("done")', source)
  assert (done.returncode, done.stdout) == (143, 'done\n')
  assert done.stderr == 'finished before SIGTERM could end it.\n'


@pytest.mark.parametrize('name', ['SIGINT', 'SIGTERM'])
@pytest.mark.parametrize('seconds', [0.2, 0.7, 1.5])
def test_signal_while_modules_are_imported_is_one_line(
  source, tmp_path, name, seconds
):
  command = [sys.executable, '-m', 'fedjax_asr.main', source]
  command.append(f'--workdir={tmp_path / "run"}')
  with subprocess.Popen(
    command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  ) as process:
    time.sleep(seconds)
    process.send_signal(signal.Signals[name])
    _, errors = process.communicate(timeout=60)
  how = {'SIGINT': 'interrupted', 'SIGTERM': 'ended by SIGTERM'}[name]
  assert errors == f'{how}; the same command resumes this run.\n'
  assert process.returncode == 128 + signal.Signals[name]


def test_signal_that_is_ignored_stays_so(source):
  """As under nohup."""
  program = _PROGRAM.format(body='import os; os.kill(os.getpid(), 1); print(1)')
  program = f'import signal; signal.signal(1, signal.SIG_IGN)\n{program}'
  done = _run('-c', program, source)
  assert (done.returncode, done.stdout) == (0, '1\n')


@pytest.mark.parametrize(
  ('flags', 'goes_on'),
  [([], 'resumes this run'), (['--config.job=converge'], 'starts anew')],
)
def test_interrupt_says_how_to_go_on(source, flags, goes_on):
  body = (
    'print("on", flush=True); import time; '
    'from fedjax_asr import interruption as i; '
    '[(time.sleep(0.1), i.check()) for _ in range(600)]'
  )
  command = [sys.executable, '-c', _PROGRAM.format(body=body), source, *flags]
  with subprocess.Popen(
    command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  ) as process:
    assert process.stdout
    assert process.stdout.readline() == 'on\n'
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
  assert process.returncode == 130
  assert errors == f'interrupted; the same command {goes_on}.\n'


def test_help_shows_the_command():
  done = _run('-m', 'fedjax_asr.main', '--help')
  assert done.returncode == 0
  assert '--config=configs/ds2_fedavg.py' in done.stdout
  assert 'ds1_fedavg ' in done.stdout


@pytest.mark.parametrize('flags', [['--help'], []])
def test_a_reader_who_leaves_gets_no_traceback(flags):
  reading, writing = os.pipe()
  os.close(reading)
  done = subprocess.run(
    [sys.executable, '-m', 'fedjax_asr.main', *flags],
    stdout=writing,
    stderr=subprocess.PIPE,
    text=True,
    timeout=60,
  )
  os.close(writing)
  assert done.returncode == 141
  assert 'Traceback' not in done.stderr
  assert 'Broken pipe' not in done.stderr


def test_names_that_are_not_utf_8_can_be_printed(capsys):
  assert main.main(['fedjax_asr', '--help']) == 0
  capsys.readouterr()
  print('speaker \udcff')
  assert capsys.readouterr().out == 'speaker \\udcff\n'


def test_help_of_a_word_lists_the_fields_with_it(capsys, source):
  assert main.main(['fedjax_asr', '--help=Batch_Size', source]) == 0
  lines = capsys.readouterr().out.splitlines()
  at = lines.index('  --config.federated.client.batch_size=8')
  assert lines[at - 1].startswith('config.federated.client: Local training')
  assert lines[at + 1].strip() == 'an integer >= 1'
  fields = [line for line in lines if line.startswith('  --config.')]
  assert all('batch_size' in line for line in fields)
  assert len(fields) >= 3


def test_help_has_values_of_the_config_and_what_is_said_of_a_field(capsys):
  flags = ['--config=ds2_fedavg:smoke', '--help=federated.num_clients']
  assert main.main(['fedjax_asr', *flags]) == 0
  out = capsys.readouterr().out
  assert 'Clients of every partition but speaker.' in out
  assert main.main(['fedjax_asr', flags[0], '--help=num_rounds']) == 0
  assert '--config.federated.num_rounds=6\n' in capsys.readouterr().out


def test_help_shows_every_field_and_says_how_to_search(capsys):
  assert main.main(['fedjax_asr', '--help=config']) == 0
  shown = capsys.readouterr().out
  for path, _, _, _ in config.walk(config.Config()):
    assert f'  --{path}=' in shown
  assert main.main(['fedjax_asr', '--help']) == 0
  assert '--help=WORD' in capsys.readouterr().out


def test_help_of_an_unknown_word_is_one_line(capsys):
  assert main.main(['fedjax_asr', '--help=cohortsize']) == 2
  out, err = capsys.readouterr()
  assert out == ''
  assert err.startswith('error: --help=cohortsize: no field has that')
  assert 'config.federated.cohort_size' in err
  assert err.count('\n') == 1


def test_version_is_that_of_the_package(capsys):
  assert main.main(['fedjax_asr', '--version']) == 0
  assert capsys.readouterr().out.startswith('fedjax_asr 0.')
