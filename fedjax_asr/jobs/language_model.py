"""Trains an n-gram model of the training transcripts, for the beam search."""

import os
from typing import NamedTuple

import rich.console

from fedjax_asr import (
  config,
  home,
  run_directory,
  run_files,
  saved_run,
  whole_file,
)
from fedjax_asr.corpora import audit, datasets, problem, store, utterance
from fedjax_asr.decoding import language_model, ngram
from fedjax_asr.jobs import disk_errors, preparation, run_corpus
from fedjax_asr.speech import alphabets, transcript


class _Sentences(NamedTuple):
  """Normalised transcripts, none empty; those to measure on by set."""

  train: list[str]
  heldout: dict[str, list[str]]
  alphabet: alphabets.Alphabet


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Writes `language_model.arpa` and, for words, `lexicon.txt`.

  Held-out transcripts are never trained on: the split is that of the job
  `train`, for the same config, or for that of `language_model.run`.

  Raises:
    UserError: there is nothing to train on, or it cannot be read or written.
  """
  console = rich.console.Console(highlight=False, markup=False, soft_wrap=True)
  with run_directory.open_run(
    workdir, cfg, allow_config_change=allow_config_change
  ) as directory:
    sentences = _sentences(cfg, directory, console)
    with preparation.reported(console, 'n-grams') as told:
      trained = _trained(cfg.language_model, sentences, told)
    directory.begin()
    with disk_errors.explained(directory.path):
      _write(cfg.language_model, trained, sentences.train, directory)
  with preparation.reported(console, 'perplexity') as told:
    lines = _report(cfg.language_model, trained, sentences, told)
  for line in lines:
    console.print(line)
  console.print(_usage(cfg.language_model, directory))


def _sentences(
  cfg: config.Config,
  directory: run_directory.RunDirectory,
  console: rich.console.Console,
) -> _Sentences:
  if cfg.language_model.text:
    return _lines(cfg.language_model.text, cfg.data, directory, console)
  # Features decide which utterances can be used, and so the split.
  if cfg.language_model.run:
    data = _of_run(cfg, console)
  else:
    data = preparation.prepare(cfg, console)
  preparation.write(data, directory)
  heldout = {
    'held-out speakers': data.heldout_speakers.texts,
    'held-out utterances': data.heldout_utterances.texts,
  }
  return _Sentences(
    train=data.train.texts,
    heldout={name: found for name, found in heldout.items() if found},
    alphabet=data.alphabet,
  )


def _of_run(
  cfg: config.Config, console: rich.console.Console
) -> datasets.Datasets:
  saved = saved_run.load(cfg.language_model.run, 'language_model.run')
  with preparation.reported(console) as report:
    return run_corpus.prepare(saved, cfg.data, report)


def _lines(
  path: str,
  data: config.DataConfig,
  directory: run_directory.RunDirectory,
  console: rich.console.Console,
) -> _Sentences:
  """Those of a text file, one a line, as of a corpus's transcripts."""
  transcript.check(data)
  alphabet = alphabets.of_config(data)
  try:
    content = home.expanded(path).read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, 'strerror', None) or 'it is not UTF-8'
    raise utterance.CorpusError(
      f'config.language_model.text={path!r}: {reason}; want a text file with a '
      'sentence a line.'
    ) from error
  sentences, problems = [], []
  for number, line in enumerate(content.split('\n'), 1):
    said = transcript.spelled(line, data, alphabet)
    found = audit.transcript_problem(said, '', f'{path}:{number}')
    if found is None or found.is_warning:
      sentences.append(said.text)
    if found is not None and line.strip():
      problems.append(found)
  _settle(problems, data, directory, console)
  if not sentences:
    raise utterance.CorpusError(
      f'config.language_model.text={path!r} has no line with letters; want a '
      'sentence a line.'
    )
  if alphabet.is_open:
    alphabet, _ = alphabets.of_texts(sentences, alphabet.rules)
  return _Sentences(train=sentences, heldout={}, alphabet=alphabet)


def _settle(
  problems: list[problem.Problem],
  data: config.DataConfig,
  directory: run_directory.RunDirectory,
  console: rich.console.Console,
) -> None:
  audit.settle(problems, data.on_bad_utterance)
  with disk_errors.explained(directory.path):
    audit.write(problems, directory.skipped)
  num_bad = sum(not each.is_warning for each in problems)
  if num_bad:
    console.print(f'left out: {num_bad} bad lines ({directory.skipped.name})')


def _symbols(
  unit: config.LanguageUnit, sentence: str, alphabet: alphabets.Alphabet
) -> list[str]:
  if unit is config.LanguageUnit.WORDS:
    return sentence.split()
  return language_model.characters(sentence, alphabet)


def _trained(
  cfg: config.LanguageModelConfig, sentences: _Sentences, told: store.Report
) -> ngram.Model:
  alphabet = sentences.alphabet
  if cfg.unit is config.LanguageUnit.WORDS and alphabet.space is None:
    raise config.ConfigError(
      'config.language_model.unit=words needs an alphabet with a space, as '
      "decoding by words does, and this one has none; want 'characters', which "
      'are its symbols.'
    )
  rows = [_symbols(cfg.unit, line, alphabet) for line in sentences.train]
  longest = max(map(len, rows)) + 2
  if longest < cfg.order:
    raise config.ConfigError(
      f'config.language_model.order={cfg.order}; want at most {longest}, the '
      f'{cfg.unit} of the longest sentence with its two ends.'
    )
  is_closed = cfg.unit is config.LanguageUnit.CHARACTERS
  return ngram.train(
    rows,
    cfg.order,
    language_model.symbols(alphabet) if is_closed else (),
    told,
  )


def _write(
  cfg: config.LanguageModelConfig,
  trained: ngram.Model,
  sentences: list[str],
  files: run_files.RunFiles,
) -> None:
  whole_file.replace_text(files.language_model, ngram.arpa(trained))
  if cfg.unit is config.LanguageUnit.WORDS:
    words = sorted({word for line in sentences for word in line.split()})
    whole_file.replace_text(files.lexicon, '\n'.join([*words, '']))


def _report(
  cfg: config.LanguageModelConfig,
  trained: ngram.Model,
  sentences: _Sentences,
  told: store.Report,
) -> list[str]:
  counts = ', '.join(map(str, trained.num_ngrams()))
  lines = [
    f'{len(sentences.train)} sentences, n-grams of 1 to {cfg.order} '
    f'{cfg.unit}: {counts}'
  ]
  sets = {'training': sentences.train, **sentences.heldout}
  for number, (name, heldout) in enumerate(sets.items()):
    told(number, len(sets))
    rows = [_symbols(cfg.unit, line, sentences.alphabet) for line in heldout]
    fit = ngram.fit(trained, rows)
    lines.append(
      f'perplexity on {name}: {fit.perplexity:.2f} ({len(heldout)} sentences, '
      f'{fit.num_symbols} {cfg.unit} with the ends, {fit.num_unknown} unknown)'
    )
  return lines


def _usage(cfg: config.LanguageModelConfig, files: run_files.RunFiles) -> str:
  flags = [f'--config.decode.language_model={files.language_model}']
  if cfg.unit is config.LanguageUnit.WORDS:
    flags.append(f'--config.decode.lexicon={files.lexicon}')
  return ' '.join(['use: --config.decode.method=beam', *flags])
