"""Text of recordings, by a finished run."""

import functools
import io
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import rich.console

from fedjax_asr import (
  config,
  home,
  interruption,
  json_file,
  progress,
  run_error,
  saved_run,
)
from fedjax_asr.decoding import long_form, text_decoder
from fedjax_asr.jobs import disk_errors, printed_text, transcribe_stream
from fedjax_asr.speech import audio, formats, pauses, voice_activity, windows

# Shorter recordings hold no word.
MIN_SECONDS = transcribe_stream.MIN_SECONDS

# Seconds of a recording that are done, and all.
_Report = Callable[[float, float], None]
_Listen = Callable[[pathlib.Path, _Report], long_form.Recording]


class _Outcome(NamedTuple):
  """Of one file: a recording, or why there is none."""

  path: pathlib.Path
  recording: long_form.Recording | None
  error: str


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Prints the text of a file, or `path<TAB>text` of each file in a folder.

  Files come in the order of their paths, which are printed byte for byte. What
  is wrong with a file of a folder is said on standard error, and the others go
  on; recordings in formats that are not read are said to be there. Nothing is
  written but `config.transcribe.json`, so there is no work directory.

  Raises:
    UserError: of any room; in the end, too, where a file could not be read.
  """
  del workdir, allow_config_change
  if cfg.transcribe.stream:
    _run_stream(cfg)
    return
  files, others, is_folder = _files(cfg.transcribe.input)
  saved = _loaded(cfg)
  listen = _listening(cfg, saved)
  # Standard output is for text alone.
  console = rich.console.Console(stderr=True, highlight=False, markup=False)
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors='surrogateescape')
  outcomes = []
  what = 'files' if is_folder else 'seconds'
  with progress.Counted(console, what) as bar:
    for number, path in enumerate(files):
      interruption.check()
      if is_folder:
        bar.tell(str(path))
      report = _reported(bar, number, len(files), is_folder)
      heard = functools.partial(listen, path, report)
      outcome = _outcome(path, heard, is_folder)
      outcomes.append(outcome)
      with bar.paused():
        _show(outcome, is_folder)
  if others:
    print(f'error: not read: {formats.described(others)}.', file=sys.stderr)
    reason = f'its format is not read; {formats.ADVICE}.'
    outcomes += [_Outcome(path, None, f'{path}: {reason}') for path in others]
  if cfg.transcribe.json:
    _write(home.expanded(cfg.transcribe.json), saved, outcomes)
  num_bad = sum(bool(outcome.error) for outcome in outcomes)
  if num_bad:
    raise audio.AudioError(
      f'{cfg.transcribe.input}: {num_bad} of {len(outcomes)} files could not '
      'be read.'
    )


def _reported(
  bar: progress.Counted, number: int, num_files: int, is_folder: bool
) -> _Report:
  """Shows how far the files are, or the one file; a signal ends it there."""

  def report(done: float, seconds: float) -> None:
    interruption.check()
    if is_folder:
      bar.report(number + min(done / seconds, 1), num_files)
    else:
      bar.report(done, round(seconds))

  return report


def _run_stream(cfg: config.Config) -> None:
  """Words of one recording, while it is read."""
  transcribe_stream.check_input(cfg.transcribe.input)
  saved = _loaded(cfg)
  recording, summary = transcribe_stream.run(cfg.transcribe, saved)
  path = pathlib.Path(cfg.transcribe.input)
  _warn(path, recording)
  print(summary.described(), file=sys.stderr)
  if cfg.transcribe.json:
    outcomes = [_Outcome(path, recording, '')]
    file = home.expanded(cfg.transcribe.json)
    _write(file, saved, outcomes, {'stream': summary.as_dict()})


def _loaded(cfg: config.Config) -> saved_run.SavedRun:
  """The run, once it is known that a result could be written."""
  _check_json(cfg.transcribe.json)
  saved = saved_run.load(
    cfg.transcribe.run, 'transcribe.run', cfg.transcribe.round
  )
  _check_kind(saved)
  return saved


def _files(name: str) -> tuple[list[pathlib.Path], list[pathlib.Path], bool]:
  """Recordings in order, those not read, and whether they are of a folder."""
  path = home.expanded(name)
  if not path.is_dir():
    if not path.exists():
      raise audio.AudioError(
        f'config.transcribe.input={name!r}: no such file or folder.'
      )
    return [path], [], False
  items = [item for item in sorted(path.rglob('*')) if not item.is_dir()]
  found = formats.read(items)
  others = formats.other(items)
  if not found:
    endings = ', '.join(sorted(formats.endings()))
    there = f' ({formats.described(others)})' if others else ''
    raise audio.AudioError(
      f'config.transcribe.input={name!r}: no recordings in this folder that '
      f'can be read{there}; want files that end in {endings}.'
    )
  return found, others, True


def _check_json(name: str) -> None:
  """Before hours of work that could not be written."""
  path = home.expanded(name)
  if name and (path.is_dir() or not os.access(path.parent, os.W_OK)):
    raise config.ConfigError(
      f'config.transcribe.json={name!r}; want a file in a folder that can be '
      'written.'
    )


def _check_kind(saved: saved_run.SavedRun) -> None:
  if saved.config.features.kind is config.FeatureKind.PRECOMPUTED:
    raise run_error.RunError(
      f'{saved.path} was trained on features.kind=precomputed, which cannot be '
      'computed from audio; want a run of another kind (or the job evaluate on '
      'a manifest of such features).'
    )


def _listening(cfg: config.Config, saved: saved_run.SavedRun) -> _Listen:
  """Recognises one file after another with what is compiled once."""
  features = saved.config.features
  voice_activity.check(cfg.transcribe.cuts, features.sample_rate)
  sizes = windows.layout(
    cfg.transcribe.window_seconds,
    cfg.transcribe.overlap_seconds,
    long_form.time_stride(saved.acoustic),
    features,
  )
  listener = long_form.Listener(
    saved.acoustic,
    saved.params,
    saved.norm_state,
    features,
    saved.statistics,
    sizes,
  )
  decoder = text_decoder.chosen(cfg.decode, saved.alphabet)

  def listen(path, report):
    seconds = audio.duration(path)
    if seconds < MIN_SECONDS:
      return _nothing(path, features.sample_rate)
    return long_form.recognized(
      audio.stream(path, features.sample_rate),
      listener,
      decoder,
      saved.alphabet,
      lambda done: report(done, seconds),
      cutting(cfg.transcribe, features.sample_rate),
    )

  return listen


def cutting(cfg: config.TranscribeConfig, sample_rate: int):
  """How `long_form.recognized` is to cut one recording."""
  match cfg.cuts:
    case config.Cuts.WINDOWS:
      return long_form.whole
    case config.Cuts.WEBRTC:
      detector = voice_activity.webrtc(sample_rate)
    case config.Cuts.ENERGY:
      detector = voice_activity.energy()
  return lambda blocks: pauses.stretches(
    blocks, detector, cfg.pause_seconds, sample_rate
  )


def _nothing(path: pathlib.Path, sample_rate: int) -> long_form.Recording:
  """Of a recording that is too short, once it is read."""
  seconds = len(audio.read(path, sample_rate)) / sample_rate
  return long_form.Recording(seconds, '', [], is_silent=False)


def _outcome(
  path: pathlib.Path,
  listen: Callable[[], long_form.Recording],
  is_folder: bool,
) -> _Outcome:
  """Raises `AudioError` for the one file that was asked for."""
  try:
    return _Outcome(path, listen(), '')
  except audio.AudioError as error:
    if not is_folder:
      raise
    return _Outcome(path, None, ' '.join(str(error).split()))


def _show(outcome: _Outcome, is_folder: bool) -> None:
  recording = outcome.recording
  if recording is None:
    print(f'error: {outcome.error}', file=sys.stderr)
    return
  _warn(outcome.path, recording)
  before = f'{outcome.path}\t' if is_folder else ''
  printed_text.show(f'{before}{recording.text}\n')


def _warn(path: pathlib.Path, recording: long_form.Recording) -> None:
  """Of a recording in which there can be no word."""
  if recording.seconds < MIN_SECONDS:
    print(
      f'warning: {path}: {recording.seconds:.3f} s hold no word; its '
      'text is empty.',
      file=sys.stderr,
    )
  elif recording.is_silent:
    print(f'warning: {path}: silent; its text is empty.', file=sys.stderr)


def _write(
  path: pathlib.Path,
  saved: saved_run.SavedRun,
  outcomes: list[_Outcome],
  more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
  content = {
    'run': str(saved.path),
    'round': saved.round,
    'files': [_described(outcome) for outcome in outcomes],
    **more,
  }
  with disk_errors.explained(path):
    json_file.write(path, content)


def _described(outcome: _Outcome) -> dict[str, Any]:
  recording = outcome.recording
  if recording is None:
    return {'path': str(outcome.path), 'error': outcome.error}
  return {
    'path': str(outcome.path),
    'seconds': round(recording.seconds, 3),
    'text': recording.text,
    'segments': [
      {
        'start': round(segment.start, 3),
        'end': round(segment.end, 3),
        'text': segment.text,
      }
      for segment in recording.segments
    ],
  }
