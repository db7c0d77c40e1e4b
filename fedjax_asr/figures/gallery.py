"""All figures of a run, by name; of an attack; or of several of one job."""

import functools
import pathlib
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import matplotlib.figure

from fedjax_asr import config, json_file, run_error, run_files
from fedjax_asr.figures import (
  architecture,
  attack_gallery,
  audit_gallery,
  comparison,
  convergence,
  convergence_table,
  dashboard,
  data_flow,
  decision,
  decision_points,
  drawn_attack,
  drawn_audit,
  drawn_run,
  privacy_spent,
  spectrogram_analysis,
  style,
  training,
)

# What comes of values that are not there, or of another type than they are now.
OF_OTHER_VERSIONS = (LookupError, TypeError, ValueError, AttributeError)

Draw = Callable[[drawn_run.DrawnRun], matplotlib.figure.Figure]
Report = Callable[[int, int], None]


class Drawn(NamedTuple):
  """missing: why it says only that, '' of one that is whole."""

  name: str
  figure: matplotlib.figure.Figure
  missing: str


FIGURES: Mapping[str, Draw] = {
  'training_progress': training.draw,
  'model_architecture': architecture.draw,
  'data_flow': data_flow.draw,
  'performance_dashboard': dashboard.draw,
  'spectrogram_analysis': spectrogram_analysis.draw,
}
# Of runs that have noise; of others there is nothing to be missed.
PRIVATE: Mapping[str, Draw] = {'privacy_spent': privacy_spent.draw}
_JOBS = (
  config.Job.TRAIN,
  config.Job.ATTACK,
  config.Job.CONVERGE,
  config.Job.AUDIT,
)


def of_run(run: drawn_run.DrawnRun) -> Mapping[str, Draw]:
  """What a run of training has, by its config."""
  try:
    has_noise = run.config.federated.privacy.has_noise
  except (drawn_run.Missing, *OF_OTHER_VERSIONS):
    has_noise = False
  return {**FIGURES, **PRIVATE} if has_noise else FIGURES


def chosen(
  paths: Sequence[pathlib.Path], report: Report = lambda done, total: None
) -> Iterator[Drawn]:
  """By the job that the directories are of, each with its config.

  `report(figures done, all)` is called before each and after the last.

  Raises, before anything is drawn:
    RunError: they are of different jobs, or of one that has no figures.
  """
  jobs = [_job(path) for path in paths]
  for path, job in zip(paths, jobs, strict=True):
    if job not in _JOBS:
      raise run_error.RunError(
        f'{path} is of the job {job}; want one of the job train, attack, '
        'converge or audit.'
      )
    if job != jobs[0]:
      raise run_error.RunError(
        f'{paths[0]} is of the job {jobs[0]} and {path} of {job}; want '
        'directories of one job.'
      )
  if jobs[0] == config.Job.ATTACK:
    attacks = [drawn_attack.DrawnAttack(path) for path in paths]
    return _each(attack_gallery.figures(attacks), report)
  if jobs[0] == config.Job.CONVERGE:
    return _each(_of_batches(paths), report)
  if jobs[0] == config.Job.AUDIT:
    return _each(_of_audit(paths), report)
  if len(paths) > 1:
    return _each(_of_runs(paths), report)
  return drawn(drawn_run.DrawnRun(paths[0]), report)


def _of_audit(
  paths: Sequence[pathlib.Path],
) -> Mapping[str, Callable[[], matplotlib.figure.Figure]]:
  if len(paths) > 1:
    raise run_error.RunError(
      f'{len(paths)} directories of the job audit; want one, or the runs that '
      'they are of, which are drawn side by side with what their audit/ holds.'
    )
  return audit_gallery.figures(drawn_audit.DrawnAudit(paths[0]))


def _of_runs(
  paths: Sequence[pathlib.Path],
) -> Mapping[str, Callable[[], matplotlib.figure.Figure]]:
  """Runs side by side; where some have noise, also by their noise."""
  found: dict[str, Callable[[], matplotlib.figure.Figure]] = {
    'comparison': functools.partial(comparison.draw, paths)
  }
  runs = [drawn_run.DrawnRun(path) for path in paths]
  if any('privacy_spent' in of_run(run) for run in runs):
    found['decision'] = lambda: decision.draw(*decision_points.of_runs(paths))
  return found


def _of_batches(
  paths: Sequence[pathlib.Path],
) -> Mapping[str, Callable[[], matplotlib.figure.Figure]]:
  """Lines of one directory of the job `converge`; the table of all."""
  table = {'convergence_table': lambda: convergence_table.draw(paths)}
  if len(paths) > 1:
    return table
  return {'batch_convergence': lambda: convergence.draw(paths[0]), **table}


def _job(path: pathlib.Path) -> str:
  """`train` where it cannot be read, whose figures say so."""
  try:
    found = json_file.read(run_files.RunFiles(path).config_json)
  except run_error.RunError:
    return config.Job.TRAIN
  known = found.get('job') if isinstance(found, dict) else None
  return known if isinstance(known, str) else config.Job.TRAIN


def drawn(
  run: drawn_run.DrawnRun, report: Report = lambda done, total: None
) -> Iterator[Drawn]:
  """Each figure, or in its place what is missing for it."""
  return _each(
    {name: functools.partial(draw, run) for name, draw in of_run(run).items()},
    report,
  )


def one(run: drawn_run.DrawnRun, name: str) -> Drawn:
  """The figure of that name, or in its place what is missing for it."""
  return _drawn(name, functools.partial(of_run(run)[name], run))


def _each(
  figures: Mapping[str, Callable[[], matplotlib.figure.Figure]],
  report: Report,
) -> Iterator[Drawn]:
  for done, (name, draw) in enumerate(figures.items()):
    report(done, len(figures))
    yield _drawn(name, draw)
  report(len(figures), len(figures))


def _drawn(name: str, draw: Callable[[], matplotlib.figure.Figure]) -> Drawn:
  try:
    return Drawn(name, draw(), '')
  except (drawn_run.Missing, config.UserError) as missing:
    reason = str(missing)
  except OF_OTHER_VERSIONS as error:
    reason = f'a file of the run is of another version ({error!r}).'
  return Drawn(name, _told(name, reason), reason)


def _told(name: str, reason: str) -> matplotlib.figure.Figure:
  title = name.replace('_', ' ')
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(style.WIDTH, 2.0), layout='constrained'
    )
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_title(title)
    said = textwrap.fill(reason, 60, break_long_words=True)
    axes.text(0, 0.9, said, va='top', fontsize=10, parse_math=False)
    return figure
