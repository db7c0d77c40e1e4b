"""An attack that was interrupted, and one that is started twice."""

import json
import shutil

import h5py
import numpy as np
import pytest
import tiny_attack

from fedjax_asr import main
from fedjax_asr.jobs import attack_methods

_TIMES = 'seconds'


@pytest.fixture(scope='module', autouse=True)
def place(cached_throughout, tmp_path_factory):
  return tmp_path_factory.mktemp('resumed')


@pytest.fixture(scope='module')
def source(place):
  return tiny_attack.write_config(place)


@pytest.fixture(scope='module')
def finished(place, source):
  """The directory of an attack on three victims, never interrupted."""
  assert _main(source, place / 'finished') == 0
  return place / 'finished'


def _main(source, workdir, *flags):
  flags = ['--config.attack.num_victims=3', *flags]
  return main.main(['fedjax_asr', source, f'--workdir={workdir}', *flags])


def _records(workdir):
  records = json.loads((workdir / 'attack.json').read_text())
  return [
    {name: value for name, value in record.items() if name != _TIMES}
    for record in records
  ]


def _features(workdir):
  with h5py.File(workdir / 'reconstructions.h5') as file:
    return {
      f'{utterance}/{method}': np.asarray(values).tobytes()
      for utterance, methods in file.items()
      for method, values in methods.items()
    }


def _counted(monkeypatch, interrupted_at=None):
  """The victims that are attacked; Ctrl-C is pressed during one of them."""
  attacked = []
  attempts = attack_methods.attempts

  def counted(*arguments):
    attacked.append(len(attacked))
    if len(attacked) == interrupted_at:
      raise KeyboardInterrupt
    return attempts(*arguments)

  monkeypatch.setattr(attack_methods, 'attempts', counted)
  return attacked


def test_victims_at_once_are_attacked_as_one_after_another(
  place, source, finished
):
  parallel = place / 'parallel'
  assert _main(source, parallel, '--config.attack.num_parallel=2') == 0
  assert _records(parallel) == _records(finished)
  assert _features(parallel) == _features(finished)


def test_interrupted_attack_ends_as_if_it_had_not_been(
  source, finished, tmp_path, monkeypatch, capsys
):
  with monkeypatch.context() as patch:
    _counted(patch, interrupted_at=2)
    assert _main(source, tmp_path) == 130
  errors = capsys.readouterr().err
  assert errors == 'interrupted; the same command resumes this run.\n'
  assert len(_records(tmp_path)) == 1
  attacked = _counted(monkeypatch)
  assert _main(source, tmp_path) == 0
  assert len(attacked) == 2
  assert '1 of 3 victims were done before' in capsys.readouterr().out
  assert _records(tmp_path) == _records(finished)
  assert _features(tmp_path) == _features(finished)
  kept = [(path / 'spectra.json').read_text() for path in (tmp_path, finished)]
  assert kept[0] == kept[1]
  figures = {path.name for path in (tmp_path / 'figures').iterdir()}
  assert figures == {path.name for path in (finished / 'figures').iterdir()}


@pytest.fixture
def copy(finished, tmp_path):
  """Free to be damaged."""
  return shutil.copytree(finished, tmp_path / 'copy')


def test_finished_attack_attacks_nobody(source, copy, monkeypatch):
  attacked = _counted(monkeypatch)
  before = (copy / 'attack.json').read_bytes()
  assert _main(source, copy) == 0
  assert attacked == []
  assert (copy / 'attack.json').read_bytes() == before


def test_results_of_another_config_are_not_mixed_in(source, copy, capsys):
  assert _main(source, copy, '--config.attack.knows_length=True') == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert 'attack.knows_length: False -> True' in line


def test_finished_attack_is_left_as_it_is(source, copy, capsys):
  flags = '--allow_config_change', '--config.attack.knows_length=True'
  before = (copy / 'config.json').read_bytes()
  assert _main(source, copy, *flags) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert 'is finished: it was left as it is, without the changed' in line
  assert (copy / 'config.json').read_bytes() == before


def test_attack_that_goes_on_keeps_the_config_of_before(
  source, tmp_path, monkeypatch
):
  assert _main(source, tmp_path, '--config.attack.num_victims=1') == 0
  before = (tmp_path / 'config.json').read_bytes()
  attacked = _counted(monkeypatch)
  assert _main(source, tmp_path) == 2
  assert _main(source, tmp_path, '--allow_config_change') == 0
  assert len(attacked) == 2
  assert (tmp_path / 'config.1.json').read_bytes() == before
  now = json.loads((tmp_path / 'config.json').read_text())
  assert now['attack']['num_victims'] == 3


def test_half_written_features_of_no_victim_are_begun_anew(
  source, finished, copy
):
  (copy / 'attack.json').unlink()
  (copy / 'reconstructions.h5').write_bytes(b'half')
  assert _main(source, copy) == 0
  assert _features(copy) == _features(finished)


def _keep_one(file):
  with h5py.File(file, 'a') as features:
    for name in list(features)[1:]:
      del features[name]


@pytest.mark.parametrize(
  ('name', 'damage', 'message'),
  [
    ('attack.json', lambda file: file.write_text('[{'), 'is not JSON'),
    (
      'attack.json',
      lambda file: file.write_text('{"a": 1}'),
      'want the scores',
    ),
    ('attack.json', lambda file: file.write_text('[3]'), 'want the scores'),
    ('attack.json', lambda file: file.write_text('7'), 'want the scores'),
    (
      'attack.json',
      lambda file: file.write_text(
        file.read_text().replace('"round": 0', '"round": 4')
      ),
      'is of round 4, the run is at round 0 now',
    ),
    ('spectra.json', lambda file: file.write_text('[3]'), 'want the spectra'),
    ('reconstructions.h5', lambda file: file.write_bytes(b'no'), 'removed too'),
    ('reconstructions.h5', lambda file: file.unlink(), 'removed too'),
    ('reconstructions.h5', _keep_one, 'not all utterances'),
  ],
)
def test_damaged_results_are_one_line(
  source, copy, capsys, name, damage, message
):
  damage(copy / name)
  assert _main(source, copy) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f'error: {copy / name}')
  assert message in line
