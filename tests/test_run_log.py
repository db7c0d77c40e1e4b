import json
import resource
import struct

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from fedjax_asr import config, run_directory, run_error, run_log


@pytest.fixture
def run(tmp_path):
  with run_directory.open_run(tmp_path, config.Config()) as opened:
    yield opened


def _write(run, rounds, resume_after=None):
  with run_log.MetricsLog(run, resume_after) as log:
    for round_index in rounds:
      log.write(round_index, {'train/loss': round_index / 2})


def _events(run):
  """Events are records: length, its checksum, the message, its checksum."""
  for path in sorted(run.tensorboard.iterdir()):
    data = path.read_bytes()
    while data:
      (size,) = struct.unpack('<Q', data[:8])
      yield event_pb2.Event.FromString(data[12 : 12 + size])
      data = data[16 + size :]


def test_line_is_one_json_object_with_round_first(run):
  with run_log.MetricsLog(run, None) as log:
    log.write(3, {'train/loss': np.float32(0.5), 'train/num_infeasible': 2})
    # Read before the log is closed: a killed run keeps its lines.
    text = run.metrics.read_text()
  assert text == '{"round": 3, "train/loss": 0.5, "train/num_infeasible": 2}\n'


def test_nan_becomes_null(run):
  with run_log.MetricsLog(run, None) as log:
    log.write(1, {'a': float('nan'), 'b': np.float32('inf'), 'c': None})
  want = {'round': 1, 'a': None, 'b': None, 'c': None}
  assert json.loads(run.metrics.read_text()) == want


def test_resumed_file_equals_an_uninterrupted_one(run):
  _write(run, range(1, 7))
  whole = run.metrics.read_bytes()
  with run.metrics.open('a') as file:
    file.write('{"round": 7, "train/lo')
  _write(run, range(5, 7), resume_after=4)
  assert run.metrics.read_bytes() == whole


def test_run_without_a_checkpoint_starts_over(run):
  _write(run, [0, 1, 2])
  _write(run, [])
  assert run.metrics.read_bytes() == b''


def test_read_leaves_out_a_cut_off_last_line(run):
  _write(run, [1, 2])
  text = run.metrics.read_text()
  for length in range(len(text)):
    run.metrics.write_text(text[:length])
    rounds = [record['round'] for record in run_log.read_metrics(run.metrics)]
    whole_lines = [1, 2][: text[: length + 1].count('}')]
    assert rounds in (whole_lines, whole_lines[:-1])


@pytest.mark.parametrize(
  'line', ['nonsense', '[]', '{"a": 1}', '{"round": "x"}']
)
def test_damaged_line_before_the_last_is_named(run, line):
  run.metrics.write_text('{"round": 1}\n' + line + '\n{"round": 2}\n')
  with pytest.raises(run_error.RunError, match=r'metrics\.jsonl, line 2: '):
    run_log.read_metrics(run.metrics)


def test_missing_metrics_are_named(tmp_path):
  with pytest.raises(run_error.RunError, match=r'want the metrics\.jsonl'):
    run_log.read_metrics(tmp_path / 'metrics.jsonl')


def test_tensorboard_has_the_same_scalars(run):
  _write(run, [1, 2])
  scalars = [
    (event.step, value.tag, value.simple_value)
    for event in _events(run)
    for value in event.summary.value
  ]
  assert scalars == [(1, 'train/loss', 0.5), (2, 'train/loss', 1.0)]


def test_tensorboard_is_told_to_forget_the_rounds_after_a_resume(run):
  _write(run, [1, 2, 3])
  _write(run, [3], resume_after=2)
  starts = [
    event.step
    for event in _events(run)
    if event.session_log.status == event_pb2.SessionLog.START
  ]
  assert starts[-1] == 3


def test_full_disk_is_one_error_and_closes(run):
  _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  log = run_log.MetricsLog(run, None)
  log.write(1, {'train/loss': 0.5})
  # Stands for a full disk.
  resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
  try:
    with pytest.raises(run_error.RunError, match='the same command'):
      log.write(2, {'train/loss': 0.5})
    log.close()
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
  assert [line['round'] for line in run_log.read_metrics(run.metrics)] == [1]
