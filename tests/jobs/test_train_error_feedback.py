"""A run whose clients keep what their code loses, killed on the way."""

import json
import re
import signal

import numpy as np
import pytest
import tiny_run

FLAGS = [
  '--config.federated.compression.method=top_k',
  '--config.federated.compression.error_feedback=true',
]
# Kills itself once the rows of a round are there and its checkpoint is not.
_KILLED = """
import os, signal, sys
from fedjax_asr import main
from fedjax_asr.federated import client_memory

scatter = client_memory.ClientMemories.scatter


def killed(self, index, *arguments):
  scatter(self, index, *arguments)
  if index == 5:
    os.kill(os.getpid(), signal.SIGKILL)


client_memory.ClientMemories.scatter = killed
sys.exit(main.main(sys.argv))
"""


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_numbers_rows_and_totals(
  source, tmp_path, environment
):
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  done = tiny_run.start(source, f'--workdir={whole}', *FLAGS, **environment)
  assert done.returncode == 0, done.stderr
  arguments = [source, f'--workdir={killed}', *FLAGS]
  done = tiny_run.start(*arguments, program=_KILLED, **environment)
  assert done.returncode == -signal.SIGKILL, done.stderr
  done = tiny_run.start(*arguments, **environment)
  assert done.returncode == 0, done.stderr
  # Of 4, unless that checkpoint was still being written.
  assert re.search(r'from round [24] of 6', done.stdout)
  tiny_run.assert_same_outcome(killed, whole)
  rows = sorted((whole / 'client_memory').glob('*.[0-9]'))
  assert rows
  for row in rows:
    ours = killed / 'client_memory' / row.name
    assert ours.read_bytes() == row.read_bytes()
    assert np.fromfile(row, np.float32).any()
  lines = tiny_run.metrics(whole)
  each = [line['communication/bytes_up'] for line in lines]
  totals = [line['communication/total_bytes_up'] for line in lines]
  assert totals == np.cumsum(each).tolist()
  described = json.loads((whole / 'client_memory/rows.json').read_text())
  assert all('channel' in name for name in described['leaves'])
