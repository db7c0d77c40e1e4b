"""Takes a fresh clone through every command of the README.

  python benchmarks/readme_walk.py RESULT.json [--only=1,4] [--gpu]
      [--librispeech=FOLDER] [--python=PYTHON] [--environment=FOLDER]
      [--limit=SECONDS]

Clones the checkout that this file is in (what is committed), makes a virtual
environment and an empty home directory, and runs the commands one after
another in the clone, as a reader does who has nothing else; a command that
fails does not stop the others. Exit status 1 if any failed, 2 for a mistake of
the user.

Speech that the README takes from its reader (`my/manifest.jsonl`,
`recordings/`, `recording.wav`) is put there by speech_manifest.py. Commands for
a GPU or LibriSpeech are skipped without --gpu and --librispeech, which names
the folder of train-clean-100 and dev-clean.

  --only=1,4            commands by number, those of the log; without
                        --environment the first has to be one of them.
  --python=python3.12   makes the environment (the one that runs this).
  --environment=FOLDER  is used in place of a fresh one, with the package of the
                        clone; commands that install are skipped then.
  --limit=7200          seconds for each command.

RESULT.json gets every command with exit status, seconds and its last lines, and
RESULT.log a line for each, as they end.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import readme_blocks

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
_NUM_LINES, _LINE_LENGTH = 6, 400
# Needs of the reader's own speech, and what makes a stand-in.
_SPEECH = ('manifest', 'recording')
PREPARED = (
  'python benchmarks/speech_manifest.py my',
  'mkdir recordings && cp my/*-u0000.wav recordings',
  'cp my/s0000-u0001.wav recording.wav',
)
# A reader's shell has none of these set for this package.
_FOREIGN = ('PYTHON', 'JAX_', 'XLA_', 'VIRTUAL_ENV', 'PYTEST_', 'COV_')
# Where packages are downloaded from is a setting of the machine.
_SETTINGS = {
  'PIP_CONFIG_FILE': '.config/pip/pip.conf',
  'NPM_CONFIG_USERCONFIG': '.npmrc',
}


class Place(NamedTuple):
  """Where commands run, and what no record may name."""

  scratch: pathlib.Path
  clone: pathlib.Path
  environment: pathlib.Path
  home: pathlib.Path
  is_fresh: bool


class Outcome(NamedTuple):
  """What a command came to.

  status: passed, failed, timed out or skipped.
  exit_status: None where it did not end by itself.
  output: the last lines of both streams, or why it was skipped.
  """

  status: str
  exit_status: int | None
  seconds: float
  output: list[str]


def main(argv: list[str]) -> int:
  flags = _flags(argv)
  with tempfile.TemporaryDirectory() as scratch:
    clone = _clone(pathlib.Path(scratch), flags)
    page = (clone / 'README.md').read_text(encoding='utf-8')
    wanted = _wanted(readme_blocks.commands(page), flags.only)
    place = _place(clone, flags)
    log = flags.result.with_suffix('.log')
    log.write_text('')
    record = _about(argv, place)
    for command in wanted:
      reason = _missing(command, flags)
      if reason:
        outcome = Outcome('skipped', None, 0.0, [reason])
      else:
        _prepare(command, record, place, flags.limit)
        outcome = run(command.text, place, flags.limit)
      record['commands'].append(command._asdict() | outcome._asdict())
      flags.result.write_text(json.dumps(record, indent=1) + '\n')
      _say(log, command, outcome)
  return exit_status(record)


def exit_status(record: dict) -> int:
  """1 if a command failed or did not end, or the speech was not made."""
  ended = [*record['commands'], *record['prepared']]
  return int(any(each['status'] in ('failed', 'timed out') for each in ended))


def run(command: str, place: Place, limit: float) -> Outcome:
  """Runs a command in the clone, as bash does, with the environment's own.

  All processes that it started are ended with it at the limit.
  """
  started = time.monotonic()
  with tempfile.TemporaryFile(dir=place.scratch) as output:
    process = subprocess.Popen(
      ['bash', '-c', command],
      cwd=place.clone,
      env=_variables(place),
      stdin=subprocess.DEVNULL,
      stdout=output,
      stderr=subprocess.STDOUT,
      start_new_session=True,
    )
    try:
      code = process.wait(limit)
    except BaseException as error:
      os.killpg(process.pid, signal.SIGKILL)
      process.wait()
      if not isinstance(error, subprocess.TimeoutExpired):
        raise
      code = None
    seconds = round(time.monotonic() - started, 1)
    output.seek(0)
    lines = _last_lines(output.read().decode(errors='replace'), place)
  status = 'timed out' if code is None else 'failed' if code else 'passed'
  return Outcome(status, code, seconds, lines)


def _flags(argv: list[str]) -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('result', type=pathlib.Path)
  parser.add_argument('--only', type=_numbers, default=[])
  parser.add_argument('--gpu', action='store_true')
  parser.add_argument('--librispeech', type=pathlib.Path)
  parser.add_argument('--python', default=sys.executable)
  parser.add_argument('--environment', type=pathlib.Path)
  parser.add_argument('--limit', type=float, default=7200.0)
  return parser.parse_args(argv[1:])


def _numbers(text: str) -> list[int]:
  return [int(number) for number in text.split(',')]


def _wanted(
  commands: list[readme_blocks.Command], only: list[int]
) -> list[readme_blocks.Command]:
  unknown = set(only) - {command.number for command in commands}
  if unknown:
    print(
      f'error: --only={min(unknown)}; want 1 to {len(commands)}.',
      file=sys.stderr,
    )
    raise SystemExit(2)
  return [each for each in commands if not only or each.number in only]


def _clone(scratch: pathlib.Path, flags: argparse.Namespace) -> pathlib.Path:
  """What is committed, and LibriSpeech where the README has it."""
  clone = scratch / 'clone'
  source = ['git', 'clone', '--quiet', str(CHECKOUT), str(clone)]
  subprocess.run(source, check=True)
  if flags.librispeech:
    (clone / 'LibriSpeech').symlink_to(flags.librispeech.resolve())
  return clone


def _place(clone: pathlib.Path, flags: argparse.Namespace) -> Place:
  """A home and an environment beside the clone."""
  scratch = clone.parent
  home = scratch / 'home'
  home.mkdir()
  if flags.environment:
    found = flags.environment.absolute()
    return Place(scratch, clone, found, home, is_fresh=False)
  environment = scratch / 'environment'
  subprocess.run([flags.python, '-m', 'venv', str(environment)], check=True)
  return Place(scratch, clone, environment, home, is_fresh=True)


def _missing(command: readme_blocks.Command, flags: argparse.Namespace) -> str:
  """Why a command cannot be run here; '' if it can."""
  if command.needs == 'gpu' and not flags.gpu:
    return 'needs a GPU; --gpu runs it.'
  if command.needs == 'librispeech' and not flags.librispeech:
    return 'needs LibriSpeech; --librispeech=FOLDER runs it.'
  if command.text.startswith('pip install') and flags.environment:
    return 'installs; --environment is as it is.'
  return ''


def _prepare(
  command: readme_blocks.Command, record: dict, place: Place, limit: float
) -> None:
  """Makes the reader's speech before the first command that needs it."""
  if command.needs not in _SPEECH or record['prepared']:
    return
  for text in PREPARED:
    outcome = run(text, place, limit)
    record['prepared'].append({'text': text} | outcome._asdict())


def _variables(place: Place) -> dict[str, str]:
  """The environment's programs first, an empty home, no settings of ours."""
  theirs = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(_FOREIGN) and name != 'XDG_CACHE_HOME'
  }
  for name, file in _SETTINGS.items():
    if (pathlib.Path.home() / file).is_file():
      theirs.setdefault(name, str(pathlib.Path.home() / file))
  theirs['PATH'] = f'{place.environment / "bin"}{os.pathsep}{theirs["PATH"]}'
  theirs['HOME'] = str(place.home)
  theirs['TMPDIR'] = str(place.scratch)
  if place.is_fresh:
    theirs['VIRTUAL_ENV'] = str(place.environment)
  else:
    theirs['PYTHONPATH'] = str(place.clone)
  return theirs


def _last_lines(text: str, place: Place) -> list[str]:
  """Without the folders of this machine; of a progress bar its last state."""
  names = {
    place.clone: '<clone>',
    place.environment: '<environment>',
    place.home: '<home>',
    place.scratch: '<scratch>',
    CHECKOUT: '<checkout>',
    pathlib.Path(sys.base_prefix): '<python>',
    pathlib.Path.home(): '<home>',
  }
  for path, name in names.items():
    if path != pathlib.Path('/'):
      text = text.replace(str(path), name)
  lines = [line.rpartition('\r')[2].rstrip() for line in text.split('\n')]
  return [line[:_LINE_LENGTH] for line in lines if line][-_NUM_LINES:]


def _about(argv: list[str], place: Place) -> dict:
  options = [word for word in argv[2:] if word.startswith('--only')]
  return {
    'command': ' '.join(['readme_walk.py', 'RESULT.json', *options]),
    'commit': _said(['git', 'rev-parse', 'HEAD'], place),
    'python': _said([place.environment / 'bin/python', '--version'], place),
    'environment': 'fresh' if place.is_fresh else 'given by --environment',
    'cpu': _cpu(),
    'cores': len(os.sched_getaffinity(0)),
    # Speech of the reader that was made, and how.
    'prepared': [],
    'commands': [],
  }


def _said(command: list, place: Place) -> str:
  said = subprocess.run(
    command, cwd=place.clone, check=True, capture_output=True, text=True
  )
  return said.stdout.strip()


def _cpu() -> str:
  lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
  names = {line.partition(': ')[2] for line in lines if 'model name' in line}
  return ', '.join(sorted(names))


def _say(
  log: pathlib.Path, command: readme_blocks.Command, outcome: Outcome
) -> None:
  """A line on standard output and in the log."""
  line = (
    f'{command.number:3} {outcome.status:9} {outcome.seconds:8.1f} s  '
    f'README.md:{command.line}  {command.text}'
  )
  print(line, flush=True)
  with log.open('a') as file:
    file.write(f'{line}\n')


if __name__ == '__main__':
  sys.exit(main(sys.argv))
