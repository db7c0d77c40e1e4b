"""What a private run has spent, over its rounds."""

from typing import Any, NamedTuple

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from fedjax_asr import config
from fedjax_asr.figures import drawn_run, leakage, style

_DASHES = (0, (5, 2))


class _Line(NamedTuple):
  metric: str
  label: str
  color: str
  dashes: Any


def draw(run: drawn_run.DrawnRun) -> matplotlib.figure.Figure:
  """Epsilons by each way of accounting; of another population apart.

  Raises:
    Missing: the run has no noise, no round, or epsilons in none.
  """
  privacy = run.config.federated.privacy
  if not privacy.has_noise:
    raise drawn_run.Missing('no noise was added: nothing is guaranteed.')
  lines = _lines(privacy)
  if not any(line.metric in row for row in run.metrics for line in lines):
    raise drawn_run.Missing(
      f'{run.files.metrics.name} has no epsilon: it is of another version.'
    )
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(1.6 * style.WIDTH, 4.6), layout='constrained'
    )
    axes = figure.subplots()
    unknown = [line for line in lines if not _plot(axes, line, run)]
    _finish(axes, run)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside right upper', handlelength=3)
    leakage.caption(figure, _caption(run, unknown))
    return figure


def _lines(privacy: config.PrivacyConfig) -> list[_Line]:
  """Those that a run with such settings has."""
  found = []
  if privacy.is_central:
    found.append(
      _Line('privacy/epsilon_rdp', 'this run, by RDP', style.BLUE, _DASHES)
    )
    if privacy.mechanism is not config.Mechanism.DISTRIBUTED:
      found.insert(
        0, _Line('privacy/epsilon_pld', 'this run, by PLD', style.BLUE, '-')
      )
      if privacy.population:
        whose = f'extrapolated to\n{privacy.population:,} clients'
        found += [
          _Line(
            f'privacy/extrapolated_epsilon_{way}',
            f'{whose}, by {way.upper()}',
            style.ORANGE,
            dashes,
          )
          for way, dashes in (('pld', '-'), ('rdp', _DASHES))
        ]
  if privacy.local_noise_multiplier:
    found.append(
      _Line('privacy/local_epsilon', 'local, of one client', style.GREEN, '-')
    )
  return found


def _plot(axes: Any, line: _Line, run: drawn_run.DrawnRun) -> bool:
  """Whether there is a finite epsilon."""
  rounds, values = run.series(line.metric)
  if not len(rounds):
    return False
  axes.plot(
    rounds,
    values,
    color=line.color,
    linestyle=line.dashes,
    marker='o' if len(rounds) == 1 else '',
    label=f'{line.label}: {values[-1]:.3g}',
  )
  return True


def _finish(axes: Any, run: drawn_run.DrawnRun) -> None:
  values = np.concatenate(
    [line.get_ydata() for line in axes.get_lines()] or [[]]
  )
  if not len(values):
    axes.text(
      0.5, 0.5, 'no finite epsilon', transform=axes.transAxes, ha='center'
    )
  elif np.all(values > 0):
    axes.set_yscale('log')
    axes.yaxis.set_minor_locator(matplotlib.ticker.LogLocator(subs=(2, 5)))
    for which in (
      axes.yaxis.set_major_formatter,
      axes.yaxis.set_minor_formatter,
    ):
      which(matplotlib.ticker.FuncFormatter(lambda value, _: f'{value:g}'))
  axes.set_title('privacy that is spent')
  axes.set_xlabel('round')
  axes.set_ylabel(f'epsilon (delta {run.config.federated.privacy.delta:g})')
  records = run.metrics
  style.count_along(axes, records[0]['round'], records[-1]['round'])


def _caption(run: drawn_run.DrawnRun, unknown: list[_Line]) -> str:
  """The last mu and best attack, and which epsilons are not finite."""
  parts = ['Lower is more private; of PLD and RDP the lower one holds.']
  for prefix, whose in (
    ('', 'this run'),
    ('extrapolated_', 'the extrapolated population'),
  ):
    _, mu = run.series(f'privacy/{prefix}mu')
    _, tpr = run.series(f'privacy/{prefix}tpr_at_1_percent')
    if len(mu) and len(tpr):
      parts.append(
        f'Of {whose}: mu {mu[-1]:.3g}, and any attack that is wrong about 1% '
        f'of the others finds at most {tpr[-1]:.1%} of the members.'
      )
  for line in unknown:
    name = ' '.join(line.label.split())
    parts.append(f'No finite epsilon is known: {name}.')
  if run.config.federated.privacy.population:
    parts.append(
      'Extrapolated: as if so many clients had trained with as much noise on '
      'their mean, and the model came out the same; not what this run gives.'
    )
  return ' '.join(parts)
