"""Jobs on a run whose features were computed elsewhere."""

import json
import pathlib

import jax
import jax.export
import numpy as np
import pytest
import soundfile
import tiny_run
import untrained_run

from fedjax_asr import config, main, saved_run
from fedjax_asr.jobs import export

_CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  path = tmp_path_factory.mktemp('precomputed')
  cfg = untrained_run.small_config()
  cfg.features.kind = config.FeatureKind.PRECOMPUTED
  cfg.data.corpus = config.Corpus.MANIFEST
  cfg.data.path = str(path / 'manifest.jsonl')
  untrained_run.write(path / 'run', cfg)
  return path / 'run'


def _job(name, run, *flags):
  source = f'--config={_CONFIGS / name}.py'
  return main.main(['fedjax_asr', source, f'--config.{name}.run={run}', *flags])


def test_audio_cannot_be_transcribed(run, tmp_path, capsys):
  soundfile.write(tmp_path / 'a.wav', np.zeros(16000), 16000)
  status = _job(
    'transcribe', run, f'--config.transcribe.input={tmp_path / "a.wav"}'
  )
  output, errors = capsys.readouterr()
  assert (status, output) == (2, '')
  (error,) = errors.splitlines()
  assert 'was trained on features.kind=precomputed, which cannot be' in error


def test_other_files_can_be_evaluated(run, tmp_path, capsys):
  np.save(tmp_path / 'f.npy', np.ones((40, 8), np.float32))
  line = {'features_filepath': 'f.npy', 'text': 'six', 'duration': 0.4}
  tiny_run.write_manifest(tmp_path / 'other.jsonl', [line])
  flags = [
    '--config.evaluate.subset=corpus',
    '--config.data.corpus=manifest',
    f'--config.data.path={tmp_path / "other.jsonl"}',
    f'--config.data.cache_dir={tmp_path / "cache"}',
    '--config.data.num_workers=1',
  ]
  assert _job('evaluate', run, *flags) == 0
  line['duration'] = 0.8
  tiny_run.write_manifest(tmp_path / 'other.jsonl', [line])
  capsys.readouterr()
  assert _job('evaluate', run, *flags) == 2
  (error,) = capsys.readouterr().err.splitlines()
  assert 'config.features.hop_ms=10 is 100 frames a second' in error


def test_export_describes_no_analysis_of_audio(run):
  saved = saved_run.load(run, 'export.run')
  # Of the program, the description holds no features.
  scalar = jax.ShapeDtypeStruct((), np.float32)
  program = jax.export.export(jax.jit(lambda value: value))(scalar)
  described = export.described(saved, program)
  assert json.loads(json.dumps(described['features'])) == {
    'kind': 'precomputed',
    'num_features': 8,
    'hop_ms': 10.0,
    'normalization': 'global',
  }
