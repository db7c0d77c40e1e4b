"""A run with noise: its secret, its books, and how it goes on."""

import json
import os
import re
import shutil
import signal
import stat

import numpy as np
import pytest
import tiny_run

from fedjax_asr import run_log
from fedjax_asr.federated import accountant

# What `tiny_run` has that noise does not go with.
_BASE = (
  '--config.features.normalization=utterance',
  '--config.model.ds2.norm=layer',
  '--config.federated.weighting=uniform',
  '--config.federated.privacy.clip_norm=0.1',
)
_POISSON = (*_BASE, '--config.federated.sampling=poisson')
_NOISE = '--config.federated.privacy.central_noise_multiplier='
_INDEPENDENT = (*_POISSON, f'{_NOISE}1.0')
_KINDS = {
  'independent': _INDEPENDENT,
  'banded': (
    *_INDEPENDENT,
    '--config.federated.cohort_size=1',
    '--config.federated.privacy.mechanism=banded',
    '--config.federated.privacy.num_bands=2',
  ),
  'adaptive': (
    *_INDEPENDENT,
    '--config.federated.privacy.clipping=adaptive',
    '--config.federated.privacy.count_noise=1.0',
  ),
}


@pytest.fixture(scope='module', autouse=True)
def quick(cached_throughout):
  del cached_throughout


@pytest.fixture(scope='module')
def trained(source, tmp_path_factory):
  """`trained(kind)`: the directory of a run of these flags, trained once."""
  from fedjax_asr import main as main_module

  found = {}

  def run(kind):
    if kind not in found:
      found[kind] = tmp_path_factory.mktemp(kind) / 'run'
      flags = [f'--workdir={found[kind]}', *_KINDS[kind]]
      assert main_module.main(['fedjax_asr', source, *flags]) == 0
    return found[kind]

  return run


@pytest.fixture
def private(trained, tmp_path):
  """A copy of the run of independent noise."""
  return shutil.copytree(trained('independent'), tmp_path / 'private')


def _without_last(path):
  """As a run that was killed before its last checkpoint."""
  shutil.rmtree(path / 'checkpoints' / '6')
  return path


def _assert_same(got, want):
  """Bit for bit: metrics, epsilons among them, and checkpoints."""
  assert tiny_run.metrics(got) == tiny_run.metrics(want)
  ours, theirs = tiny_run.checkpoints(got), tiny_run.checkpoints(want)
  assert ours.keys() == theirs.keys()
  for round_index, leaves in theirs.items():
    for name, leaf in leaves.items():
      own = np.asarray(ours[round_index][name])
      assert own.tobytes() == np.asarray(leaf).tobytes(), name


@pytest.mark.parametrize(
  'kind',
  [
    'independent',
    pytest.param('banded', marks=pytest.mark.slow),
    pytest.param('adaptive', marks=pytest.mark.slow),
  ],
)
def test_a_killed_run_goes_on_with_the_noise_it_would_have_had(
  main, trained, tmp_path, kind
):
  whole = trained(kind)
  killed = _without_last(shutil.copytree(whole, tmp_path / 'killed'))
  status, output, errors = main(killed, *_KINDS[kind])
  assert (status, errors) == (0, [])
  assert 'from round 4 of 6' in output
  _assert_same(killed, whole)


@pytest.mark.slow
def test_a_terminated_run_keeps_its_secret(main, tmp_path, monkeypatch):
  write = run_log.MetricsLog.write

  def terminated_write(self, index, record):
    write(self, index, record)
    if index == 1:
      os.kill(os.getpid(), signal.SIGTERM)

  path = tmp_path / 'run'
  with monkeypatch.context() as patch:
    patch.setattr(run_log.MetricsLog, 'write', terminated_write)
    status, _, _ = main(path, *_INDEPENDENT)
  assert status == 143
  file = path / 'noise_seed.secret'
  kept = file.read_bytes()
  status, _, errors = main(path, *_INDEPENDENT)
  assert (status, errors) == (0, [])
  assert file.read_bytes() == kept
  assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_no_other_file_has_the_secret(trained):
  path = trained('independent')
  words = json.loads((path / 'noise_seed.secret').read_text())
  raw = [word.to_bytes(4, 'little') for word in words]
  assert json.loads((path / 'config.json').read_text())
  searched = 0
  for file in path.rglob('*'):
    if not file.is_file() or file.name == 'noise_seed.secret':
      continue
    content = file.read_bytes()
    searched += 1
    for word in words:
      for text in (str(word), f'{word:x}'):
        pattern = rb'(?<![0-9a-f])' + text.encode() + rb'(?![0-9a-f])'
        assert not (len(text) > 5 and re.search(pattern, content)), file
    assert b''.join(raw) not in content, file
  assert searched > 10


def test_without_its_secret_a_run_does_not_go_on(main, private):
  _without_last(private)
  (private / 'noise_seed.secret').unlink()
  before = sorted(private.rglob('*'))
  status, _, errors = main(private, *_INDEPENDENT)
  assert status == 2
  (error,) = errors
  assert 'noise_seed.secret is gone' in error
  assert sorted(private.rglob('*')) == before


def test_a_damaged_secret_is_named(main, private):
  _without_last(private)
  (private / 'noise_seed.secret').write_text('[1, -2]\n')
  status, _, errors = main(private, *_INDEPENDENT)
  assert status == 2
  (error,) = errors
  assert 'noise_seed.secret is damaged; want two numbers' in error


@pytest.mark.parametrize(
  'flags',
  [
    (*_INDEPENDENT, '--config.federated.client.learning_rate=0.2'),
    (*_POISSON, f'{_NOISE}2.0'),
    _POISSON,
  ],
  ids=['rate', 'noise', 'no noise'],
)
def test_a_run_with_noise_goes_on_as_it_is(main, private, flags):
  _without_last(private)
  before = (private / 'metrics.jsonl').read_bytes()
  status, _, errors = main(private, *flags, '--allow_config_change')
  assert status == 2
  (error,) = errors
  assert 'with noise a run goes on as it is' in error
  assert ' -> ' in error
  assert (private / 'metrics.jsonl').read_bytes() == before


def test_nor_may_its_corpus_change(main, private, folder, tmp_path):
  """The noise of a round that is trained anew would be on another sum."""
  _without_last(private)
  moved = tmp_path / 'moved'
  moved.mkdir()
  for file in folder.glob('*.npy'):
    (moved / file.name).symlink_to(file)
  lines = (folder / 'manifest.jsonl').read_text()
  (moved / 'manifest.jsonl').write_text(lines.replace('"s0"', '"other"'))
  status, _, errors = main(
    private,
    *_INDEPENDENT,
    f'--config.data.path={moved / "manifest.jsonl"}',
    '--allow_config_change',
  )
  assert status == 2
  assert 'with noise a run goes on as it is' in errors[-1]


def test_noise_is_not_added_on_the_way(main, finished, tmp_path):
  path = shutil.copytree(finished[0], tmp_path / 'plain')
  _without_last(path)
  status, _, errors = main(path, *_INDEPENDENT, '--allow_config_change')
  assert status == 2
  (error,) = errors
  assert 'with noise a run goes on as it is' in error


def test_two_runs_of_one_seed_have_noise_of_their_own(main, trained, tmp_path):
  other = tmp_path / 'other'
  assert main(other, *_INDEPENDENT)[0] == 0
  norms = [
    [line['train/delta_norm'] for line in tiny_run.metrics(path)]
    for path in (trained('independent'), other)
  ]
  assert not set(norms[0]) & set(norms[1])


@pytest.mark.slow
def test_a_given_noise_seed_is_repeatable_and_said_to_be_no_secret(
  main, tmp_path
):
  flags = (*_INDEPENDENT, '--config.federated.privacy.noise_seed=4294967295')
  paths = tmp_path / 'one', tmp_path / 'other'
  for path in paths:
    status, output, _ = main(path, *flags)
    assert status == 0
    assert 'noise_seed is in config.json, and whoever has it' in output
    assert not (path / 'noise_seed.secret').exists()
  _assert_same(*paths)


def _epsilons(path, name='privacy/epsilon_pld'):
  return [line[name] for line in tiny_run.metrics(path)]


@pytest.mark.parametrize(
  'kind', ['independent', pytest.param('banded', marks=pytest.mark.slow)]
)
def test_metrics_have_what_the_accountant_says(trained, kind):
  """Four clients; of two bands each may come every other round."""
  is_banded = kind == 'banded'
  mechanism = accountant.Mechanism(
    noise_multiplier=1.0,
    rate=0.5,
    period=2 if is_banded else 1,
    group_size=2 if is_banded else 4,
    places=4,
    overflow=0.0,
  )
  books = accountant.Accountant(mechanism, 1e-5)
  found = _epsilons(trained(kind))
  wanted = [books.after(count).epsilon_pld for count in range(1, 7)]
  np.testing.assert_allclose(found, wanted, rtol=1e-9)
  steps = np.diff(found)
  assert (steps[1::2] > 0).all()
  assert (steps[::2] == 0).all() == is_banded


@pytest.mark.slow
def test_adaptive_clipping_promises_no_more_than_the_noise_it_was_given(
  trained,
):
  assert _epsilons(trained('adaptive')) == _epsilons(trained('independent'))


@pytest.mark.slow
def test_a_target_is_kept_and_the_same_command_goes_on(main, tmp_path):
  path = tmp_path / 'run'
  flags = (*_POISSON, '--config.federated.privacy.target_epsilon=3')
  status, output, _ = main(path, *flags)
  assert status == 0
  assert 'after 6 rounds, delta 1e-05: epsilon 3; ' in output
  saved = json.loads((path / 'config.json').read_text())['federated']['privacy']
  assert saved['target_epsilon'] == 3
  assert saved['central_noise_multiplier'] > 0.5
  assert 2.98 < _epsilons(path)[-1] <= 3
  before = tiny_run.metrics(path)
  _without_last(path)
  status, _, errors = main(path, *flags)
  assert (status, errors) == (0, [])
  assert tiny_run.metrics(path) == before


@pytest.mark.slow
def test_what_is_extrapolated_is_called_so_and_a_large_delta_warned_of(
  main, tmp_path
):
  path = tmp_path / 'run'
  status, output, _ = main(
    path,
    *_POISSON,
    f'{_NOISE}0.3',
    '--config.federated.num_rounds=1',
    '--config.federated.privacy.delta=0.3',
    '--config.federated.privacy.population=10000',
  )
  assert status == 0
  assert 'delta=0.3 is more than one in 4 clients' in output
  (line,) = tiny_run.metrics(path)
  far, own = (
    line[f'privacy/{name}epsilon_pld'] for name in ('extrapolated_', '')
  )
  assert far < own
  assert f'extrapolated population {far:.4g}' in output


def test_local_epsilon_is_of_the_client_that_took_part_most(main, tmp_path):
  path = tmp_path / 'run'
  status, output, _ = main(
    path,
    *_BASE,
    '--config.federated.privacy.local_noise_multiplier=2.0',
    '--config.evaluation.clients_every_rounds=1',
  )
  assert status == 0
  counts = {}
  wanted = []
  for text in (path / 'clients.jsonl').read_text().splitlines():
    for name in json.loads(text)['client']:
      counts[name] = counts.get(name, 0) + 1
    wanted.append(accountant.local_epsilon(2.0, max(counts.values()), 1e-5))
  assert _epsilons(path, 'privacy/local_epsilon') == wanted
  assert max(counts.values()) < 6
  assert 'local epsilon' in output


def test_noise_of_a_secure_sum_is_told_by_rdp(main, tmp_path):
  path = tmp_path / 'run'
  status, output, errors = main(
    path,
    *_BASE,
    f'{_NOISE}4.0',
    '--config.federated.num_rounds=3',
    '--config.federated.secure_aggregation.enabled=true',
    '--config.federated.privacy.mechanism=distributed',
  )
  assert (status, errors) == (0, [])
  found = _epsilons(path, 'privacy/epsilon_rdp')
  assert found == sorted(found)
  # No less than of a Gaussian of that deviation, and little more.
  gaussian = [
    accountant.dp_accounting.get_epsilon_gaussian(4 / count**0.5, 1e-5)
    for count in (1, 2, 3)
  ]
  ratios = np.array(found) / gaussian
  assert (ratios >= 1).all()
  assert (ratios < 1.3).all()
  assert f'by RDP {found[-1]:.4g}' in output


@pytest.mark.parametrize(
  ('flags', 'said'),
  [
    (
      (*_KINDS['banded'], '--config.federated.cohort_size=3'),
      'config.federated.cohort_size=3; want at most 2: of 4 clients, one in '
      'federated.privacy.num_bands=2',
    ),
    (
      (*_INDEPENDENT, '--config.federated.privacy.max_cohort=1'),
      'config.federated.privacy.max_cohort=1; want at least '
      'federated.cohort_size=2',
    ),
    (
      (*_POISSON, '--config.federated.privacy.target_epsilon=1e-9'),
      'config.federated.privacy.target_epsilon=1e-09; no noise up to',
    ),
  ],
)
def test_what_the_population_does_not_allow_is_refused_in_a_line(
  main, tmp_path, flags, said
):
  status, _, errors = main(tmp_path / 'run', *flags)
  assert status == 2
  (error,) = errors
  assert said in error
  assert not (tmp_path / 'run').exists()
