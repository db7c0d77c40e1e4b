"""All figures of attacks, by name.

  python -m fedjax_asr.figures.attack_gallery ATTACK [ATTACK ...]

draws each ATTACK, a directory that the job `attack` wrote, into its `figures/`.
"""

import functools
import itertools
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence

import matplotlib.figure

from fedjax_asr import config
from fedjax_asr.figures import (
  attack_scores,
  by_command,
  drawn_attack,
  drawn_run,
  reconstruction,
  speaker_identification,
  spectra,
  style,
)

Draw = Callable[[], matplotlib.figure.Figure]
# Of a report; the directory's own `figures/` have all.
_MOST_RECONSTRUCTIONS = 12


def figures(
  attacks: Sequence[drawn_attack.DrawnAttack],
) -> Mapping[str, Draw]:
  """What draws each figure of one attack, or of several side by side."""
  if len(attacks) > 1:
    return {
      'reconstruction_scores': lambda: attack_scores.draw(attacks),
      'speaker_identification': lambda: speaker_identification.draw(attacks),
    }
  (attack,) = attacks
  return {
    'reconstruction_scores': lambda: attack_scores.draw(attacks),
    'singular_values': lambda: spectra.draw(attack),
    'speaker_identification': lambda: speaker_identification.draw(attacks),
    **_reconstructions(attack),
  }


def _reconstructions(attack) -> dict[str, Draw]:
  """The first of them; what the scores cannot be read of has none."""
  try:
    records = [record for record in attack.records if _is_drawn(attack, record)]
  except config.UserError:
    return {}
  return {
    attack.files.reconstruction_figure(
      record['utterance'], record['method']
    ).stem: functools.partial(_reconstruction, attack, record)
    for record in records[:_MOST_RECONSTRUCTIONS]
  }


def _is_drawn(attack, record) -> bool:
  return not record['refused'] and record['num_frames_found'] > 0


def _reconstruction(attack, record) -> matplotlib.figure.Figure:
  figure = reconstruction.draw(attack, record)
  if figure is None:
    raise drawn_run.Missing(
      f'{attack.files.reconstructions.name} has no {record["method"]} of '
      f'{record["utterance"]}.'
    )
  return figure


def plot(
  path: pathlib.Path,
  report: Callable[[int, int], None] = lambda done, total: None,
) -> list[pathlib.Path]:
  """Draws `figures/` of an attack and returns what was written.

  `reconstruction_<utterance>_<method>.png` of each that gave features,
  `singular_values.png` and `speaker_identification.png` where the attack has
  what they are of, and `reconstruction_scores.png` of all. `report(records
  drawn, all)` is called after each.

  Raises:
    RunError: a file is missing, empty or damaged, or cannot be written.
  """
  attack = drawn_attack.DrawnAttack(path)
  files, written = attack.files, []
  for number, record in enumerate(attack.records, 1):
    figure = reconstruction.draw(attack, record)
    if figure is not None:
      file = files.reconstruction_figure(record['utterance'], record['method'])
      written.append(style.save(figure, file))
    report(number, len(attack.records))
  for file, draw in (
    (files.spectra_figure, lambda: spectra.draw(attack)),
    (
      files.speakers_figure,
      lambda: speaker_identification.draw([attack]),
    ),
  ):
    try:
      written.append(style.save(draw(), file))
    except drawn_run.Missing:
      # Not asked for, or not looked at.
      continue
  figure = attack_scores.draw([attack])
  return [*written, style.save(figure, files.scores_figure)]


def main(argv: Sequence[str]) -> int:
  return by_command.run(
    argv, 1, __doc__, lambda paths: itertools.chain(*map(plot, paths))
  )


if __name__ == '__main__':
  sys.exit(main(sys.argv))
