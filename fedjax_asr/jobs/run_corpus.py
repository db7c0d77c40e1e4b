"""The speech of a run: where it lies, and whether it is still the same."""

import dataclasses
import json
import pathlib
import sys
from typing import Any

import rich.console

from fedjax_asr import (
  config,
  home,
  json_file,
  run_directory,
  run_error,
  run_files,
  run_history,
  saved_run,
)
from fedjax_asr.corpora import datasets, fingerprint, store, utterance

_PLACES = ('path', 'heldout_path', 'cache_dir')


def recorded(cfg: config.DataConfig, data: datasets.Datasets) -> str:
  """The content of `corpus.json`: absolute paths, and a fingerprint."""
  places = {name: _absolute(getattr(cfg, name)) for name in _PLACES}
  values = {'places': places, **fingerprint.as_dict(fingerprint.of(data))}
  return json.dumps(values, indent=1) + '\n'


def check_resumed(
  directory: run_directory.RunDirectory,
  data: datasets.Datasets,
  console: rich.console.Console,
) -> None:
  """Compares with what the rounds behind a run were trained on.

  Where `--allow_config_change` permits another corpus, it is one of the run's
  `changes`, and a warning. A run of a version that kept no record has a
  warning too.

  Raises:
    CorpusError: it is another, with what differs.
  """
  file = directory.corpus
  record = _read(file)
  if record is None:
    console.print(f'warning: {_unknown(file)}')
    return
  difference = _difference(record, data)
  if not difference:
    return
  if not directory.allow_config_change:
    raise utterance.CorpusError(
      f'{directory.path}: its corpus has changed: {difference}. Want it as it '
      'was, another --workdir, or --allow_config_change to go on with this one.'
    )
  directory.changes.append(f'corpus: {difference}')
  console.print(
    f'warning: going on with another corpus: {difference}. What is held out '
    'now may have been trained on.'
  )


def prepare(
  run: saved_run.SavedRun, given: config.DataConfig, report: store.Report
) -> datasets.Datasets:
  """The sets of a run's split, found again, and checked to be the same.

  `given` overrides where speech and features lie; all else is the run's.
  Nothing is checked of a model that was never trained.

  Raises:
    UserError: the corpus cannot be read, or is not the one that the run was
      trained on.
  """
  file = run_history.of_round(run_files.RunFiles(run.path).corpus, run.round)
  record = _read(file) if run.round else None
  places = record['places'] if record else {}
  data = datasets.prepare(
    _placed(run, given, places),
    run.config.features,
    run.acoustic.num_output_frames,
    run.config.seed,
    report,
    run.alphabet,
  )
  if not run.round:
    return data
  if record is None:
    print(f'warning: {_unknown(file)}', file=sys.stderr)
    _check_transcripts(run, data)
    return data
  difference = _difference(record, data)
  if difference:
    raise utterance.CorpusError(
      f'{run.path}: its corpus has changed: {difference}. Want it as it was '
      '(--config.data.path= where it lies now), or the subset corpus.'
    )
  return data


def _absolute(path: str) -> str:
  return str(home.expanded(path).absolute()) if path else ''


def _placed(
  run: saved_run.SavedRun, given: config.DataConfig, places: dict[str, str]
) -> config.DataConfig:
  """Where asked for, or where the run found it, or what was typed then."""
  data, default = run.config.data, config.DataConfig()
  found: dict[str, Any] = {'num_workers': given.num_workers or data.num_workers}
  for name in _PLACES:
    asked, typed = getattr(given, name), getattr(data, name)
    kept = places.get(name, '')
    if asked != getattr(default, name):
      found[name] = asked
    elif _is_relative(typed) and kept and pathlib.Path(kept).exists():
      found[name] = kept
    else:
      found[name] = typed
    if name != 'cache_dir' and found[name]:
      _check_there(run, name, found[name])
  return dataclasses.replace(data, **found)


def _is_relative(path: str) -> bool:
  return not home.expanded(path).is_absolute()


def _check_there(run: saved_run.SavedRun, name: str, path: str) -> None:
  if not home.expanded(path).exists():
    raise utterance.CorpusError(
      f'{run.path}: its corpus, config.data.{name}={path!r}, is not there; '
      f'want --config.data.{name}= where it lies now.'
    )


def _read(file: pathlib.Path) -> dict[str, Any] | None:
  """None of a run of a version that kept no such record."""
  if not file.exists():
    return None
  values = json_file.read(file)
  try:
    places = values.pop('places')
    return {'places': dict(places), 'then': fingerprint.from_dict(values)}
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise run_error.RunError(
      f'{file}: {error}; want it as training left it.'
    ) from error


def _difference(record: dict[str, Any], data: datasets.Datasets) -> str:
  return fingerprint.difference(record['then'], fingerprint.of(data))


def _unknown(file: pathlib.Path) -> str:
  return (
    f'{file} is missing, as in runs of earlier versions: whether the corpus is '
    'the one that the run was trained on cannot be told'
  )


def _check_transcripts(
  run: saved_run.SavedRun, data: datasets.Datasets
) -> None:
  """Raises where what the run last held out is not what is held out now."""
  file = run_files.RunFiles(run.path).transcripts
  if not file.exists():  # A run that nothing was held out of.
    return
  held_out = data.heldout_speakers
  if not len(held_out):
    held_out = data.heldout_utterances
  now = dict(zip(held_out.ids, held_out.texts, strict=True))
  then = json_file.read(file)['transcripts']
  for item in then:
    if now.get(item['utterance']) != item['reference']:
      raise utterance.CorpusError(
        f'{run.path}: held out {item["utterance"]!r} in training, and would '
        'not now: its corpus has changed. Evaluate subset=corpus instead.'
      )
