"""All evaluations of a run, one directory each, and a summary of them."""

import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import rich.console

from fedjax_asr import config, json_file, run_error, run_files
from fedjax_asr.decoding import scores


def folder(
  path: pathlib.Path,
  report: dict[str, Any],
  transcripts: Sequence[scores.Transcript],
) -> pathlib.Path:
  """Where in `path`: elsewhere for other speech, another decoder or round.

  The same speech is the same wherever it lies; what was said is in the name
  only where the run does not say it, and the run only outside of its own
  directory, which may move.
  """
  name = _name(report, transcripts)
  run = pathlib.Path(report['run'])
  if not path.is_relative_to(run):
    name = f'{run.name}_{_digest(str(run))}-{name}'
  return path / name


def _name(report, transcripts) -> str:
  speech = report['subset']
  if speech == config.Subset.CORPUS or report['max_utterances']:
    said = [(item.utterance, item.reference) for item in transcripts]
    speech += f'_{_digest(said)}'
  decoder = report['decode']['method']
  defaults = config.as_dict(config.DecodeConfig(method=config.Decoder(decoder)))
  if report['decode'] != defaults:
    decoder += f'_{_digest(report["decode"])}'
  return f'{speech}-{decoder}-round_{report["round"]}'


def _digest(values: Any) -> str:
  content = json.dumps(values, sort_keys=True).encode()
  return hashlib.blake2b(content, digest_size=4).hexdigest()


def update(path: pathlib.Path) -> list[dict[str, Any]]:
  """Writes `summary.json` of all evaluations in `path`, and returns them.

  Raises:
    RunError: one of them is damaged.
  """
  files = run_files.RunFiles(path)
  found = sorted(path.glob(f'*/{files.evaluation.name}'))
  rows = [_row(file) for file in found]
  json_file.write(files.summary, rows)
  return rows


def _row(file: pathlib.Path) -> dict[str, Any]:
  report = json_file.read(file)
  try:
    return {
      'folder': file.parent.name,
      'run': report['run'],
      'subset': report['subset'],
      'corpus': report['data']['corpus'],
      'path': report['data']['path'],
      'decode': report['decode'],
      'round': report['round'],
      'num_utterances': report['num_utterances'],
      'num_speakers': report['num_speakers'],
      'wer': report['wer'],
      'cer': report['cer'],
    }
  except (KeyError, TypeError) as error:
    raise run_error.RunError(
      f'{file}: {error!r}; want an evaluation, or the folder removed.'
    ) from error


def show(rows: Sequence[dict[str, Any]], console: rich.console.Console) -> None:
  """A line for each, never folded: the folder is there to be copied."""
  console.print('all evaluations here:')
  for row in rows:
    console.print(
      f'  WER {row["wer"]["rate"]:7.2%}  CER {row["cer"]["rate"]:7.2%}  '
      f'{row["num_utterances"]:5} utterances of {row["corpus"]}  '
      f'{row["folder"]}',
      soft_wrap=True,
    )
