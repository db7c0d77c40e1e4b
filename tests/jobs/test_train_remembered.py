"""Runs whose clients keep something, killed at every boundary of a round."""

import json
import re
import shutil
import signal

import numpy as np
import pytest
import tiny_run

from fedjax_asr.federated import client_rows

FLAGS = ['--config.federated.algorithm=ditto']
# Kills itself at a moment of a round.
_KILLED = """
import os, pathlib, signal, sys
from fedjax_asr import checkpoint, main
from fedjax_asr.federated import client_memory, client_rows, device_memory

moment, at = sys.argv.pop(1), int(sys.argv.pop(1))
rows = client_rows.ClientRows
memories = client_memory.ClientMemories, device_memory.DeviceMemories
save, rename = checkpoint.Checkpoints.save, os.rename


def die():
  os.kill(os.getpid(), signal.SIGKILL)


def dies(owner, name, wanted, is_before=False):
  function = getattr(owner, name)

  def killed(self, *arguments, **named):
    if is_before and wanted(*arguments):
      die()
    result = function(self, *arguments, **named)
    if wanted(*arguments):
      die()
    return result

  setattr(owner, name, killed)


def saved(self, index, *rest, **named):
  save(self, index, *rest, **named)
  if index <= at:
    self.wait()
  if moment == 'saved' and index == at:
    die()


def renamed(source, target, **named):
  if moment == 'checkpoint' and pathlib.Path(target).name == str(at):
    die()
  rename(source, target, **named)


checkpoint.Checkpoints.save = saved
os.rename = renamed
match moment:
  case 'half a row':
    dies(pathlib.Path, 'replace', lambda to: to.name.endswith(f'.{at}'), True)
  case 'a row':
    dies(rows, 'write', lambda client, index, row: index == at)
  case 'rows':
    for each in memories:
      dies(each, 'scatter', lambda index, *_: index == at)
  case 'synced':
    for each in memories:
      dies(each, 'sync', lambda index: index == at)
  case 'pruned':
    dies(rows, '_drop', lambda client, index: index == at)
  case 'discarded':
    dies(pathlib.Path, 'unlink', lambda *_: True)
sys.exit(main.main(sys.argv))
"""


def memories(workdir, num_bytes):
  """Everybody's row as of each round that was saved."""
  return {
    index: [
      None if row is None else row.tobytes()
      for row in map(
        client_rows.ClientRows(
          workdir / 'client_memory', num_bytes, int(index)
        ).read,
        range(4),
      )
    ]
    for index in tiny_run.checkpoints(workdir)
  }


def assert_same(got, want):
  tiny_run.assert_same_outcome(got, want)
  described = json.loads((want / 'client_memory/rows.json').read_text())
  assert len(described['clients']) == 4
  sizes = {
    path.stat().st_size for path in (want / 'client_memory').glob('*.[0-9]')
  }
  (num_bytes,) = sizes
  ours, theirs = memories(got, num_bytes), memories(want, num_bytes)
  assert ours == theirs
  assert all(any(rows) for rows in theirs.values())


# Where a run keeps its rows while it lasts may change from start to start.
_EACH = [
  ('disk', 'rows', 1, 0),
  ('disk', 'half a row', 3, 0),
  ('disk', 'a row', 3, 2),
  ('disk', 'checkpoint', 4, 2),
  ('disk', 'discarded', 0, 2),
  ('disk', 'synced', 4, 2),
  ('disk', 'saved', 4, 2),
  ('host', 'rows', 5, 4),
  ('device', 'rows', 5, 4),
  ('device', 'half a row', 5, 4),
  ('host', 'a row', 6, 4),
  ('device', 'synced', 6, 4),
  ('host', 'checkpoint', 6, 4),
]
_SOME = [
  ('disk', 'a row', 3, 0),
  ('device', 'checkpoint', 4, 2),
  ('disk', 'saved', 4, 2),
]


@pytest.mark.parametrize(
  'kills',
  [_SOME, pytest.param(_EACH, marks=pytest.mark.slow)],
  ids=['some', 'each'],
)
def test_killed_run_ends_with_the_same_numbers_and_memories(
  remembered, source, tmp_path, environment, kills
):
  arguments = [source, f'--workdir={tmp_path / "run"}', *FLAGS]
  for where, moment, at, first in kills:
    done = tiny_run.start(
      moment,
      str(at),
      *arguments,
      f'--config.federated.memory.where={where}',
      program=_KILLED,
      **environment,
    )
    assert done.returncode == -signal.SIGKILL, (moment, at, done.stderr)
    assert f'from round {first} of 6' in done.stdout, (moment, at)
  done = tiny_run.start(*arguments, **environment)
  assert done.returncode == 0, done.stderr
  assert_same(tmp_path / 'run', remembered)


def test_a_run_on_the_devices_ends_with_the_same_numbers_and_memories(
  remembered, source, tmp_path, environment
):
  done = tiny_run.start(
    source,
    f'--workdir={tmp_path / "run"}',
    *FLAGS,
    '--config.federated.memory.where=device',
    **environment,
  )
  assert done.returncode == 0, done.stderr
  assert re.search(r'each client keeps .*, on the devices; all 4', done.stdout)
  for program in ('look_up', 'round_fn', 'update', '_rows'):
    compiled = re.findall(rf'Compiling jit\({program}\)', done.stderr)
    assert len(compiled) == 1, program
  assert_same(tmp_path / 'run', remembered)


def test_rows_go_with_the_checkpoints_that_are_kept(remembered):
  """None that is left over, none of a client that was not drawn."""
  kept = {}
  for line in (remembered / 'clients.jsonl').read_text().splitlines():
    record = json.loads(line)
    for name in record['client']:
      kept.setdefault(name, []).append(record['round'])
  rounds = sorted(map(int, tiny_run.checkpoints(remembered)))
  names = json.loads((remembered / 'client_memory/rows.json').read_text())[
    'clients'
  ]
  wanted = {
    f'{names.index(name)}.{max(earlier)}'
    for name, drawn in kept.items()
    for index in rounds
    if (earlier := [each for each in drawn if each <= index])
  }
  found = {path.name for path in (remembered / 'client_memory').iterdir()}
  assert found == wanted | {'rows.json'}


def test_a_personal_model_is_another_than_the_servers(remembered):
  state = tiny_run.checkpoints(remembered)['6']
  described = json.loads((remembered / 'client_memory/rows.json').read_text())
  (name,) = {
    path for path in described['leaves'] if path.endswith('output.bias')
  }
  assert name == 'algorithm.params.output.bias'
  assert np.isfinite(state['params.output.bias']).all()
  (first, *_) = (remembered / 'client_memory').glob('*.6')
  row = np.fromfile(first, np.float32)
  assert np.isfinite(row).all()


def test_rows_of_another_population_are_refused(main, remembered, tmp_path):
  copied = shutil.copytree(remembered, tmp_path / 'copied')
  file = copied / 'client_memory/rows.json'
  values = json.loads(file.read_text())
  values['clients'][0] = 'somebody else'
  file.write_text(json.dumps(values))
  status, _, errors = main(
    copied, *FLAGS, '--config.federated.num_rounds=7', '--allow_config_change'
  )
  assert status == 2
  assert errors == [
    f'error: {copied}/client_memory holds what clients of another population '
    'kept; want those of the run, or another --workdir.'
  ]


def test_rows_of_another_algorithm_are_refused(main, remembered, tmp_path):
  copied = shutil.copytree(remembered, tmp_path / 'copied')
  status, _, errors = main(
    copied,
    '--config.federated.algorithm=fedbn',
    '--config.federated.num_rounds=7',
    '--allow_config_change',
  )
  assert status == 2
  assert errors == [
    f'error: {copied}/client_memory holds what clients of another algorithm or '
    'model kept; want those of the run, or another --workdir.'
  ]


def test_a_place_for_what_nobody_keeps_is_refused(main, tmp_path):
  status, _, errors = main(
    tmp_path / 'run', '--config.federated.memory.where=disk'
  )
  assert status == 2
  assert errors == [
    "error: config.federated.memory.where='disk'; want auto: clients keep "
    'nothing with federated.algorithm=fedavg.'
  ]


def test_rows_that_are_gone_are_missed(main, remembered, tmp_path):
  copied = shutil.copytree(remembered, tmp_path / 'copied')
  shutil.rmtree(copied / 'checkpoints/6')
  shutil.rmtree(copied / 'client_memory')
  status, _, errors = main(copied, *FLAGS)
  assert status == 2
  assert errors == [
    f'error: {copied}/client_memory/rows.json: No such file or directory.'
  ]


def test_clients_may_begin_to_keep_something(main, finished, tmp_path):
  copied = shutil.copytree(finished[0], tmp_path / 'copied')
  status, output, errors = main(
    copied,
    *FLAGS,
    '--config.federated.num_rounds=7',
    '--allow_config_change',
  )
  assert (status, errors) == (0, [])
  assert re.search(
    r'each client keeps 0.0\d+ MB from round to round, in memory; all 4 of',
    output,
  )
  names = {path.name for path in (copied / 'client_memory').iterdir()}
  assert len(names) == 3
  assert all(re.fullmatch(r'\d\.7|rows\.json', name) for name in names)


def test_a_broken_client_keeps_what_it_had(main, remembered, tmp_path):
  """Here that is everybody, since all their own models overflow."""
  copied = shutil.copytree(remembered, tmp_path / 'copied')
  before = {path.name for path in (copied / 'client_memory').iterdir()}
  status, _, errors = main(
    copied,
    *FLAGS,
    '--config.federated.num_rounds=7',
    '--config.federated.ditto.learning_rate=1e30',
    '--allow_config_change',
  )
  assert status == 1
  assert 'round 7 diverged' in errors[0]
  after = {path.name for path in (copied / 'client_memory').iterdir()}
  assert after == before
