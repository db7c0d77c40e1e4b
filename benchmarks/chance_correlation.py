"""How much two utterances of different speakers correlate by chance.

  python benchmarks/chance_correlation.py [--pairs=4000] [--frames=0]
      [flags of main]

Of random pairs of the corpus of configs/defences.py, as the model is given
them, the shorter padded as scores of attacks do: mean, deviation and quantiles
of the correlation that `decide.py` calls heard from 0.5 on. With --frames, of
stretches of so many from their middles, normalised as stretches are.
"""

import sys
import tempfile

import numpy as np
import sweep


def main(argv: list[str]) -> int:
  own, flags = sweep.split(argv[1:], {'--pairs': 4000, '--frames': 0})
  found = correlations(own['--pairs'], own['--frames'], flags)
  low, middle, high = np.quantile(found, (0.01, 0.5, 0.99))
  print(
    f'{len(found)} pairs: mean {found.mean():.3f}, deviation {found.std():.3f};'
    f' 1% {low:.3f}, 50% {middle:.3f}, 99% {high:.3f}, most {found.max():.3f}'
  )
  return 0


def correlations(count: int, frames: int, flags: list[str]) -> np.ndarray:
  """Of so many pairs, [pairs]."""
  from fedjax_asr import command_line
  from fedjax_asr.attacks.measure import score
  from fedjax_asr.jobs import attacked_run
  from fedjax_asr.speech import features

  with tempfile.TemporaryDirectory() as workdir:
    command = command_line.parse(
      [
        'chance_correlation.py',
        '--config=configs/defences.py',
        f'--workdir={workdir}/attack',
        *flags,
      ]
    )
    cfg = command.config
    attacked = attacked_run.load(cfg, command.workdir, lambda *_: None)
  examples = attacked.examples
  rng = np.random.default_rng(0)
  found = []
  while len(found) < count:
    one, other = map(int, rng.integers(len(examples.ids), size=2))
    if examples.speakers[one] == examples.speakers[other]:
      continue
    truth, guess = (
      features.normalize(
        _middle(examples.raw(index), frames),
        cfg.features.normalization,
        attacked.saved.statistics,
      )
      for index in (one, other)
    )
    scored = score.score(
      score.Truth(examples.ids[one], truth), guess, cfg.features, max_lag=0
    )
    found.append(scored.correlation)
  return np.array(found)


def _middle(values: np.ndarray, frames: int) -> np.ndarray:
  start = (len(values) - frames) // 2
  return values[start : start + frames] if frames else values


if __name__ == '__main__':
  sys.exit(main(sys.argv))
