"""Runs that cannot be used, as each job on a finished run answers them."""

import errno
import json
import os
import pathlib
import shutil

import pytest
import untrained_run

_CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'


@pytest.fixture(scope='module')
def original(tmp_path_factory):
  path = tmp_path_factory.mktemp('run') / 'run'
  untrained_run.write(path, untrained_run.small_config())
  return path


def _delete_checkpoints(run):
  shutil.rmtree(run / 'checkpoints')


def _damage_checkpoint(run):
  for file in (run / 'checkpoints' / '2').rglob('*'):
    if file.is_file():
      file.write_bytes(b'damaged')


_DAMAGES = {
  'missing': (lambda run: shutil.rmtree(run), 'has no config.json'),
  'empty': (_delete_checkpoints, 'has no checkpoints'),
  'damaged checkpoint': (_damage_checkpoint, 'checkpoints/2'),
  'another alphabet': (
    lambda run: (run / 'alphabet.json').write_text(json.dumps('_ abc')),
    "has the alphabet '_ abc'",
  ),
  'damaged alphabet': (
    lambda run: (run / 'alphabet.json').write_text('"_ ab'),
    'alphabet.json is not JSON',
  ),
  'damaged config': (
    lambda run: (run / 'config.json').write_text('{"job"'),
    'config.json is not JSON',
  ),
}


@pytest.mark.parametrize(
  'job', ['evaluate', 'personalise', 'transcribe', 'export']
)
@pytest.mark.parametrize('damage', _DAMAGES)
def test_unusable_run_is_one_line(original, tmp_path, capsys, job, damage):
  from fedjax_asr import main

  run = pathlib.Path(shutil.copytree(original, tmp_path / 'run'))
  apply, message = _DAMAGES[damage]
  apply(run)
  status = main.main(
    [
      'fedjax_asr',
      f'--config={_CONFIGS / job}.py',
      f'--config.{job}.run={run}',
      f'--workdir={tmp_path / "out"}',
      # Any file will do: the run is opened before it.
      *([f'--config.transcribe.input={__file__}'] * (job == 'transcribe')),
    ]
  )
  output, errors = capsys.readouterr()
  assert (status, output) == (2, '')
  assert len(errors.splitlines()) == 1
  assert errors.startswith('error: ')
  assert message in errors
  assert str(tmp_path) in errors
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
  'job', ['evaluate', 'personalise', 'transcribe', 'export']
)
def test_round_that_was_not_saved_is_one_line(original, capsys, job):
  from fedjax_asr import main

  flags = [f'--config.{job}.run={original}', f'--config.{job}.round=9']
  if job == 'transcribe':
    flags.append(f'--config.transcribe.input={__file__}')
  config = f'--config={_CONFIGS / job}.py'
  assert main.main(['fedjax_asr', config, *flags]) == 2
  errors = capsys.readouterr().err.splitlines()
  assert len(errors) == 1
  assert 'no checkpoint of round 9; want one of: 1, 2' in errors[0]


def test_full_disk_is_one_line(original, tmp_path, monkeypatch, capsys):
  from fedjax_asr import main, whole_file
  from fedjax_asr.jobs import export, exported_program

  replace_text = whole_file.replace_text

  def full(path, content):
    if path.name == 'forward.json':
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    replace_text(path, content)

  monkeypatch.setattr(whole_file, 'replace_text', full)
  for name in ('of_features', 'of_waveforms'):
    monkeypatch.setattr(exported_program, name, lambda _: _Program())
  monkeypatch.setattr(export, 'described', lambda *_: {})
  for name in ('_difference', '_heard_difference'):
    monkeypatch.setattr(export, name, lambda *_: 0.0)
  config = f'--config={_CONFIGS / "export.py"}'
  flags = f'--config.export.run={original}', f'--workdir={tmp_path}'
  assert main.main(['fedjax_asr', config, *flags]) == 2
  errors = capsys.readouterr().err
  assert errors == f'error: {tmp_path}/forward.json: No space left on device.\n'


class _Program:
  def serialize(self):
    return b'program'
