"""What a run was and how well it does, in sentences."""

from collections.abc import Callable
from typing import Any

from fedjax_asr import config, run_config
from fedjax_asr.figures import dashboard, drawn_run
from fedjax_asr.models import model
from fedjax_asr.report_pages import blocks, command, heard, said

_ARCHITECTURES = {
  config.Architecture.DS1: 'DeepSpeech 1',
  config.Architecture.DS2: 'DeepSpeech 2',
}


def of_training(run: drawn_run.DrawnRun) -> list[blocks.Block]:
  """Headline numbers and a paragraph; what is not known is named."""
  found: list[blocks.Block] = []
  try:
    rows = dashboard.headline(run, run.metrics)
    found.append(blocks.Facts(rows, is_headline=True))
  except drawn_run.Missing as missing:
    found.append(blocks.Absent(str(missing)))
  found += _told(run, (_trained, _clients, _progress, _rates, machine, _kept))
  return [*found, *reproduced(run)]


def _told(
  run: drawn_run.DrawnRun, sentences: tuple[Callable[..., str], ...]
) -> list[blocks.Block]:
  """A paragraph, and each thing that is missing for it."""
  told, reasons = [], []
  for sentence in sentences:
    try:
      told.append(sentence(run))
    except drawn_run.Missing as missing:
      reasons.append(str(missing))
  text = [blocks.Text(' '.join(filter(None, told)))] if any(told) else []
  return [*text, *(blocks.Absent(each) for each in dict.fromkeys(reasons))]


def _trained(run: drawn_run.DrawnRun) -> str:
  cfg = run.config
  name = _ARCHITECTURES[cfg.model.architecture]
  try:
    size = f' ({model.num_parameters(run.saved.params):,} parameters)'
  except drawn_run.Missing:
    size = ''
  corpus = cfg.data.corpus.value
  if cfg.data.corpus is config.Corpus.SYNTHETIC:
    made = cfg.data.synthetic
    corpus += f' ({made.grammar.value}, language {made.language})'
  return (
    f'{name}{size} was trained by {cfg.federated.algorithm.value} on the '
    f'corpus {corpus}.'
  )


def _clients(run: drawn_run.DrawnRun) -> str:
  people = run.population
  speakers, utterances = people['speakers'], people['utterances']
  listed = people['clients']
  seconds = sum(each['seconds'] for each in listed)
  speech = dashboard.duration(seconds)
  if len(listed) < people['num_clients']:
    speech = f'more than {speech}'
  heldout = [
    f'{said.count(utterances[name], "utterance")} of {whose}'
    for name, whose in (
      (
        'heldout_speakers',
        said.count(speakers['heldout_speakers'], 'other speaker'),
      ),
      ('heldout_utterances', 'the same speakers'),
    )
    if utterances[name]
  ]
  cohort = run.config.federated.cohort_size
  return (
    f'It had {said.count(utterances["train"], "utterance")} ({speech} of '
    f'speech) of {said.count(speakers["train"], "speaker")}, as '
    f'{said.count(people["num_clients"], "client")}, {cohort} of them a round; '
    f'held out: {said.joined(heldout) or "none"}.'
  )


def _progress(run: drawn_run.DrawnRun) -> str:
  wanted = run.config.federated.num_rounds
  done = run.metrics[-1]['round']
  if done >= wanted:
    return f'All {said.count(wanted, "round")} are done.'
  return f'It has done {done:,} of {said.count(wanted, "round")}.'


def _rates(run: drawn_run.DrawnRun) -> str:
  found = heard.measured(run)
  speakers = said.count(found.num_speakers, 'speaker')
  return (
    f'At its last evaluation the word error rate on '
    f'{said.count(found.num_utterances, "held-out utterance")} of {speakers} '
    f'was {_rate(found.wer)}, the character error rate {_rate(found.cer)}.'
  )


def _rate(rate: heard.Rate) -> str:
  interval = said.interval(rate.by_speaker)
  if not interval:
    return f'{said.percent(rate.rate)} (one speaker gives no interval)'
  return (
    f'{said.percent(rate.rate)} ({heard.CONFIDENCE:.0%} interval over '
    f'speakers: {interval})'
  )


def machine(run: drawn_run.DrawnRun) -> str:
  """Where it was computed, how long it took, and by which version."""
  return ' '.join(filter(None, (_devices(run), _time(run))))


def _kept(run: drawn_run.DrawnRun) -> str:
  """Nothing, of a run that has parameters."""
  try:
    _ = run.saved
  except drawn_run.Missing as missing:
    raise drawn_run.Missing(
      'No checkpoint of it can be read: nothing is shown of its parameters.'
    ) from missing
  return ''


def _devices(run: drawn_run.DrawnRun) -> str:
  if not run.versions:
    raise drawn_run.Missing(f'{run.files.versions_json.name} is empty.')
  last = run.versions[-1]
  devices = last['devices']
  where = f'{len(devices)} {devices[0]}'
  if cores := last.get('cpu_cores'):
    where += f', {said.count(cores, "CPU core")}'
  text = f'It was computed on {where}, with JAX {last["jax"]}'
  if last.get('commit'):
    text += f', at commit {last["commit"][:10]}'
    if last.get('has_uncommitted_changes'):
      text += ' with changes'
  others = len(run.versions) - 1
  if others:
    text += f' (before, in {said.count(others, "other environment")})'
  return f'{text}.'


def _time(run: drawn_run.DrawnRun) -> str:
  try:
    parts = dashboard.split(run.metrics)
  except drawn_run.Missing:
    return ''
  if not parts:
    return ''
  return f'In all that took {dashboard.duration(sum(parts.values()))}.'


def reproduced(run: drawn_run.DrawnRun) -> list[blocks.Block]:
  """The command that the run can be made again with."""
  try:
    saved = run_config.read(run.files.config_json)
  except config.UserError as error:
    return [blocks.Absent(str(error))]
  found = command.reproducing(saved)
  if found is None:
    return [blocks.Absent('No config that comes with the package is of it.')]
  made: list[blocks.Block] = [
    blocks.Text('A command with the same config:'),
    blocks.Verbatim(found.text),
  ]
  if found.left_out:
    fields = said.joined(found.left_out)
    made.append(blocks.Absent(f'No flag sets {fields} as it was.'))
  return made


def of_attack(
  run: drawn_run.DrawnRun, records: list[dict[str, Any]]
) -> list[blocks.Block]:
  """`records`: of `attack.json`, or none."""

  def attacked(run: drawn_run.DrawnRun) -> str:
    chosen = run.config.attack
    # A freshly initialised model is of no run.
    what = f'the run {chosen.run}' if chosen.run else 'an untrained model'
    victims = len({each['victim'] for each in records})
    utterances = len({each['utterance'] for each in records})
    rounds = said.joined([str(each) for each in _distinct(records, 'round')])
    return (
      f'Attacked was {what}, at round {rounds}: what '
      f'{said.count(victims, "client")} sent of '
      f'{said.count(utterances, "utterance")} '
      f'({chosen.observed.value}), by '
      f'{said.joined(_distinct(records, "method"))}.'
    )

  def found(run: drawn_run.DrawnRun) -> str:
    del run
    certified = sum(bool(each['is_certified']) for each in records)
    return (
      f'Of {said.count(len(records), "attempt")} {certified:,} came with a '
      'certificate, which the attacker computes without the truth.'
    )

  sentences = (attacked, found, machine) if records else (machine,)
  return [*_told(run, sentences), *reproduced(run)]


def _distinct(records: list[dict[str, Any]], name: str) -> list[str]:
  return [str(each) for each in dict.fromkeys(row[name] for row in records)]


def of_job(run: drawn_run.DrawnRun) -> list[blocks.Block]:
  """Of any other job."""
  what = blocks.Text(f'Results of the job {run.config.job.value}.')
  return [what, *_told(run, (machine,)), *reproduced(run)]
