"""A run whose clients are slow, late or gone."""

import os
import shutil
import signal

import pytest
import tiny_run

from fedjax_asr import run_log
from fedjax_asr.figures import comparison

SYSTEMS = (
  '--config.federated.systems.speeds=log_normal',
  '--config.federated.systems.dropout=0.3',
  '--config.federated.systems.num_drawn=3',
  '--config.federated.systems.deadline=2',
  '--config.federated.systems.late_work=partial',
)


FEDBUFF = (
  '--config.federated.algorithm=fedbuff',
  '--config.federated.fedbuff.concurrency=4',
  '--config.federated.systems.speeds=log_normal',
  '--config.federated.systems.speed_spread=1.0',
)


SECURE = (
  '--config.model.ds2.norm=layer',
  '--config.federated.cohort_size=4',
  '--config.federated.weighting=uniform',
  '--config.federated.systems.speeds=log_normal',
  '--config.federated.systems.dropout=0.4',
  '--config.federated.privacy.clip_norm=1.0',
  '--config.federated.privacy.mechanism=distributed',
  '--config.federated.privacy.central_noise_multiplier=0.01',
  '--config.federated.secure_aggregation.enabled=true',
)


def _check_secure(lines):
  for line in lines:
    dropped = line['secure_aggregation/num_dropped']
    assert dropped == line['train/num_lost']
    # Three of four have to send.
    is_abandoned = dropped > 1
    assert line['secure_aggregation/abandoned'] == is_abandoned
    assert line['train/num_clients'] == (0 if is_abandoned else 4 - dropped)
    assert (line['train/delta_norm'] == 0) == is_abandoned
    assert (line['train/loss'] is None) == is_abandoned
  assert {line['secure_aggregation/abandoned'] for line in lines} == {0, 1}


def _check_synchronous(lines):
  for line in lines:
    assert 0 < line['virtual_seconds'] <= 2
    assert line['train/num_lost'] + line['train/num_clients'] <= 3
  assert {line['train/num_clients'] for line in lines} >= {1, 2}


def _check_buffered(lines):
  assert {line['train/num_clients'] for line in lines} == {2}
  assert {line['train/staleness'] for line in lines} > {0}
  assert lines[-1]['train/loss'] < lines[0]['train/loss']


@pytest.mark.parametrize(
  ('flags', 'check'),
  [
    (SYSTEMS, _check_synchronous),
    pytest.param(SECURE, _check_secure, marks=pytest.mark.slow),
    pytest.param(FEDBUFF, _check_buffered, marks=pytest.mark.slow),
  ],
)
def test_a_run_on_the_clock_that_is_resumed_ends_as_if_it_never_was(
  main, tmp_path, monkeypatch, flags, check
):
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  status, output, errors = main(whole, *flags)
  assert (status, errors) == (0, [])
  write = run_log.MetricsLog.write

  def terminated_write(self, index, record):
    write(self, index, record)
    if index == 3:
      os.kill(os.getpid(), signal.SIGTERM)

  with monkeypatch.context() as patch:
    patch.setattr(run_log.MetricsLog, 'write', terminated_write)
    status, _, _ = main(parts, *flags)
  assert status == 128 + signal.SIGTERM
  status, output, _ = main(parts, *flags)
  assert status == 0
  assert 'from round 3 of 6' in output
  # A round saved for the signal is one more than the other has.
  shutil.rmtree(parts / 'checkpoints' / '3', ignore_errors=True)
  tiny_run.assert_same_outcome(parts, whole)
  lines = tiny_run.metrics(whole)
  time = 0.0
  for line in lines:
    time += line['virtual_seconds']
    assert abs(line['virtual_time'] - time) < 1e-9
  check(lines)
  times, _ = comparison.series(whole, 'eval/wer', comparison.Axis.VIRTUAL_TIME)
  assert times == [lines[index]['virtual_time'] for index in (1, 3, 5)]


def test_a_trace_of_others_is_one_line_before_anything_is_written(
  main, tmp_path
):
  trace = tmp_path / 'trace.csv'
  trace.write_text('client,seconds_per_step\nnobody,1\n')
  status, _, errors = main(
    tmp_path / 'run',
    '--config.federated.systems.speeds=trace',
    f'--config.federated.systems.trace={trace}',
  )
  assert status == 2
  (error,) = errors
  assert error.startswith('error: config.federated.systems.trace=')
  assert "has unknown client 'nobody'; want" in error
  assert not (tmp_path / 'run' / 'metrics.jsonl').exists()
