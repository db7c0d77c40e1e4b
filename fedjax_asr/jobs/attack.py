"""Reconstructs speech from clients' updates and measures how much was there."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import rich.console

from fedjax_asr import config, run_directory, run_files, streams
from fedjax_asr.attacks import observation, together
from fedjax_asr.attacks.measure import score_summary
from fedjax_asr.figures import attack_gallery
from fedjax_asr.jobs import (
  active_server,
  attack_methods,
  attack_progress,
  attack_results,
  attack_speakers,
  attack_spectra,
  attack_transcriber,
  attack_victims,
  attacked_run,
  disk_errors,
  preparation,
)


class _Job(NamedTuple):
  """What is attacked, and where that is told and kept."""

  cfg: config.Config
  directory: run_directory.RunDirectory
  attacked: attacked_run.AttackedRun
  victims: list[attack_victims.Victim]
  console: rich.console.Console


class _Numbered(NamedTuple):
  """A victim in its turn, and how lines of progress name it."""

  number: int
  where: str
  victim: attack_victims.Victim


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Leaves `attack.json`, `reconstructions.h5`, `figures/` and, of what was
  reconstructed, `audio/`.

  A victim that is done is not attacked again: the same command goes on where
  an interrupted one stopped, and ends with what it would have ended with.

  Raises:
    UserError: of any room; the run itself is only read.
  """
  console = rich.console.Console(highlight=False, markup=False, soft_wrap=True)
  # First, so that a mistyped run leaves no directory.
  attacked = _loaded(cfg, workdir, console)
  cfg = _settled(cfg, attacked)
  attack_methods.check_names(cfg.attack, attacked.saved.params)
  transcriber = attack_transcriber.chosen(cfg.attack, attacked)
  victims = attack_victims.victims(attacked, cfg.attack)
  alarm = ''
  if cfg.attack.server is config.Server.ACTIVE:
    attacked, alarm = active_server.imprinted(attacked, cfg.attack, victims)
  with (
    run_directory.open_run(
      workdir, cfg, allow_config_change=allow_config_change
    ) as directory,
    disk_errors.explained(directory.path, '; the same command resumes'),
  ):
    console.print(_title(cfg, attacked, victims))
    if alarm:
      console.print(alarm)
    job = _Job(cfg, directory, attacked, victims, console)
    records = _attack_all(job, transcriber)
    if cfg.attack.speaker_id.enabled:
      tried = [record['method'] for record in records]
      attack_speakers.identify(
        cfg.attack, directory, attacked, victims, tried, console
      )
    figures = []
    if cfg.attack.illustrated:
      with preparation.reported(console, 'drawing') as report:
        figures = attack_gallery.plot(directory.path, report)
  for line in summary(records):
    console.print(line)
  console.print(_written(directory, figures))


def _written(files: run_files.RunFiles, figures: list[pathlib.Path]) -> str:
  line = f'written: {files.attack}, {files.reconstructions.name}'
  # Refusals, and features that were computed elsewhere, leave no sound.
  if files.audio.is_dir():
    line += f', {files.audio.name}/'
  if not figures:
    return line
  shown = (
    f'{len(figures)} figures, such as' if len(figures) > 1 else 'a figure,'
  )
  return f'{line}, and {shown} {figures[-1]}'


def _loaded(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  console: rich.console.Console,
) -> attacked_run.AttackedRun:
  with preparation.reported(console) as report:
    return attacked_run.load(cfg, workdir, report)


def _settled(
  cfg: config.Config, attacked: attacked_run.AttackedRun
) -> config.Config:
  """As `config.json` has it: with the methods that are tried."""
  architecture = attacked.saved.config.model.architecture
  attack = attack_methods.settled(cfg.attack, architecture)
  return dataclasses.replace(cfg, attack=attack)


def _title(
  cfg: config.Config,
  attacked: attacked_run.AttackedRun,
  victims: Sequence[attack_victims.Victim],
) -> str:
  saved = attacked.saved
  source = f'round {saved.round} of {saved.path}'
  if not cfg.attack.run:
    source = 'a freshly initialised model'
  if cfg.attack.server is config.Server.ACTIVE:
    source = f'ACTIVE server, which chose the parameters, at {source}'
  noun = 'client' if len(victims) == 1 else 'clients'
  return (
    f'{source}: {len(victims)} {noun}, {cfg.attack.observed.value}, '
    f'methods {", ".join(cfg.attack.methods)}'
  )


def _attack_all(
  job: _Job, transcriber: attack_transcriber.Transcriber | None
) -> list[attack_results.Record]:
  """Records of all victims, also of those that were done before."""
  cfg, directory, attacked, victims, console = job
  records = attack_results.resumed(directory, attacked.saved.round)
  done = {record['victim'] for record in records}
  left = [victim for victim in victims if victim.name not in done]
  if not left and not _is_of_speakers(directory.changes):
    directory.check_unchanged('is finished')
  spectra = attack_spectra.resumed(directory, done)
  directory.begin()
  speech = attack_victims.public_speech(attacked, victims)
  public = attack_victims.public_units(attacked, victims)
  utterances = attack_victims.public_utterances(attacked, cfg.attack, victims)
  observations = attack_victims.observations(
    attacked, cfg.attack, left, speech, utterances
  )
  total = len(victims)
  num_done = total - len(left)
  if done:
    console.print(f'{num_done} of {total} victims were done before')
  told: set[str] = set()
  with attack_progress.AttackProgress(
    console, num_done=num_done, num_victims=total
  ) as progress:
    for (number, where, victim), observed, attempts in _attempts(
      job,
      zip(_numbered(left, total, progress), observations, strict=True),
      progress,
    ):
      progress.done(where)
      attack_results.keep(
        directory,
        victim,
        attempts,
        attacked.saved.config.features,
        public,
        is_audible=cfg.attack.illustrated,
      )
      made = attack_results.records(
        victim, observed, attempts, transcriber, public
      )
      records += made
      # First: what is scored is not attacked again.
      spectra += attack_spectra.records(victim.name, attempts)
      attack_spectra.write(directory, spectra)
      attack_results.write(directory, records)
      directory.progress(victim.clients[0]).unlink(missing_ok=True)
      for record in made:
        console.print(f'{number}/{total} {_line(record, told)}')
        told.add(record['refused'])
  return records


def _numbered(
  left: Sequence[attack_victims.Victim],
  total: int,
  progress: attack_progress.AttackProgress,
) -> Iterator[_Numbered]:
  """Those that are left, each when its turn comes."""
  for index, victim in enumerate(left, total - len(left) + 1):
    where = f'victim {index}/{total}, {victim.name}'
    progress.report(where, 'what it sends is computed')
    yield _Numbered(index, where, victim)


def _attempts(
  job: _Job,
  observed: Iterable[tuple[_Numbered, observation.Observation]],
  progress: attack_progress.AttackProgress,
) -> Iterator[tuple]:
  """(victim, its observation, what each method made of it), in order."""
  cfg = job.cfg

  def attempts_of(
    each: _Numbered, observed: observation.Observation
  ) -> list[attack_methods.Attempt]:
    client = each.victim.clients[0]
    return attack_methods.attempts(
      observed,
      cfg.attack,
      streams.key(cfg.seed, streams.Stream.ATTACKER, client),
      lambda line: progress.report(each.where, line),
      job.directory.progress(client),
    )

  return together.in_order(attempts_of, observed, cfg.attack.num_parallel)


def _is_of_speakers(changes: Iterable[str]) -> bool:
  """Whether all is of the speakers' identification, which is done anew."""
  return all(name.startswith('attack.speaker_id.') for name in changes)


def _line(record: attack_results.Record, told: set[str]) -> str:
  """A reason that was told before is not told again."""
  start = f'{record["utterance"]} {record["method"]}: '
  if record['refused'] in told - {''}:
    return f'{start}refused, for a reason given above'
  if record['refused']:
    return f'{start}refused: {record["refused"]}'
  if not score_summary.is_found(record):
    return f'{start}nothing of this utterance'
  believed = _believed(record)
  shape = ''
  if record['certificate'].get('scale_is_free'):
    shape = f' (of the shape alone {record["shape_snr_db"]:.1f} dB)'
  return (
    f'{start}SNR {record["snr_db"]:.1f} dB{shape}, '
    f'correlation {record["correlation"]:.3f}, '
    f'{record["num_frames_found"]} of {record["num_frames"]} frames, '
    f'{believed}, {record["seconds"]:.1f} s'
  )


def _believed(record: attack_results.Record) -> str:
  if not record['is_certified']:
    return 'not certified'
  if record['is_whole']:
    return 'certified'
  determined = score_summary.shown(record['determined_snr_db'], '{:.1f} dB')
  return f'certified in part ({determined} of it)'


def summary(records: Sequence[attack_results.Record]) -> list[str]:
  """One line for each method, over all utterances that it was tried on."""
  return [
    _summarized(
      method, [record for record in records if record['method'] == method]
    )
    for method in dict.fromkeys(record['method'] for record in records)
  ]


def _summarized(method: str, records: Sequence[attack_results.Record]) -> str:
  total = len(records)
  num_found = sum(map(score_summary.is_found, records))
  line = f'{method}: {num_found} of {total} reconstructed'
  if not num_found:
    return line
  certified = sum(record['is_certified'] for record in records)
  whole = sum(record['is_whole'] for record in records)
  snr = score_summary.median([record['snr_db'] for record in records])
  seconds = score_summary.median([record['seconds'] for record in records])
  return (
    f'{line}, {certified} certified, {whole} of them whole; '
    f'medians of all {total}: SNR '
    f'{score_summary.shown(snr, "{:.1f} dB")}, {seconds:.1f} s'
  )
