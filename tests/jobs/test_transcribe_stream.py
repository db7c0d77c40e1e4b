"""Words while a file or the standard input is read."""

import io
import json
import pathlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
import untrained_run

from fedjax_asr import (
  checkpoint,
  config,
  run_alphabet,
  run_directory,
  saved_run,
)
from fedjax_asr import main as main_module
from fedjax_asr.decoding import greedy
from fedjax_asr.jobs import printed_text
from fedjax_asr.speech import alphabets, audio, features

_CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'transcribe.py'
_RATE = 16_000


def one_way():
  cfg = untrained_run.small_config()
  cfg.features.normalization = config.Normalization.RUNNING
  cfg.model.ds2.bidirectional = False
  cfg.model.ds2.lookahead = 3
  cfg.model.ds2.norm = config.Norm.LAYER
  cfg.model.ds2.recurrent_size = 16
  return cfg


def write(path, cfg):
  """A run whose model hears many symbols: large random parameters."""
  state = untrained_run.state(cfg, 1)
  rng = np.random.default_rng(9)
  params = jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), state.params
  )
  params['output']['bias'][:] = 0
  params['output']['bias'][alphabets.ENGLISH.space] = 5
  with run_directory.open_run(path, cfg) as directory:
    checkpoints = checkpoint.Checkpoints(directory.checkpoints, cfg.checkpoint)
    checkpoints.save(1, state._replace(params=params), None)
    checkpoints.close()
    directory.alphabet.write_text(run_alphabet.content(alphabets.ENGLISH))
    statistics = {'mean': [-5.0] * 8, 'std': [2.0] * 8}
    directory.statistics.write_text(json.dumps(statistics))
  return path


@pytest.fixture(scope='module')
def trained(tmp_path_factory, cached_throughout):
  return write(tmp_path_factory.mktemp('stream') / 'run', one_way())


@pytest.fixture
def transcribe(cached, trained, capsys, monkeypatch):
  """`transcribe(input, *flags, stdin)`: status, output and lines of errors."""

  def run(path, *flags, stdin=b'', run=trained):
    pipe = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
    source = types.SimpleNamespace(buffer=pipe)
    monkeypatch.setattr('sys.stdin', source)
    capsys.readouterr()
    status = main_module.main(
      [
        'fedjax_asr',
        f'--config={_CONFIG}',
        f'--config.transcribe.run={run}',
        f'--config.transcribe.input={path}',
        '--config.transcribe.stream=true',
        *flags,
      ]
    )
    output, errors = capsys.readouterr()
    return status, output, errors.splitlines()

  return run


def speech(seconds=3.0, level=0.1):
  rng = np.random.default_rng(0)
  count = int(seconds * _RATE)
  pitch = np.repeat(rng.uniform(100, 6000, count // 1600 + 1), 1600)
  tones = np.sin(2 * np.pi * np.cumsum(pitch[:count]) / _RATE)
  return level * (tones + 0.1 * rng.normal(size=count))


def wav(samples, rate=_RATE):
  file = io.BytesIO()
  soundfile.write(file, samples, rate, format='WAV')
  return file.getvalue()


def text_of_the_whole(path, waveform):
  run = saved_run.load(path, 'transcribe.run')
  values = features.normalize(
    features.extract(waveform, run.config.features),
    run.config.features.normalization,
    run.statistics,
  )
  logits, num_outputs, _ = jax.jit(
    lambda values: run.acoustic.apply(
      run.params,
      run.norm_state,
      values,
      jnp.array([values.shape[1]]),
      train=False,
    )
  )(values[None])
  logits, num_outputs = np.asarray(logits), np.asarray(num_outputs)
  (text,) = greedy.texts(logits, num_outputs, alphabets.ENGLISH)
  return ' '.join(text.split())


def test_a_file_and_the_standard_input_have_the_text_of_the_whole(
  transcribe, trained, tmp_path
):
  content = wav(speech())
  (tmp_path / 'a.wav').write_bytes(content)
  waveform = audio.read(tmp_path / 'a.wav', _RATE)
  want = text_of_the_whole(trained, waveform)
  assert len(set(want)) > 3
  for result in (
    transcribe(tmp_path / 'a.wav'),
    transcribe('-', stdin=content),
    transcribe('-', '--config.transcribe.chunk_seconds=0.5', stdin=content),
    transcribe(
      '-',
      f'--config.transcribe.raw_rate={_RATE}',
      stdin=content[44:],
    ),
  ):
    status, output, errors = result
    assert (status, output) == (0, want + '\n')
    assert len(errors) == 1
    assert errors[0].startswith('latency: ')
    assert 'real-time factor' in errors[0]


def test_words_are_shown_before_the_end_is_read(
  transcribe, trained, monkeypatch
):
  content = wav(speech())
  want = text_of_the_whole(trained, np.float32(speech()))
  assert ' ' in want
  read_at, shown = [], []

  class Watched(io.BytesIO):
    def read1(self, count=-1):
      read_at.append(len(shown))
      return self.read(4000)

  monkeypatch.setattr(
    printed_text, 'show', lambda text: shown.append((text, len(read_at)))
  )
  transcribe('-', stdin=Watched(content))
  assert shown[-1][0] == '\n'
  assert ''.join(text for text, _ in shown).strip() == want
  # The first word, after fewer reads than there are.
  assert shown[0][1] < len(read_at) - 5


def test_json_has_words_with_times_and_what_it_took(transcribe, tmp_path):
  (tmp_path / 'a.wav').write_bytes(wav(speech()))
  file = tmp_path / 'text.json'
  _, output, _ = transcribe(
    tmp_path / 'a.wav', f'--config.transcribe.json={file}'
  )
  content = json.loads(file.read_text())
  (heard,) = content['files']
  assert heard['text'] + '\n' == output
  assert heard['seconds'] == 3.0
  assert ' '.join(item['text'] for item in heard['segments']) == heard['text']
  ends = [item['end'] for item in heard['segments']]
  assert ends == sorted(ends)
  assert ends[-1] <= 3.0
  took = content['stream']
  # Strides of 2 and 2 at 10 ms; kernels of 3 and 4 see 1 and 2 * 2 ahead.
  assert took['look_ahead_ms'] == {
    'features': 25.0,
    'convolutions': 50.0,
    'lookahead': 120.0,
    'chunk': 200.0,
    'total': 395.0,
  }
  assert took['real_time_factor'] > 0
  assert took['num_cores'] >= 1


@pytest.mark.parametrize(
  ('seconds', 'level', 'message'),
  [
    (2.0, 0.0, 'warning: -: silent; its text is empty.'),
    (0.05, 0.1, 'warning: -: 0.050 s hold no word; its text is empty.'),
  ],
)
def test_what_holds_no_speech_has_no_text_and_a_warning(
  transcribe, seconds, level, message
):
  status, output, errors = transcribe('-', stdin=wav(speech(seconds, level)))
  assert (status, output, errors[0]) == (0, '\n', message)


def test_what_is_cut_within_a_sample_is_heard_and_refused(transcribe, trained):
  content = wav(speech())
  status, output, errors = transcribe('-', stdin=content[:-1])
  want = text_of_the_whole(trained, np.float32(speech()))
  assert (status, len(errors)) == (2, 1)
  assert 'standard input: cut within a sample, 1 of 2 bytes.' in errors[0]
  # But for the last sample.
  assert output.split()[:-1] == want.split()[:-1]


@pytest.mark.parametrize(
  ('path', 'flags', 'message'),
  [
    ('-', [], 'standard input: empty, holds no bytes.'),
    ('nonesuch.wav', [], 'no such file; want one, or -'),
    ('.', [], 'no such file; want one, or -'),
    ('-', ['--config.decode.method=beam'], 'want greedy'),
    ('-', ['--config.transcribe.cuts=windows'], 'transcribe.cuts='),
    ('-', ['--config.transcribe.raw_rate=7'], 'want 0, or 1000 Hz or more'),
    ('-', ['--config.transcribe.stream=false'], "transcribe.input='-'"),
    ('a', ['--config.transcribe.raw_rate=8000'], 'transcribe.input=-'),
  ],
)
def test_input_or_flag_that_cannot_work_is_one_line(
  transcribe, path, flags, message
):
  status, output, errors = transcribe(path, *flags)
  assert (status, output, len(errors)) == (2, '', 1)
  assert message in errors[0]


def test_a_run_that_cannot_stream_is_one_line(transcribe, tmp_path):
  cfg = one_way()
  cfg.model.ds2.bidirectional, cfg.model.ds2.lookahead = True, 0
  path = write(tmp_path / 'both', cfg)
  status, output, errors = transcribe('-', stdin=wav(speech()), run=path)
  assert (status, output, len(errors)) == (2, '', 1)
  assert f'{path}: model.ds2.bidirectional=true; want false' in errors[0]
