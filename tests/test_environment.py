"""What is recorded of that with which a run is computed."""

import json
import os
import subprocess
import sys

import pytest

from fedjax_asr import environment


def test_cores_are_those_that_the_process_may_use():
  program = (
    'import os, json; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n'
    'from fedjax_asr import environment\n'
    'print(json.dumps(environment.versions()))'
  )
  done = subprocess.run(
    [sys.executable, '-c', program],
    capture_output=True,
    text=True,
    check=True,
    env=os.environ | {'XLA_FLAGS': '--xla_cpu_enable_fast_math=false'},
  )
  record = json.loads(done.stdout.splitlines()[-1])
  assert record['cpu_cores'] == 1
  flags = record['environment']['XLA_FLAGS']
  assert flags == '--xla_cpu_enable_fast_math=false'


@pytest.mark.parametrize(
  ('records', 'noted'),
  [
    ([], False),
    ([{'jax': '1'}], False),  # Of an earlier version.
    ([{'cpu_cores': 9999}, environment.versions()], False),
    ([environment.versions(), {'cpu_cores': 9999}], True),
  ],
)
def test_other_number_of_cores_is_noted(records, noted):
  note = environment.other_cores(records)
  assert bool(note) == noted
  assert noted == ('9999 before' in note)


@pytest.mark.parametrize('content', [None, '[{', '{}'])
def test_damaged_records_are_none(tmp_path, content):
  file = tmp_path / 'versions.json'
  if content:
    file.write_text(content)
  assert environment.read(file) == []
