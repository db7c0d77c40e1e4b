"""The LibriSpeech configs, on a tree of noise: small models, two rounds."""

import json

import numpy as np
import pytest
import soundfile
import tiny_run

from fedjax_asr import command_line
from fedjax_asr.corpora import datasets
from fedjax_asr.models import model

_WORDS = ('CHAPTER ONE', 'IT WAS', 'NOT SO', 'A BOY')
_SHORT = (
  '--config.federated.num_rounds=2',
  '--config.federated.block_size=2',
  '--config.federated.num_frame_buckets=1',
  '--config.federated.num_devices=1',
  '--config.evaluation.every_rounds=2',
  '--config.checkpoint.every_rounds=2',
  '--config.data.num_workers=1',
  '--config.features.num_features=8',
  '--config.features.num_mels=8',
  '--config.augment.max_frequency_mask_bins=2',
)
_TINY = {
  'ds1': (
    '--config.model.ds1.dense_sizes=(8,8,8)',
    '--config.model.ds1.recurrent_size=8',
    '--config.model.ds1.final_size=8',
  ),
  'ds2': (
    '--config.model.ds2.conv_channels=(2,2)',
    '--config.model.ds2.conv_time_kernels=(3,3)',
    '--config.model.ds2.conv_frequency_kernels=(3,3)',
    '--config.model.ds2.num_recurrent_layers=1',
    '--config.model.ds2.recurrent_size=8',
  ),
}


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
  """Two speakers in each training folder, and one in dev-clean."""
  root = tmp_path_factory.mktemp('corpus') / 'LibriSpeech'
  rng = np.random.default_rng(0)
  folders = ('train-clean-100', 'train-clean-360', 'train-other-500')
  speakers = [(name, i) for i, name in enumerate(folders * 2)]
  for split, speaker in [*speakers, ('dev-clean', 84)]:
    stem = f'{speaker}-7'
    folder = root / split / str(speaker) / '7'
    folder.mkdir(parents=True)
    lines = []
    for index, words in enumerate(_WORDS):
      name = f'{stem}-{index:04d}'
      samples = 0.1 * rng.normal(size=8000 + 2400 * index)
      soundfile.write(folder / f'{name}.flac', samples, 16_000)
      lines.append(f'{name} {words}\n')
    (folder / f'{stem}.trans.txt').write_text(''.join(lines))
  return root


@pytest.fixture
def train(tree, tmp_path, cached, capsys):
  """`train(architecture, variant, *flags)`: the directory of the run."""
  from fedjax_asr import main

  def run(architecture, variant, *flags):
    workdir = tmp_path / variant
    cohort = 1 if variant == 'central_100' else 2
    status = main.main(
      [
        'fedjax_asr',
        f'--config={architecture}_librispeech:{variant}',
        f'--workdir={workdir}',
        f'--config.data.path={tree}',
        f'--config.data.heldout_path={tree / "dev-clean"}',
        f'--config.data.cache_dir={tree.parent / "cache"}',
        f'--config.federated.cohort_size={cohort}',
        '--config.federated.server.warmup_rounds=0',
        *_SHORT,
        *_TINY[architecture],
        *flags,
      ]
    )
    assert status == 0, capsys.readouterr().err
    return workdir

  return run


def _check(workdir, clients):
  """Trained, evaluated on all of dev-clean, with training from elsewhere."""
  rounds = tiny_run.metrics(workdir)
  assert [line['round'] for line in rounds] == [1, 2]
  assert all(np.isfinite(line['train/loss']) for line in rounds)
  assert np.isfinite(rounds[-1]['eval/wer'])
  corpus = json.loads((workdir / 'corpus.json').read_text())
  assert corpus['num_utterances'] == {
    'train': 4 * len(clients),
    'heldout_speakers': 4,
    'heldout_utterances': 0,
  }
  assert corpus['heldout_speakers'] == ['84']
  trained = {name.partition('-')[0] for name in corpus['sets']['train']}
  assert trained == clients


@pytest.mark.parametrize('architecture', ['ds1', 'ds2'])
@pytest.mark.parametrize(
  ('variant', 'speakers'),
  [
    ('federated_100', '03'),
    ('central_100', '03'),
    ('federated_960', '012345'),
    ('published', '012345'),
    ('published_from_seed', '1245'),
  ],
)
def test_a_variant_has_its_folders_and_holds_out_dev_clean(
  tree, architecture, variant, speakers
):
  cfg = command_line.parse(
    [
      'fedjax_asr',
      f'--config={architecture}_librispeech:{variant}',
      f'--config.data.path={tree}',
      f'--config.data.heldout_path={tree / "dev-clean"}',
      f'--config.data.cache_dir={tree.parent / "cache"}',
      '--config.data.num_workers=1',
    ]
  ).config
  assert cfg.name == f'{architecture}_librispeech_{variant}'
  sets = datasets.prepare(
    cfg.data,
    cfg.features,
    model.num_output_frames(cfg.model),
    cfg.seed,
    lambda done, total: None,
  )
  assert sets.problems == []
  assert set(sets.train.speakers) == set(speakers)
  assert len(sets.train) == 4 * len(speakers)
  assert sets.heldout_speakers.speakers == ['84'] * 4
  assert len(sets.heldout_utterances) == 0


@pytest.mark.slow
def test_the_published_recipe_trains_on_all_folders(train):
  workdir = train(
    'ds2',
    'published',
    '--config.federated.client.local_epochs=2',
    '--config.federated.client.batch_size=2',
  )
  _check(workdir, set('012345'))


@pytest.mark.slow
@pytest.mark.parametrize('architecture', ['ds1', 'ds2'])
@pytest.mark.parametrize(
  ('variant', 'clients'),
  [('federated_100', '03'), ('federated_960', '012345')],
)
def test_the_variants_train_on_their_folders(
  train, architecture, variant, clients
):
  _check(train(architecture, variant), set(clients))


@pytest.mark.slow
@pytest.mark.parametrize('architecture', ['ds1', 'ds2'])
def test_a_central_model_is_a_seed_model(train, architecture):
  seed = train(
    architecture, 'central_100', '--config.federated.client.batch_size=2'
  )
  _check(seed, set('03'))
  workdir = train(
    architecture,
    'published_from_seed',
    f'--config.federated.init_from={seed}',
    '--config.federated.client.local_epochs=2',
  )
  _check(workdir, set('1245'))
