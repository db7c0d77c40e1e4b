"""Which sections the report of a job's directory has, and what each needs.

Another job is another list in `SECTIONS`. Where something is not there, its
section says so in its place, and the others are as they are.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fedjax_asr import config
from fedjax_asr.figures import drawn_run, gallery
from fedjax_asr.report_pages import (
  attacked,
  audited,
  blocks,
  compared,
  curves,
  privacy,
  provenance,
  speech,
  summary,
)


class Material(NamedTuple):
  """All that a report is made of. pictures: the run's figures, drawn."""

  run: drawn_run.DrawnRun
  pictures: Sequence[blocks.Picture]


Build = Callable[[Material], Iterable[blocks.Block]]


class Part(NamedTuple):
  """A section to be made.

  needs: properties of `RunFiles`, the files that it is made of: where one is
  not there, that is all it says. builds: its blocks; what one lacks otherwise
  (`Missing`) is said in the place of that one.
  """

  name: str
  title: str
  needs: Sequence[str]
  builds: Sequence[Build]


def report(
  runs: Sequence[drawn_run.DrawnRun], pictures: Sequence[blocks.Picture]
) -> blocks.Report:
  """Of one run, or of several side by side."""
  if len(runs) == 1:
    return built(Material(runs[0], pictures))
  first = Material(runs[0], pictures)
  job = _job(runs[0])
  noun = 'attacks' if job is config.Job.ATTACK else 'runs'
  return blocks.Report(
    title=f'{len(runs)} {noun}',
    sections=[
      blocks.Section(part.name, part.title, [*_blocks(part, first)])
      for part in (*_results(job, runs), _FIGURES)
    ],
  )


def _results(job: config.Job, runs: Sequence[drawn_run.DrawnRun]) -> list[Part]:
  """In tables, of jobs that the figures have none of."""
  match job:
    case config.Job.ATTACK:
      tables = [_scores(run, index) for index, run in enumerate(runs)]
    case config.Job.TRAIN:
      tables = [lambda _: compared.runs_of_training(runs)]
    case _:
      return []
  return [Part('compared', 'Results', (), tables)]


def _scores(run: drawn_run.DrawnRun, index: int) -> Build:
  return lambda _: compared.scores(run, index)


def built(material: Material) -> blocks.Report:
  """Never fails for what the run's files lack or hold."""
  run = material.run
  return blocks.Report(
    title=run.name,
    sections=[
      blocks.Section(part.name, part.title, [*_blocks(part, material)])
      for part in SECTIONS.get(_job(run), _ANY)
    ],
  )


def _job(run: drawn_run.DrawnRun) -> config.Job:
  """A run whose config cannot be read is described as one of training."""
  try:
    return run.config.job
  except drawn_run.Missing:
    return config.Job.TRAIN


def _blocks(part: Part, material: Material) -> Iterator[blocks.Block]:
  run = material.run
  files = [getattr(run.files, name) for name in part.needs]
  lacking = [file for file in files if not file.is_file()]
  if lacking:
    names = ', '.join(str(file.relative_to(run.path)) for file in lacking)
    yield blocks.Absent(f'The run has no {names}.')
    return
  for build in part.builds:
    try:
      for block in [*build(material)]:
        is_absent = isinstance(block, blocks.Absent)
        yield _shorter(run, block) if is_absent else block
    except drawn_run.Missing as missing:
      yield blocks.Absent(_short(run, str(missing)))
    except gallery.OF_OTHER_VERSIONS as error:
      names = ', '.join(file.name for file in files) or 'a file of the run'
      yield blocks.Absent(f'{names}: of another version ({error!r}).')


def _shorter(run: drawn_run.DrawnRun, absent: blocks.Absent) -> blocks.Absent:
  return blocks.Absent(_short(run, absent.reason))


def _short(run: drawn_run.DrawnRun, reason: str) -> str:
  """Without the place of the run, which is another for whoever reads it."""
  return reason.replace(f'{run.path}{os.sep}', '')


def _figures(material: Material) -> Iterator[blocks.Block]:
  """Each figure, or in its place what is missing for it."""
  if not material.pictures:
    yield blocks.Absent('No figure is drawn of it.')
  for picture in material.pictures:
    yield _absent(material, picture) if picture.missing else picture


def _absent(material: Material, picture: blocks.Picture) -> blocks.Absent:
  reason = _short(material.run, picture.missing)
  return blocks.Absent(f'{picture.caption}: {reason}')


def _figures_of_attack(material: Material) -> Iterator[blocks.Block]:
  """But those that the attack drew itself and that stand above."""
  own = {path.stem for path in material.run.files.figures.glob('*.png')}
  others = [
    each
    for each in material.pictures
    if each.name not in own or not each.name.startswith('reconstruction_')
  ]
  yield from (each for each in others if not each.missing)
  yield from _lacking(material, others)


def _own_figures(material: Material) -> Iterator[blocks.Block]:
  """Those that are drawn; most others are of training."""
  pictures = [each for each in material.pictures if not each.missing]
  yield from pictures
  if not pictures:
    yield blocks.Absent('None of the figures shows what this job leaves.')
  yield from _lacking(material, material.pictures)


def _lacking(
  material: Material, pictures: Sequence[blocks.Picture]
) -> Iterator[blocks.Block]:
  """What is missing for those that are not drawn, folded away."""
  absent = [_absent(material, each) for each in pictures if each.missing]
  if absent:
    title = 'Figures that there is nothing for'
    yield blocks.Group(title, absent, is_folded=True, is_printed=False)


_FIGURES = Part('gallery', 'Figures', (), (_figures,))
_OWN_FIGURES = Part('gallery', 'Figures', (), (_own_figures,))
_PROVENANCE = Part(
  'provenance',
  'Config and versions',
  (),
  (lambda of: provenance.folded(of.run),),
)
_ANY = (
  Part('summary', 'Summary', (), (lambda of: summary.of_job(of.run),)),
  _OWN_FIGURES,
  _PROVENANCE,
)
SECTIONS: Mapping[config.Job, Sequence[Part]] = {
  config.Job.TRAIN: (
    Part('summary', 'Summary', (), (lambda of: summary.of_training(of.run),)),
    Part(
      'rates',
      'Error rates',
      ('transcripts',),
      (lambda of: [speech.rates(of.run)],),
    ),
    Part(
      'curves',
      'Curves',
      ('metrics',),
      (
        lambda of: [curves.charts(of.run)],
        lambda of: [curves.evaluations(of.run)],
      ),
    ),
    Part('privacy', 'Privacy', (), (lambda of: privacy.section(of.run),)),
    Part(
      'listening',
      'To listen to',
      (),
      (lambda of: speech.cards(of.run),),
    ),
    Part(
      'speakers',
      'Speakers',
      ('speakers',),
      (lambda of: [speech.speakers(of.run)],),
    ),
    # Of transcripts or, where there are none, of examples.
    Part(
      'utterances',
      'Utterances',
      (),
      (lambda of: [speech.utterances(of.run)],),
    ),
    _FIGURES,
    _PROVENANCE,
  ),
  config.Job.ATTACK: (
    Part('summary', 'Summary', (), (lambda of: attacked.opening(of.run),)),
    Part(
      'methods',
      'Scores by method',
      ('attack',),
      (lambda of: attacked.by_method(of.run),),
    ),
    Part(
      'reconstructions',
      'Original and reconstruction',
      ('attack',),
      (lambda of: attacked.reconstructions(of.run),),
    ),
    Part('gallery', 'Figures', (), (_figures_of_attack,)),
    _PROVENANCE,
  ),
  config.Job.AUDIT: (
    Part('summary', 'Summary', (), (lambda of: audited.opening(of.run),)),
    Part(
      'canaries',
      'Is epsilon true: canaries',
      ('audit',),
      (lambda of: audited.canaries(of.run),),
    ),
    Part(
      'membership',
      'Who was trained on',
      ('audit',),
      (lambda of: audited.membership(of.run),),
    ),
    Part(
      'speakers',
      'Who is speaking',
      ('audit',),
      (lambda of: audited.speakers(of.run),),
    ),
    Part(
      'exposure',
      'What is known by heart',
      ('audit',),
      (lambda of: audited.exposure(of.run),),
    ),
    _OWN_FIGURES,
    _PROVENANCE,
  ),
}
