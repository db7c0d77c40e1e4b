"""Runs that diverge, go back and end well."""

import json
import re
import signal

import numpy as np
import pytest
import tiny_run

from fedjax_asr.jobs import round_loop

RECOVERS = ('--config.recovery.max_rollbacks=1',)
# Round 5 diverges unless the step is smaller. Kills itself where it is told.
_POISONED = """
import os, pathlib, signal, sys
import numpy as np
from fedjax_asr import checkpoint, main, run_log, run_rollbacks
from fedjax_asr.jobs import round_loop

moment = sys.argv.pop(1)
trained = round_loop._round


def poisoned(loop, index, *rest):
  state, outcome = trained(loop, index, *rest)
  if index == 5 and loop.recovery.scale == 1:
    metrics = outcome.metrics._replace(is_broken=np.True_)
    outcome = outcome._replace(metrics=metrics)
  return state, outcome


def dies_after(owner, name, wanted=lambda *_: True):
  function = getattr(owner, name)

  def killed(*arguments, **named):
    result = function(*arguments, **named)
    if wanted(*arguments):
      os.kill(os.getpid(), signal.SIGKILL)
    return result

  setattr(owner, name, killed)


round_loop._round = poisoned
match moment:
  case 'dropped':
    dies_after(checkpoint.Checkpoints, 'drop_after')
  case 'recorded':
    dies_after(run_rollbacks, 'write')
  case 'trained again':
    dies_after(
      run_log.MetricsLog,
      'write',
      lambda log, index, record: index == 3 and record['recovery/scale'] < 1,
    )
sys.exit(main.main(sys.argv))
"""


@pytest.fixture
def poison(monkeypatch):
  """`poison(round, above)`: it diverges while the scale is above.

  Or only its loss is another.
  """
  trained = round_loop._round

  def poison(poisoned, above, loss=None):
    def diverging(loop, index, *rest):
      state, outcome = trained(loop, index, *rest)
      if (
        index == poisoned
        and loop.recovery.metrics().get('recovery/scale', 0) > above
      ):
        bad = {'is_broken': np.True_} if loss is None else {'loss': loss}
        outcome = outcome._replace(metrics=outcome.metrics._replace(**bad))
      return state, outcome

    monkeypatch.setattr(round_loop, '_round', diverging)

  return poison


@pytest.fixture
def changed_at_2(main, tmp_path):
  """`changed(flags, then)`: of a run that was told other rates by its user."""

  def changed(flags, then):
    path = tmp_path / 'by_hand'
    assert main(path, *flags, '--config.federated.num_rounds=2')[0] == 0
    done = main(path, *flags, then, '--allow_config_change')
    assert done[0] == 0, done
    return path

  return changed


def _rollbacks(workdir):
  return json.loads((workdir / 'rollbacks.json').read_text())


def _trained(workdir):
  """Metrics and checkpoints, for comparison; but not the rollbacks."""
  lines = [
    {
      name: value
      for name, value in line.items()
      if not name.startswith('recovery/')
    }
    for line in tiny_run.metrics(workdir)
  ]
  saved = {
    (round_index, name): np.asarray(leaf).tobytes()
    for round_index, leaves in tiny_run.checkpoints(workdir).items()
    for name, leaf in leaves.items()
  }
  folder = workdir / 'client_memory'
  rows = {
    path.name: path.read_bytes()
    for path in (folder.iterdir() if folder.exists() else ())
  }
  return lines, saved, rows


def test_a_run_that_need_not_go_back_is_the_same_to_the_bit(
  main, finished, tmp_path
):
  status, _, errors = main(tmp_path, '--config.recovery.max_rollbacks=2')
  assert (status, errors) == (0, [])
  lines = tiny_run.metrics(tmp_path)
  assert {line['recovery/scale'] for line in lines} == {1}
  assert {line['recovery/num_rollbacks'] for line in lines} == {0}
  assert _trained(tmp_path) == _trained(finished[0])
  assert not (tmp_path / 'rollbacks.json').exists()


def test_an_absurd_rate_ends_as_the_rate_it_comes_to(main, finished, tmp_path):
  """From the start of the run: it diverges before anything is saved."""
  status, output, errors = main(
    tmp_path,
    f'--config.federated.server.learning_rate={0.01 * 2.0**100}',
    *RECOVERS,
    f'--config.recovery.factor={2.0**-100}',
  )
  assert (status, errors) == (0, [])
  assert re.search(r'round 2 diverged: .*; back to round 0, with', output)
  assert 'times the configured one (rollback 1 of 1)' in output
  (rollback,) = _rollbacks(tmp_path)
  assert (rollback['round'], rollback['scale']) == (0, 2.0**-100)
  last = tiny_run.metrics(tmp_path)[-1]
  assert last['recovery/num_rollbacks'] == 1
  assert last['recovery/scale'] == 2.0**-100
  assert _trained(tmp_path) == _trained(finished[0])


@pytest.mark.slow
def test_a_rollback_is_what_a_user_would_do_by_hand(
  main, poison, changed_at_2, tmp_path
):
  """To go on from round 2 with half the rate; with what clients keep."""
  poison(5, above=0.5)
  flags = ('--config.federated.algorithm=ditto',)
  path = tmp_path / 'recovered'
  status, output, errors = main(path, *flags, *RECOVERS)
  assert (status, errors) == (0, [])
  # Round 4 was saved, but what the loss of round 5 is of is not trusted.
  assert re.search(
    r'round 5 diverged: .*; back to round 2, with a step of 0\.5 times', output
  )
  scales = [line['recovery/scale'] for line in tiny_run.metrics(path)]
  assert scales == [1, 1, 0.5, 0.5, 0.5, 0.5]
  assert (path / 'client_memory').exists()
  half = '--config.federated.server.learning_rate=0.005'
  assert _trained(path) == _trained(changed_at_2(flags, half))


SCAFFOLD = '--config.federated.algorithm=scaffold'
# What of the step is smaller: the server's rate, or the clients', of which
# their control variates are made.
SMALLER = {
  'server': ((SCAFFOLD,), '--config.federated.server.learning_rate=0.005'),
  'clients': (
    (
      SCAFFOLD,
      '--config.federated.server.optimizer=sgd',
      '--config.federated.server.learning_rate=1.0',
      '--config.federated.client.learning_rate=0.02',
    ),
    '--config.federated.client.learning_rate=0.01',
  ),
}


@pytest.mark.slow
@pytest.mark.parametrize('whose', SMALLER)
def test_control_variates_go_back_with_the_parameters(
  main, poison, changed_at_2, tmp_path, whose
):
  flags, half = SMALLER[whose]
  poison(5, above=0.5)
  path = tmp_path / 'recovered'
  status, output, errors = main(path, *flags, *RECOVERS)
  assert (status, errors) == (0, [])
  assert 'back to round 2, with a step of 0.5 times' in output
  lines, saved, rows = _trained(path)
  # Both sides keep something, and it moved after the round gone back to.
  variates = {
    place: values for place, values in saved.items() if 'memory' in place[1]
  }
  assert any(any(values) for values in variates.values())
  assert any(
    variates['6', name] != values
    for (index, name), values in variates.items()
    if index == '4'
  )
  assert rows
  assert all(any(values) for values in rows.values())
  assert (lines, saved, rows) == _trained(changed_at_2(flags, half))


def test_rollbacks_are_bounded(main, poison, tmp_path):
  poison(5, above=0)
  status, output, errors = main(tmp_path, '--config.recovery.max_rollbacks=2')
  assert status == 1
  assert output.count('; back to round 2') == 2
  assert 'round 5 diverged' in errors[0]
  assert '2 rollback(s), down to 0.25 times the step, did not help' in errors[0]
  assert max(map(int, tiny_run.checkpoints(tmp_path))) == 4
  # A resume knows that they were used.
  status, output, errors = main(tmp_path, '--config.recovery.max_rollbacks=2')
  assert status == 1
  assert 'back to round' not in output
  assert '2 rollback(s) behind it, the last of round 5 to round 2' in output


def test_a_round_that_diverges_at_once_makes_the_run_go_further_back(
  main, poison, tmp_path
):
  poison(3, above=0.3)
  status, _, errors = main(tmp_path, '--config.recovery.max_rollbacks=2')
  assert (status, errors) == (0, [])
  assert [each['round'] for each in _rollbacks(tmp_path)] == [0, 0]


def test_a_loss_that_grows_is_a_divergence_where_a_factor_says_so(
  main, poison, tmp_path
):
  poison(5, above=0.5, loss=1300)
  factor = '--config.recovery.loss_factor=20'
  status, output, errors = main(tmp_path / 'run', *RECOVERS, factor)
  assert (status, errors) == (0, [])
  assert re.search(
    r'round 5 diverged: the loss 1300\.000 is over 20 times \d\d\.\d+, the '
    r'lowest mean of \d rounds; back to round 2',
    output,
  )
  assert 'warning' not in output


@pytest.mark.slow
def test_a_run_killed_around_a_rollback_ends_as_if_it_never_was(
  main, poison, source, tmp_path, environment
):
  killed = tmp_path / 'killed'

  def start(moment):
    done = tiny_run.start(
      moment,
      source,
      f'--workdir={killed}',
      *RECOVERS,
      program=_POISONED,
      **environment,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout

  start('dropped')
  assert tiny_run.checkpoints(killed).keys() == {'2'}
  assert not (killed / 'rollbacks.json').exists()
  assert 'from round 2 of 6' in start('recorded')
  assert [each['round'] for each in _rollbacks(killed)] == [2]
  assert '1 rollback(s) behind it' in start('trained again')
  poison(5, above=0.5)
  assert main(killed, *RECOVERS)[0] == 0
  never = tmp_path / 'never'
  assert main(never, *RECOVERS)[0] == 0
  assert _trained(killed) == _trained(never)
  assert _rollbacks(killed) == _rollbacks(never)
