import json
import os
import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from fedjax_asr import saved_run
from fedjax_asr.decoding import long_form, text_decoder
from fedjax_asr.speech import audio, features

_CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'transcribe.py'
_RATE = 16_000


@pytest.fixture
def transcribe(cached, finished, capsys):
  """`transcribe(input, *flags)`: status, lines of output and of errors."""
  from fedjax_asr import main

  def run(path, *flags):
    capsys.readouterr()
    status = main.main(
      [
        'fedjax_asr',
        f'--config={_CONFIG}',
        f'--config.transcribe.run={finished[0]}',
        f'--config.transcribe.input={path}',
        *flags,
      ]
    )
    output, errors = capsys.readouterr()
    return status, output.splitlines(), errors.splitlines()

  return run


@pytest.fixture
def babble(monkeypatch):
  """Decoding that tells frames apart: the run's model has learnt nothing.

  A letter for each eighth frame, by what the model makes of it.
  """

  def chosen(cfg, alphabet):
    del cfg, alphabet

    def decoded(logits, num_frames):
      return [
        ''.join(chr(97 + int(1e3 * abs(row[3])) % 26) for row in rows[:count:8])
        for rows, count in zip(logits, num_frames, strict=True)
      ]

    return decoded

  monkeypatch.setattr(text_decoder, 'chosen', chosen)
  # Whatever such a model takes for a space or a blank is none.
  monkeypatch.setattr(long_form, '_cuts', lambda *_: ())
  return chosen(None, None)


def _write(path, seconds=1.0, rate=_RATE, seed=0, level=0.1, **options):
  rng = np.random.default_rng(seed)
  noise = level * rng.normal(size=int(seconds * rate))
  soundfile.write(path, noise, rate, **options)
  return path


def test_text_is_that_of_the_model(transcribe, babble, finished, tmp_path):
  """Of a recording that fits in a window, by the statistics of the run."""
  file = _write(tmp_path / 'a.wav', seconds=1.3)
  run = saved_run.load(finished[0], 'transcribe.run')
  values = features.extract(audio.read(file, _RATE), run.config.features)
  assert run.statistics is not None
  values = (values - run.statistics.mean) / run.statistics.std
  logits, num_outputs, _ = run.acoustic.apply(
    run.params,
    run.norm_state,
    jnp.asarray(values[None], jnp.float32),
    jnp.array([len(values)]),
    train=False,
  )
  (want,) = babble(np.asarray(logits), np.asarray(num_outputs))
  assert len(set(want)) > 3
  assert transcribe(file) == (0, [want], [])


def test_folder_gives_a_line_for_each_recording_in_order(
  transcribe, babble, tmp_path
):
  (tmp_path / 'b').mkdir()
  names = ('a.flac', 'b/x.WAV', 'c.ogg')
  for seed, name in enumerate(names):
    _write(tmp_path / name, seed=seed)
  (tmp_path / 'a.txt').write_text('not a recording')
  status, output, errors = transcribe(tmp_path)
  assert (status, errors) == (0, [])
  paths, texts = zip(*(line.split('\t') for line in output), strict=True)
  assert list(paths) == [str(tmp_path / name) for name in names]
  assert len(set(texts)) == 3
  assert transcribe(tmp_path / 'c.ogg')[1] == [texts[2]]


def test_json_has_times_and_what_is_printed(
  transcribe, babble, tmp_path, monkeypatch
):
  # The model has learnt nothing, not even blanks to cut at.
  monkeypatch.setattr(long_form, '_MAX_WAITING', 10)
  (tmp_path / 'in').mkdir()
  _write(tmp_path / 'in' / 'a.wav', seconds=5.0, rate=8000)
  (tmp_path / 'in' / 'b.wav').write_text('no audio')
  status, output, _ = transcribe(
    tmp_path / 'in',
    f'--config.transcribe.json={tmp_path / "text.json"}',
    '--config.transcribe.window_seconds=2',
    '--config.transcribe.overlap_seconds=0.5',
  )
  content = json.loads((tmp_path / 'text.json').read_text())
  assert status == 2
  assert content['round'] == 6
  good, bad = content['files']
  assert output == [f'{good["path"]}\t{good["text"]}']
  assert good['seconds'] == 5.0
  segments = good['segments']
  assert segments[0]['start'] == 0.0
  assert segments[-1]['end'] == 5.0
  assert len(segments) == 3
  assert ''.join(item['text'] for item in segments) == good['text']
  assert 'not audio' in bad['error']


def test_bad_files_of_a_folder_do_not_stop_the_others(transcribe, tmp_path):
  _write(tmp_path / 'a.wav', seed=1)
  (tmp_path / 'b.wav').write_text('no audio')
  (tmp_path / 'c.wav').write_bytes(b'')
  (tmp_path / 'd.wav').symlink_to(tmp_path / 'nowhere')
  whole = _write(tmp_path / 'e.wav', seconds=30).read_bytes()
  (tmp_path / 'e.wav').write_bytes(whole[: len(whole) // 2])
  _write(tmp_path / 'f.wav', seed=2)
  status, output, errors = transcribe(tmp_path)
  assert status == 2
  assert [line.split('\t')[0][-5:] for line in output] == ['a.wav', 'f.wav']
  for line, name, reason in zip(
    errors,
    'bcde',
    ('not audio', 'no bytes', 'No such file', 'truncated'),
    strict=False,
  ):
    assert line.startswith(f'error: {tmp_path}/{name}.wav: ')
    assert reason in line
  assert errors[4:] == [f'error: {tmp_path}: 4 of 6 files could not be read.']


@pytest.mark.usefixtures('without_formats')
def test_recordings_in_other_formats_are_not_passed_over(transcribe, tmp_path):
  folder = tmp_path / 'in'
  (folder / 'b').mkdir(parents=True)
  _write(folder / 'a.wav')
  for name in ('a.m4a', 'b/x.m4a', 'y.M4A', 'z.webm', 'notes.txt'):
    (folder / name).write_bytes(b'encoded')
  status, output, errors = transcribe(
    folder, f'--config.transcribe.json={tmp_path / "text.json"}'
  )
  assert (status, len(output)) == (2, 1)
  # a.m4a is what a.wav was converted from.
  assert errors == [
    f'error: not read: 2 .m4a, 1 .webm, such as {folder}/b/x.m4a; convert to '
    'WAV or FLAC, for instance with ffmpeg, or run: pip install '
    "'fedjax_asr[formats]'.",
    f'error: {folder}: 3 of 4 files could not be read.',
  ]
  files = json.loads((tmp_path / 'text.json').read_text())['files']
  assert [item.get('error', '')[-11:] for item in files] == [''] + 3 * [
    "[formats]'."
  ]
  (folder / 'a.wav').unlink()
  status, output, errors = transcribe(folder)
  assert (status, output, len(errors)) == (2, [], 1)
  assert 'that can be read (3 .m4a, 1 .webm, such as' in errors[0]
  status, output, errors = transcribe(folder / 'z.webm')
  assert (status, output, len(errors)) == (2, [], 1)
  assert 'z.webm: libsndfile does not read its format; convert to' in errors[0]


def test_names_that_are_not_utf_8_are_read_and_printed(
  finished, environment, tmp_path
):
  names = [b'caf\xe9.wav', b'\xff.wav', b'z.wav']
  folder = tmp_path / 'in'
  folder.mkdir()
  for name in names:
    _write(tmp_path / 'a.wav').rename(folder / os.fsdecode(name))
  (folder / os.fsdecode(b'\xfe.wav')).write_bytes(b'no audio')
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'fedjax_asr.main', f'--config={_CONFIG}'),
      f'--config.transcribe.run={finished[0]}',
      f'--config.transcribe.input={folder}',
      f'--config.transcribe.json={tmp_path / "text.json"}',
    ],
    capture_output=True,
    timeout=60,
    check=False,
    env={**environment, 'JAX_LOG_COMPILES': '0'},
  )
  assert done.returncode == 2
  printed = [line.split(b'\t')[0] for line in done.stdout.splitlines()]
  paths = [os.fsencode(folder) + b'/' + name for name in names]
  assert sorted(printed) == sorted(paths)
  first, last = done.stderr.decode().splitlines()
  assert first.startswith(f'error: {folder}/\\udcfe.wav: not audio')
  assert last.endswith('1 of 4 files could not be read.')
  files = json.loads((tmp_path / 'text.json').read_text())['files']
  found = {os.fsencode(item['path']) for item in files}
  assert found == {*paths, os.fsencode(folder) + b'/\xfe.wav'}


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda path: None, 'no such file or folder'),
    (
      lambda path: path.mkdir(),
      'no recordings in this folder that can be read;',
    ),
    (lambda path: path.write_text('no audio'), 'not audio'),
    (lambda path: path.write_bytes(b''), 'no bytes'),
    (
      lambda path: soundfile.write(path, np.zeros(0), _RATE, format='WAV'),
      'no samples',
    ),
    (
      lambda path: soundfile.write(
        path, np.full(9000, np.nan), _RATE, format='WAV', subtype='FLOAT'
      ),
      'NaN',
    ),
  ],
)
def test_input_that_cannot_be_read_is_one_line(
  transcribe, tmp_path, make, message
):
  make(tmp_path / 'in.wav')
  status, output, errors = transcribe(tmp_path / 'in.wav')
  assert (status, output, len(errors)) == (2, [], 1)
  assert 'in.wav' in errors[0]
  assert message in errors[0]


@pytest.mark.parametrize(
  ('seconds', 'level', 'message'),
  [
    (0.05, 0.1, '0.050 s hold no word'),
    (1 / _RATE, 0.1, '0.000 s hold no word'),
    (3.0, 0.0, 'silent'),
    (0.05, 0.0, '0.050 s hold no word'),
  ],
)
def test_what_holds_no_speech_has_no_text_and_a_warning(
  transcribe, tmp_path, seconds, level, message
):
  file = _write(tmp_path / 'a.wav', seconds, level=level)
  status, output, errors = transcribe(file)
  assert (status, output) == (0, [''])
  assert len(errors) == 1
  assert errors[0].startswith(f'warning: {file}: {message}')


def test_long_recording_is_never_whole_in_memory(
  transcribe, babble, tmp_path, monkeypatch
):
  """Ten minutes, in windows of ten seconds: no array is longer than a few."""
  longest, extract = [], features.extract

  def watched(waveform, cfg):
    longest.append(len(waveform))
    return extract(waveform, cfg)

  def unused(*_):
    raise AssertionError('read whole')

  monkeypatch.setattr(features, 'extract', watched)
  monkeypatch.setattr(audio, 'read', unused)
  file = tmp_path / 'long.wav'
  minute = 0.1 * np.random.default_rng(0).normal(size=60 * 8000)
  with soundfile.SoundFile(file, 'w', 8000, 1) as out:
    for _ in range(10):
      out.write(minute)
  status, output, errors = transcribe(
    file, '--config.transcribe.window_seconds=10'
  )
  assert (status, errors) == (0, [])
  assert len(output[0]) > 1000
  assert len(longest) == 75  # A window every 8 s.
  assert max(longest) < 11 * _RATE


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--config.transcribe.json=/nonesuch/a.json'], 'config.transcribe.json='),
    (['--config.transcribe.json=/'], 'config.transcribe.json='),
    (['--config.transcribe.overlap_seconds=10'], 'less than half'),
    (['--config.features.hop_ms=20'], 'goes by that of the run'),
    (['--config.transcribe.run=/nonesuch'], 'config.transcribe.run='),
    (['--config.transcribe.input='], 'config.transcribe.input='),
  ],
)
def test_flag_that_cannot_work_is_one_line(
  transcribe, tmp_path, flags, message
):
  status, output, errors = transcribe(_write(tmp_path / 'a.wav'), *flags)
  assert (status, output, len(errors)) == (2, [], 1)
  assert message in errors[0]


def test_reader_that_has_had_enough_is_no_defect(
  finished, environment, tmp_path
):
  """As in `... | head -1`."""
  for seed in range(3):
    _write(tmp_path / f'{seed}.wav', seed=seed)
  read, write = os.pipe()
  os.close(read)
  with os.fdopen(write, 'w') as closed:
    done = subprocess.run(
      [
        *(sys.executable, '-m', 'fedjax_asr.main', f'--config={_CONFIG}'),
        f'--config.transcribe.run={finished[0]}',
        f'--config.transcribe.input={tmp_path}',
      ],
      stdout=closed,
      stderr=subprocess.PIPE,
      text=True,
      timeout=60,
      check=False,
      env={**environment, 'JAX_LOG_COMPILES': '0'},
    )
  assert (done.returncode, done.stderr) == (141, '')
