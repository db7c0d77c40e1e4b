"""Words while a file or the standard input is read."""

import functools
import io
import json
import pathlib
import sys
import types

import jax
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
from fedjax_asr.speech import (
  alphabets,
  audio,
  endpoints,
  features,
  voice_activity,
)

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


@functools.cache
def whole(path):
  """A run, and its model on utterances of one shape."""
  run = saved_run.load(path, 'transcribe.run')
  apply = jax.jit(functools.partial(run.acoustic.apply, train=False))
  return run, functools.partial(apply, run.params, run.norm_state)


def text_of_the_whole(path, waveform):
  run, apply = whole(path)
  values = features.normalize(
    features.extract(waveform, run.config.features),
    run.config.features.normalization,
    run.statistics,
  )
  # With garbage behind the end.
  padded = np.pad(values, ((0, 650 - len(values)), (0, 0)), constant_values=9.0)
  logits, num_outputs, _ = apply(padded[None], np.array([len(values)]))
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
    assert errors[0].endswith('; sentences: 1')


def sentences_in_a_row():
  """Three, and where each is cut."""
  waveform = 0.0005 * np.random.default_rng(3).normal(size=6 * _RATE)
  for index, (first, seconds) in enumerate([(0, 1.5), (2.2, 1), (4.5, 1.5)]):
    at = int(first * _RATE)
    sound = speech(3.0)[index * _RATE : index * _RATE + int(seconds * _RATE)]
    waveform[at : at + len(sound)] += sound
  return np.float32(waveform)


def cut_by(waveform, detector):
  """Of each sentence, samples."""
  endpointer = endpoints.Endpointer(detector, 0.3, _RATE)
  found = []
  for part in endpointer.add(waveform) + endpointer.finish():
    if part.begins:
      found.append([])
    found[-1].append(part.waveform)
  return [np.concatenate(each) for each in found]


def test_a_line_for_each_sentence_has_the_text_that_it_has_as_a_file(
  transcribe, trained, tmp_path
):
  soundfile.write(tmp_path / 'a.wav', sentences_in_a_row(), _RATE, 'FLOAT')
  waveform = audio.read(tmp_path / 'a.wav', _RATE)
  found = cut_by(waveform, voice_activity.energy_so_far())
  assert len(found) == 3
  want = [text_of_the_whole(trained, each) for each in found]
  file = tmp_path / 'text.json'
  status, output, errors = transcribe(
    tmp_path / 'a.wav', f'--config.transcribe.json={file}'
  )
  assert (status, output.splitlines()) == (0, want)
  assert errors[0].endswith('; sentences: 3')
  content = json.loads(file.read_text())
  assert content['stream']['num_sentences'] == 3
  assert content['files'][0]['text'] == ' '.join(want)
  starts = [item['start'] for item in content['files'][0]['segments']]
  assert starts == sorted(starts)
  assert starts[-1] > 4.2


def test_windows_never_cut_a_stream(transcribe, trained):
  waveform = sentences_in_a_row()
  stdin = wav(waveform)
  flag = '--config.transcribe.cuts=windows'
  _, output, _ = transcribe('-', flag, stdin=stdin)
  samples, _ = soundfile.read(io.BytesIO(stdin), dtype='float32')
  assert output == text_of_the_whole(trained, samples) + '\n'


def test_a_pause_that_is_longer_than_asked_for_ends_a_sentence(
  transcribe, trained
):
  """Those between these three are of 0.7 and 1.3 s."""
  for seconds, count in ((0.6, 3), (0.8, 2), (1.4, 1)):
    flag = f'--config.transcribe.pause_seconds={seconds}'
    _, output, _ = transcribe('-', flag, stdin=wav(sentences_in_a_row()))
    assert len(output.splitlines()) == count


def test_webrtc_cuts_a_stream(transcribe, trained):
  pytest.importorskip('webrtcvad')
  stdin = wav(sentences_in_a_row())
  samples, _ = soundfile.read(io.BytesIO(stdin), dtype='float32')
  found = cut_by(samples, voice_activity.webrtc(_RATE))
  assert len(found) > 1
  want = [text_of_the_whole(trained, each) for each in found]
  flag = '--config.transcribe.cuts=webrtc'
  _, output, _ = transcribe('-', flag, stdin=stdin)
  assert output.splitlines() == want


def test_webrtc_that_is_not_installed_is_one_line(transcribe, monkeypatch):
  monkeypatch.setitem(sys.modules, 'webrtcvad', None)
  flag = '--config.transcribe.cuts=webrtc'
  status, output, errors = transcribe('-', flag, stdin=wav(speech()))
  assert (status, output, len(errors)) == (2, '', 1)
  assert 'of the extra vad; run: pip install' in errors[0]


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
    ('-', ['--config.transcribe.window_seconds=9'], 'window_seconds='),
    (
      '-',
      [
        '--config.transcribe.cuts=windows',
        '--config.transcribe.pause_seconds=0.5',
      ],
      'transcribe.pause_seconds=',
    ),
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
