"""A run of seconds: a model of 2,000 parameters on features of noise.

Whatever is held out, training keeps a speaker with all four lengths, so that
every run has the same shapes and the compilation cache serves them all.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np
import orbax.checkpoint as ocp

CONFIG = """
from fedjax_asr import config


def get_config(variant=''):
  c = config.Config(name='tiny')
  c.data.corpus = config.Corpus.MANIFEST
  c.data.path = {manifest!r}
  c.data.cache_dir = {cache!r}
  c.data.num_workers = 1
  c.data.num_heldout_speakers = 1
  c.data.heldout_utterance_fraction = 0.15
  c.features.num_features = 8
  c.features.num_mels = 8
  c.features.normalization = config.Normalization.GLOBAL
  c.model.ds2 = config.DeepSpeech2Config(
    conv_channels=(4,),
    conv_time_kernels=(5,),
    conv_frequency_kernels=(3,),
    conv_time_strides=(2,),
    conv_frequency_strides=(2,),
    num_recurrent_layers=1,
    recurrent_size=8,
    norm=config.Norm.BATCH,
    dropout=0.1,
  )
  c.federated = config.FederatedConfig(
    num_rounds=6,
    cohort_size=2,
    block_size=2,
    num_frame_buckets=1,
    num_devices=1,
    client=config.ClientConfig(batch_size=2),
    server=config.ServerConfig(
      optimizer=config.ServerOptimizer.ADAM, learning_rate=0.01
    ),
  )
  c.evaluation = config.EvaluationConfig(every_rounds=2, batch_size=2)
  c.checkpoint = config.CheckpointConfig(every_rounds=2)
  return c
"""
LENGTHS = (24, 32, 40, 72)
_TEXTS = ('one', 'two', 'six', 'a b')
_TIMES = {
  'compile_seconds',
  'round_seconds',
  'waiting_seconds',
  'computing_seconds',
  'evaluation_seconds',
  'checkpoint_seconds',
  'memory/host_peak_gb',
  'clients_per_second',
  'times_real_time',
}


def write_corpus(path: pathlib.Path) -> list[dict[str, str]]:
  """Five speakers of four utterances; returns the lines of the manifest."""
  rng = np.random.default_rng(0)
  lines = []
  for speaker in range(5):
    for text, length in zip(_TEXTS, LENGTHS, strict=True):
      file = f'{speaker}_{length}.npy'
      values = rng.normal(3.0, 2.0, (length, 8)).astype(np.float32)
      np.save(path / file, values)
      lines.append(
        {'features_filepath': file, 'text': text, 'speaker': f's{speaker}'}
      )
  write_manifest(path / 'manifest.jsonl', lines)
  return lines


def write_manifest(path: pathlib.Path, lines: list[dict[str, str]]) -> None:
  path.write_text(''.join(json.dumps(line) + '\n' for line in lines))


def write_config(path: pathlib.Path) -> str:
  """The flag that names it."""
  folder = path.parent
  manifest, cache = str(folder / 'manifest.jsonl'), str(folder / 'cache')
  path.write_text(CONFIG.format(manifest=manifest, cache=cache))
  return f'--config={path}'


def start(
  *arguments: str, program: str = '', **environment: str
) -> subprocess.CompletedProcess[str]:
  """Runs `main`, or a program in its place, in a process of its own."""
  before = ['-c', program] if program else ['-m', 'fedjax_asr.main']
  return subprocess.run(
    [sys.executable, *before, *arguments],
    capture_output=True,
    text=True,
    timeout=600,
    check=False,
    env=environment,
  )


def metrics(workdir: pathlib.Path) -> list[dict[str, float]]:
  """The lines of a run, but for times and rates."""
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [
    {
      name: value
      for name, value in json.loads(line).items()
      if name not in _TIMES
    }
    for line in lines
  ]


def checkpoints(workdir: pathlib.Path) -> dict[str, dict[str, np.ndarray]]:
  """What was saved, by round and leaf, as Orbax alone reads it."""
  reader = ocp.StandardCheckpointer()
  return {
    folder.name: reader.restore(folder / 'state')
    for folder in (workdir / 'checkpoints').iterdir()
    if folder.name.isdigit()
  }


def assert_same_outcome(got: pathlib.Path, want: pathlib.Path) -> None:
  """Equal bit for bit: metrics, checkpoints and reports."""
  assert metrics(got) == metrics(want)
  for name in ('speakers', 'transcripts', 'feature_statistics'):
    file = f'{name}.json'
    assert (got / file).read_bytes() == (want / file).read_bytes()
  ours, theirs = checkpoints(got), checkpoints(want)
  assert ours.keys() == theirs.keys()
  for round_index, leaves in theirs.items():
    assert ours[round_index].keys() == leaves.keys()
    for name, leaf in leaves.items():
      assert (
        np.asarray(ours[round_index][name]).tobytes()
        == np.asarray(leaf).tobytes()
      ), name
