"""What a run of the job `train` does and leaves."""

import json
import re

import numpy as np
import tiny_run


def test_checkpoint_holds_all_that_a_round_changes(finished):
  leaves = tiny_run.checkpoints(finished[0])['6']
  prefixes = {name.partition('.')[0] for name in leaves}
  assert prefixes == {'params', 'norm_state', 'opt_state', 'round'}
  assert leaves['round'] == 6
  ranked = finished[0] / 'checkpoints' / '6' / 'metrics' / 'metrics'
  wer = tiny_run.metrics(finished[0])[-1]['eval/wer']
  assert json.loads(ranked.read_text()) == {'wer': wer}
  assert any(np.ptp(leaf) for name, leaf in leaves.items() if '.mu.' in name)


def test_each_shape_is_compiled_once(finished):
  errors = finished[1].stderr
  rounds = re.findall(r'Compiling jit\(round_fn\)', errors)
  evaluations = re.findall(r'Compiling jit\(forward\).*', errors)
  assert len(rounds) == 1
  # Three evaluations of two sets, in the same two shapes: 64 and 128 frames.
  assert len(evaluations) == 2


def test_metrics_have_every_round_and_name(finished):
  path, _ = finished
  lines = [
    json.loads(line)
    for line in (path / 'metrics.jsonl').read_text().splitlines()
  ]
  assert [line['round'] for line in lines] == [1, 2, 3, 4, 5, 6]
  every = {
    'train/loss',
    'train/gradient_norm',
    'train/delta_norm',
    'train/num_utterances',
    'train/num_infeasible',
    'train/num_clients',
    'train/num_left_out',
    'learning_rate',
    'server_learning_rate',
    'padding_waste',
    'round_seconds',
    'waiting_seconds',
    'computing_seconds',
    'clients_per_second',
    'times_real_time',
    'communication/bytes_up',
    'communication/bytes_down',
    'communication/total_bytes_up',
    'communication/total_bytes_down',
  }
  scores = {'eval/wer', 'eval/cer', 'eval/loss'}
  scores |= {'eval/utterance_wer', 'eval/utterance_cer'}
  scores |= {'evaluation_seconds', 'memory/host_peak_gb'}
  buckets = json.loads((path / 'population.json').read_text())['layout']
  of_buckets = {
    f'{name}/{bucket}'
    for name in ('padding_waste', 'frames_computed')
    for bucket in buckets['frame_buckets']
  }
  for line in lines:
    # Not every round has use for each.
    found = of_buckets & line.keys()
    assert len(found) >= 2
    wanted = every | {'round'} | found
    wanted |= scores if line['round'] % 2 == 0 else set()
    wanted |= {'compile_seconds'} if line['round'] == 1 else set()
    wanted |= {'checkpoint_seconds'} if line['round'] > 1 else set()
    assert line.keys() == wanted
  # Compilation is not part of the first round.
  assert lines[0]['compile_seconds'] > 3 * lines[0]['round_seconds']


def test_reports_are_of_the_last_round(finished):
  path, done = finished
  speakers = json.loads((path / 'speakers.json').read_text())
  transcripts = json.loads((path / 'transcripts.json').read_text())
  assert speakers['round'] == transcripts['round'] == 6
  ((name, score),) = speakers['speakers'].items()
  assert score['num_utterances'] == len(transcripts['transcripts']) == 4
  assert score['wer'] == tiny_run.metrics(path)[-1]['eval/wer']
  assert {item['speaker'] for item in transcripts['transcripts']} == {name}
  assert done.stdout.count('  said  ') == 3 * 3
  assert (path / 'figures' / 'training_progress.png').stat().st_size > 10_000
  assert f'in {path}, first figure' in done.stdout


def test_finished_run_says_so_and_touches_nothing(main, finished):
  path, _ = finished

  def files():
    return {
      file: file.stat().st_mtime_ns
      for file in path.rglob('*')
      # This process has other devices.
      if file.name != 'versions.json' and file.is_file()
    }

  before = files()
  status, output, errors = main(path)
  assert (status, errors) == (0, [])
  assert output == (
    f'{path}: finished after round 6 (config.federated.num_rounds=6); nothing '
    'to do.\n'
  )
  assert files() == before


def test_training_that_diverges_ends_at_that_round(main, tmp_path):
  flags = (
    '--config.checkpoint.every_rounds=1',
    '--config.evaluation.every_rounds=1',
  )
  fast = '--config.federated.server.learning_rate=1e37'
  status, _, errors = main(tmp_path, fast, *flags)
  assert status == 1
  (error,) = errors
  found = re.search(r'round (\d) diverged: the loss is not finite', error)
  assert found
  last = int(found[1]) - 1
  assert re.search(r'losses or gradients that are not: of client s\d', error)
  assert f'round {last} is the last that was saved' in error
  assert max(map(int, tiny_run.checkpoints(tmp_path))) == last
  lines = tiny_run.metrics(tmp_path)
  assert lines[-1]['round'] == last + 1
  assert lines[-1]['train/loss'] is None


def test_run_whose_loss_ends_high_says_so_in_the_end(main, tmp_path):
  fast = '--config.federated.server.learning_rate=1e4'
  status, output, _ = main(tmp_path, fast)
  assert status == 0
  assert re.search(
    r'finished: .*; warning: the loss ended at \d\.\d\de\+\d\d, over 10 times',
    output,
  )


def test_overflow_of_the_server_is_a_divergence(main, tmp_path):
  # What clients send is finite, but not its square, which Adam keeps.
  fast = '--config.federated.client.learning_rate=1e25'
  status, _, errors = main(
    tmp_path, fast, '--config.federated.client.local_steps=1'
  )
  assert status == 1
  assert 'round 1 diverged: the model is not finite' in errors[0]
  assert "no client's, but the server's step overflowed" in errors[0]
  assert 'no round was saved' in errors[0]
  assert tiny_run.checkpoints(tmp_path) == {}


def test_run_without_held_out_sets_trains(main, folder, tmp_path):
  status, _, errors = main(
    tmp_path,
    '--config.data.num_heldout_speakers=0',
    '--config.data.heldout_utterance_fraction=0.0',
    '--config.federated.num_rounds=3',
  )
  assert (status, errors) == (0, [])
  lines = tiny_run.metrics(tmp_path)
  assert not any(name.startswith('eval/') for line in lines for name in line)
  assert tiny_run.checkpoints(tmp_path).keys() == {'2', '3'}
  assert (tmp_path / 'figures' / 'training_progress.png').exists()
  # And its statistics are those of all there is.
  saved = json.loads((tmp_path / 'feature_statistics.json').read_text())
  frames = np.concatenate([np.load(file) for file in folder.glob('*.npy')])
  assert saved.keys() == {'mean', 'std'}
  np.testing.assert_allclose(saved['mean'], frames.mean(0), rtol=1e-5)
  np.testing.assert_allclose(saved['std'], frames.std(0), rtol=1e-5)
