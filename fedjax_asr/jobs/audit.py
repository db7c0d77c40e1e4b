"""Tries to break what a run promises, and writes down how far it got."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import rich.console

from fedjax_asr import config, json_file, run_directory
from fedjax_asr.figures import audit_gallery
from fedjax_asr.jobs import (
  audit_canaries,
  audit_exposure,
  audit_membership,
  audit_speakers,
  audited_run,
  disk_errors,
)

# (audited, config, directory, console) -> what `audit.json` has of the part.
Part = Callable[
  [
    audited_run.AuditedRun,
    config.Config,
    run_directory.RunDirectory,
    rich.console.Console,
  ],
  dict[str, Any],
]
PARTS: Mapping[config.AuditPart, Part] = {
  config.AuditPart.CANARIES: audit_canaries.measured,
  config.AuditPart.SPEAKERS: audit_speakers.measured,
  config.AuditPart.MEMBERSHIP: audit_membership.measured,
  config.AuditPart.EXPOSURE: audit_exposure.measured,
}


def run(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  *,
  allow_config_change: bool = False,
) -> None:
  """Leaves `audit.json`, part by part, and draws it.

  A part that is done is not measured again, unless by other settings: the same
  command goes on where an interrupted one stopped.

  Raises:
    UserError: of any room; the run itself is only read.
  """
  console = rich.console.Console(highlight=False, markup=False, soft_wrap=True)
  # First, so that a mistyped run leaves no directory.
  audited = audited_run.load(cfg, workdir, console)
  wanted = [config.AuditPart(name) for name in cfg.audit.parts] or [*PARTS]
  with (
    run_directory.open_run(
      workdir, cfg, allow_config_change=allow_config_change
    ) as directory,
    disk_errors.explained(directory.path, '; the same command resumes'),
  ):
    found = _resumed(cfg, directory, audited)
    directory.begin()
    for part in wanted:
      if part in found:
        console.print(f'{part}: measured before')
        continue
      measured = PARTS[part](audited, cfg, directory, console)
      found[part] = measured | {'settings': _settings(cfg, part)}
      json_file.write(directory.audit, audited_run.described(audited) | found)
    figures = audit_gallery.plot(directory.path)
  told = f', {directory.figures.name}/' if figures else ''
  console.print(f'written: {directory.audit}{told}')


def _settings(cfg: config.Config, part: config.AuditPart) -> dict[str, Any]:
  """By which a part is measured."""
  own = config.as_dict(getattr(cfg.audit, part))
  return {'seed': cfg.seed, 'confidence': cfg.audit.confidence, **own}


def _resumed(
  cfg: config.Config,
  directory: run_directory.RunDirectory,
  audited: audited_run.AuditedRun,
) -> dict[str, Any]:
  """Parts that were measured before, by the same versions and settings."""
  if not directory.audit.is_file():
    return {}
  before = json_file.read(directory.audit)
  said = audited_run.described(audited)
  if {name: before.get(name) for name in said} != said:
    return {}
  return {
    part: before[part]
    for part in config.AuditPart
    if before.get(part, {}).get('settings') == _settings(cfg, part)
  }
