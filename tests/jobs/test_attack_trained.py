"""What the README does: train, then attack that run by one command."""

import json

import pytest
import tiny_attack

from fedjax_asr import config, main
from fedjax_asr.jobs import train


def _ds1(cfg):
  del cfg


def _ds2(cfg):
  """Six units for each unknown of a frame, twelve before the last stride."""
  cfg.features.kind = config.FeatureKind.LOG_MEL
  cfg.features.num_mels = 8
  cfg.features.hop_ms = 25.0
  cfg.model.architecture = config.Architecture.DS2
  cfg.model.ds2 = config.DeepSpeech2Config(
    conv_channels=(12, 48),
    conv_time_kernels=(5, 5),
    conv_frequency_kernels=(7, 5),
    conv_time_strides=(2, 1),
    conv_frequency_strides=(2, 2),
    num_recurrent_layers=1,
    recurrent_size=64,
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ('described', 'method', 'flags'),
  [
    (_ds1, 'span', ['--config.attack.max_seconds=2.4']),
    (_ds2, 'demixing', ['--config.attack.stretch_seconds=0.5']),
  ],
)
def test_a_trained_run_is_attacked_by_one_command(
  tmp_path, capsys, described, method, flags
):
  cfg = tiny_attack.model_config(tmp_path)
  # As in the shipped configs; else the first layer is dead in two rounds.
  cfg.features.normalization = config.Normalization.UTTERANCE
  cfg.federated.client.clip_norm = 1.0
  described(cfg)
  run = tmp_path / 'run'
  train.run(cfg, run)
  command = ['fedjax_asr', '--config=attack', f'--config.attack.run={run}']
  assert main.main([*command, *flags]) == 0
  records = json.loads((run / 'attack' / 'attack.json').read_text())
  assert len(records) == 2
  for record in records:
    assert (record['method'], record['round']) == (method, 2)
    assert record['is_certified']
    assert record['snr_db'] > 40
    assert record['num_frames_found'] == record['num_frames']
    # By the run itself, trained though it has hardly learned.
    assert record['heard'] == record['original_heard']
  output = capsys.readouterr().out
  assert f'round 2 of {run}: 2 clients' in output
  assert f'{method}: 2 of 2 reconstructed, 2 certified' in output
