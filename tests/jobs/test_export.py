"""The exported program, in a process that has JAX alone."""

import contextlib
import functools
import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import soundfile
import untrained_run

from fedjax_asr import config, saved_run
from fedjax_asr.decoding import greedy
from fedjax_asr.speech import alphabets, audio, features

_CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'export.py'
# Batch size and frames; fewer than a stride, and no whole strides, too.
_SIZES = [(1, 1), (3, 50), (2, 97)]

_READER = """
import sys
import jax, numpy as np

folder, inputs, outputs = sys.argv[1:]
content = open(f'{folder}/forward.stablehlo', 'rb').read()
program = jax.export.deserialize(bytearray(content))
results = {}
with np.load(inputs) as arrays:
  for index in range(len(arrays.files) // 2):
    log_probs, num_outputs = program.call(
      arrays[f'features_{index}'], arrays[f'num_frames_{index}']
    )
    results[f'log_probs_{index}'] = log_probs
    results[f'num_outputs_{index}'] = num_outputs
np.savez(outputs, **results)
print(program.platforms)
assert not {'fedjax_asr', 'flax', 'orbax'} & {
  name.partition('.')[0] for name in sys.modules
}
"""


@contextlib.contextmanager
def _any_size():
  """Without checks of shapes, which know numbers alone and no symbols."""
  jaxtyping.config.update('jaxtyping_disable', True)
  try:
    yield
  finally:
    jaxtyping.config.update('jaxtyping_disable', False)


def _export(run, workdir, *flags):
  from fedjax_asr import main

  with _any_size():
    return main.main(
      [
        'fedjax_asr',
        f'--config={_CONFIG}',
        f'--config.export.run={run}',
        f'--workdir={workdir}',
        *flags,
      ]
    )


@pytest.fixture(scope='module', params=['ds1', 'ds2'])
def run(request, tmp_path_factory):
  path = tmp_path_factory.mktemp(request.param) / 'run'
  architecture = config.Architecture(request.param)
  untrained_run.write(path, untrained_run.small_config(architecture))
  return path


@pytest.fixture(scope='module')
def folder(run):
  path = run / 'export'
  assert _export(run, path) == 0
  return path


def _inputs():
  rng = np.random.default_rng(0)
  for batch, frames in _SIZES:
    features = 3 * rng.normal(size=(batch, frames, 8))
    num_frames = rng.integers(1, frames + 1, batch)
    num_frames[0] = frames
    yield features.astype(np.float32), num_frames.astype(np.int32)


def test_program_is_the_model_wherever_jax_is(run, folder, tmp_path):
  inputs = list(_inputs())
  np.savez(
    tmp_path / 'inputs.npz',
    **{f'features_{i}': pair[0] for i, pair in enumerate(inputs)},
    **{f'num_frames_{i}': pair[1] for i, pair in enumerate(inputs)},
  )
  done = subprocess.run(
    [sys.executable, '-c', _READER, folder, 'inputs.npz', 'outputs.npz'],
    cwd=tmp_path,
    capture_output=True,
    text=True,
    timeout=100,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout == "('cpu', 'cuda')\n"
  saved = saved_run.load(run, 'export.run')
  with np.load(tmp_path / 'outputs.npz') as outputs:
    live = jax.jit(functools.partial(saved.acoustic.apply, train=False))
    for index, (features, num_frames) in enumerate(inputs):
      logits, num_outputs, _ = live(
        saved.params, saved.norm_state, features, num_frames
      )
      want = jax.nn.log_softmax(logits)
      assert np.ptp(want) > 0.1
      np.testing.assert_allclose(outputs[f'log_probs_{index}'], want, atol=1e-5)
      np.testing.assert_array_equal(
        outputs[f'num_outputs_{index}'], num_outputs
      )


def test_description_is_all_that_a_caller_needs(run, folder):
  described = json.loads((folder / 'forward.json').read_text())
  saved = saved_run.load(run, 'export.run')
  assert described['round'] == 2
  assert described['architecture'] == saved.config.model.architecture
  assert described['features'] == config.as_dict(saved.config.features)
  assert described['statistics'] == {'mean': [0.5] * 8, 'std': [2.0] * 8}
  assert described['alphabet'][described['blank']] == '_'
  assert len(described['alphabet']) == 29
  stride = {'ds1': 3, 'ds2': 4}[described['architecture']]
  assert described['frames_per_output'] == stride
  assert described['versions']['jax'] == jax.__version__


def test_another_round_is_another_program(run, folder, tmp_path):
  assert _export(run, tmp_path, '--config.export.round=1') == 0
  first = (tmp_path / 'forward.stablehlo').read_bytes()
  assert first != (folder / 'forward.stablehlo').read_bytes()


def test_program_that_differs_is_not_written(
  run, tmp_path, monkeypatch, capsys
):
  """As after a defect of the export: here, of other weights."""
  from fedjax_asr.jobs import exported_program

  saved = saved_run.load(run, 'export.run', 1)
  with _any_size():
    other = exported_program.of_features(saved)
  monkeypatch.setattr(exported_program, 'of_features', lambda _: other)
  assert _export(run, tmp_path) == 2
  assert 'differs from the model by' in capsys.readouterr().err
  assert not (tmp_path / 'forward.stablehlo').exists()


def test_missing_package_is_one_line(run, tmp_path, monkeypatch, capsys):
  monkeypatch.setitem(sys.modules, 'flatbuffers', None)
  assert _export(run, tmp_path / 'out') == 2
  assert 'pip install flatbuffers' in capsys.readouterr().err
  assert not (tmp_path / 'out').exists()


_SPEECH = (
  pathlib.Path(__file__).parents[2].parent / 'shared/data/librispeech_100/flac'
)
_SCRIPT = pathlib.Path(__file__).parents[2] / 'launch' / 'transcribe_wav.py'


def _waveforms():
  """Speech of 2 to 5 s where there is some, noise otherwise; and short ones."""
  rng = np.random.default_rng(0)
  waveforms = [rng.normal(0, 0.1, count) for count in (1, 399, 16_161, 40_000)]
  for path in sorted(_SPEECH.glob('*.flac'))[:3]:
    waveforms.append(audio.read(path, 16_000)[:80_000])
  return [waveform.astype(np.float32) for waveform in waveforms]


def _by_numpy(saved, waveform):
  values = features.normalize(
    features.extract(waveform, saved.config.features),
    saved.config.features.normalization,
    saved.statistics,
  )
  logits, num_outputs, _ = jax.jit(
    functools.partial(saved.acoustic.apply, train=False)
  )(saved.params, saved.norm_state, values[None], np.array([len(values)]))
  return jax.nn.log_softmax(logits[0, : int(num_outputs[0])])


def test_program_with_the_front_end_hears_what_the_pipeline_hears(run, folder):
  saved = saved_run.load(run, 'export.run')
  waveforms = _waveforms()
  longest = max(map(len, waveforms))
  padded = np.full((len(waveforms), longest + 777), 5.0, np.float32)
  for row, waveform in zip(padded, waveforms, strict=True):
    row[: len(waveform)] = waveform
  content = (folder / 'transcribe.stablehlo').read_bytes()
  program = jax.export.deserialize(bytearray(content))
  counts = np.array([len(waveform) for waveform in waveforms], np.int32)
  path, log_probs, num_outputs = program.call(padded, counts)
  for index, waveform in enumerate(waveforms):
    want = _by_numpy(saved, waveform)
    assert num_outputs[index] == len(want)
    got = log_probs[index, : len(want)]
    np.testing.assert_allclose(got, want, atol=2e-3)
    assert not path[index, len(want) :].any()
    if audio.is_silent(waveform):  # A single sample says nothing.
      assert not path[index].any()
      continue
    alone = greedy.path(got[None], jnp.array([len(want)]))
    np.testing.assert_array_equal(path[index, : len(want)], alone[0])


@pytest.mark.parametrize('level', [5e-5, 0.3])
def test_silence_is_no_text(folder, level):
  content = (folder / 'transcribe.stablehlo').read_bytes()
  program = jax.export.deserialize(bytearray(content))
  silence = np.full((1, 9_000), level, np.float32)
  silence[:, 8_000:] = 0  # Padding.
  path, *_ = program.call(silence, np.array([8_000], np.int32))
  assert not path.any()


def test_script_transcribes_a_recording_without_this_package(
  run, folder, tmp_path
):
  waveform = np.random.default_rng(0).normal(0, 0.1, 30_000)
  stereo = np.stack([waveform, 0.5 * waveform], -1)
  soundfile.write(tmp_path / 'a.wav', stereo, 16_000, subtype='FLOAT')
  soundfile.write(tmp_path / 'b.wav', stereo, 8_000)
  checked = (
    'import runpy, sys\n'
    'sys.argv = sys.argv[1:]\n'
    'try:\n'
    "  runpy.run_path(sys.argv[0], run_name='__main__')\n"
    'finally:\n'
    "  assert 'fedjax_asr' not in sys.modules\n"
    "  assert 'librosa' not in sys.modules\n"
  )
  done = [
    subprocess.run(
      [sys.executable, '-c', checked, _SCRIPT, folder, tmp_path / name],
      cwd=tmp_path,
      capture_output=True,
      text=True,
      timeout=100,
      check=False,
    )
    for name in ('a.wav', 'b.wav')
  ]
  assert done[0].returncode == 0, done[0].stderr
  saved = saved_run.load(run, 'export.run')
  want = _by_numpy(saved, audio.read(tmp_path / 'a.wav', 16_000))
  path = greedy.path(want[None], jnp.array([len(want)]))
  assert (
    done[0].stdout
    == greedy.transcripts(np.asarray(path), alphabets.ENGLISH)[0] + '\n'
  )
  assert done[1].returncode == 2
  assert done[1].stderr.startswith('error: ')
  assert '30000 samples at 8000 Hz' in done[1].stderr
