"""What `audit.json` says of linked speakers and of their attributes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fedjax_asr import config, streams
from fedjax_asr.audits import (
  attributes,
  detection,
  feature_blocks,
  linkage,
  proportion,
)

Blocks = Mapping[str, Sequence[feature_blocks.Block]]

_NUM_CURVE_POINTS = 200


def of_trials(trials: linkage.Trials, cfg: config.Config) -> dict[str, Any]:
  """Rates with their intervals and chance, and what figures draw."""
  own, confidence = cfg.audit.speakers, cfg.audit.confidence
  count = len(trials.genuine)
  hits = int((trials.ranks == 1).sum())
  interval = detection.equal_error_interval(
    trials.genuine,
    trials.impostor,
    trials.first,
    trials.second,
    own.num_resamples,
    confidence,
    _resamples(cfg),
  )
  accepts, rejects = detection.curve(trials.genuine, trials.impostor)
  kept = _spread(len(accepts), _NUM_CURVE_POINTS)
  impostor = np.sort(trials.impostor)
  return {
    'num_speakers': count,
    'num_genuine': count,
    'num_impostor': len(impostor),
    'eer': detection.equal_error_rate(trials.genuine, trials.impostor),
    'eer_interval': list(interval),
    'eer_chance': 0.5,
    'top1': hits / count,
    'top1_interval': list(proportion.clopper_pearson(hits, count, confidence)),
    'top1_chance': float((1 / trials.num_candidates).mean()),
    'num_candidates': [
      int(trials.num_candidates.min()),
      int(trials.num_candidates.max()),
    ],
    'num_components': list(trials.num_components),
    'false_accepts': accepts[kept].tolist(),
    'false_rejects': rejects[kept].tolist(),
    'genuine_scores': np.sort(trials.genuine).tolist(),
    'impostor_scores': impostor[
      _spread(len(impostor), own.num_scores)
    ].tolist(),
  }


def of_class(
  blocks: Blocks, targets: np.ndarray, fold: np.ndarray, cfg: config.Config
) -> dict[str, Any]:
  """Of a class that is 1 or -1, by what was looked at."""
  share = float((targets > 0).mean())
  results: dict[str, Any] = {
    'num_speakers': len(targets),
    'accuracy_chance': max(share, 1 - share),
    'balanced_chance': 0.5,
  }
  for source, each in blocks.items():
    guesses = attributes.guessed(each, targets, fold)
    results[source] = _accuracies(guesses.values, targets, cfg) | {
      'penalties': list(guesses.penalties)
    }
  return results


def of_number(
  blocks: Blocks, targets: np.ndarray, fold: np.ndarray, cfg: config.Config
) -> dict[str, Any]:
  """Of a number, and of whether it is above the median."""
  above = np.where(targets > np.median(targets), 1.0, -1.0)
  share = float((above > 0).mean())
  results: dict[str, Any] = {
    'num_speakers': len(targets),
    'median': float(np.median(targets)),
    'accuracy_chance': max(share, 1 - share),
    'balanced_chance': 0.5,
    'r2_chance': 0.0,
    'spearman_chance': 0.0,
  }
  deviation = targets.std()
  level = (targets - targets.mean()) / deviation
  for source, each in blocks.items():
    found = attributes.guessed(each, level, fold)
    guesses = found.values
    results[source] = {
      'r2': attributes.explained_variance(guesses, level),
      'spearman': _number(attributes.rank_correlation(guesses, level)),
      'spearman_interval': _interval(
        lambda drawn, guesses=guesses: attributes.rank_correlation(
          guesses[drawn], level[drawn]
        ),
        len(targets),
        cfg,
      ),
      'penalties': list(found.penalties),
      'guesses': (guesses * deviation + targets.mean()).tolist(),
    } | _accuracies(attributes.guessed(each, above, fold).values, above, cfg)
  return results | {'values': targets.tolist()}


def _accuracies(guesses, targets, cfg: config.Config) -> dict[str, Any]:
  is_right = (guesses > 0) == (targets > 0)
  hits, count = int(is_right.sum()), len(targets)
  return {
    'accuracy': hits / count,
    'accuracy_interval': list(
      proportion.clopper_pearson(hits, count, cfg.audit.confidence)
    ),
    'balanced_accuracy': attributes.balanced_accuracy(guesses, targets),
    'balanced_interval': _interval(
      lambda drawn: attributes.balanced_accuracy(
        guesses[drawn], targets[drawn]
      ),
      count,
      cfg,
    ),
  }


def _interval(statistic, count: int, cfg: config.Config) -> list[float]:
  return list(
    detection.resampled(
      statistic,
      count,
      cfg.audit.speakers.num_resamples,
      cfg.audit.confidence,
      _resamples(cfg),
    )
  )


def _resamples(cfg: config.Config) -> np.random.Generator:
  """The same draws of speakers for all that is compared."""
  return streams.rng(cfg.seed, streams.Stream.SPEAKER_RESAMPLES)


def _number(value: float) -> float | None:
  """JSON has no NaN."""
  return value if np.isfinite(value) else None


def _spread(count: int, most: int) -> np.ndarray:
  """Evenly spread positions, with the first and the last."""
  return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def lines(results: Mapping[str, Any]) -> list[str]:
  """A line for each thing that was measured."""
  found = [
    f'speakers: {results["num_speakers"]}, two updates of '
    f'{results["num_utterances"]} utterances each; left out: '
    f'{results["num_left_out"]} with too few, {results["num_not_finite"]} '
    'not finite'
  ]
  for source, methods in results['linkage'].items():
    for method, each in methods.items():
      found.append(f'linked by {source}, {method}: {_linked(each)}')
  if 'missing' in results['unseen']:
    found.append(f'never trained on: {results["unseen"]["missing"]}')
  else:
    found += [
      f'never trained on, linked by {source}: {_linked(each)}'
      for source, each in results['unseen'].items()
    ]
  for name, each in results['attributes'].items():
    if 'missing' in each:
      found.append(f'{name}: {each["missing"]}')
      continue
    for source in results['linkage']:
      found.append(f'{name} by {source}: {_told(each, source)}')
  return found


def _linked(each: Mapping[str, Any]) -> str:
  low, high = each['eer_interval']
  return (
    f'EER {each["eer"]:.1%} ({low:.1%} to {high:.1%}; chance 50%), first of '
    f'{each["num_candidates"][1]} in {each["top1"]:.1%} (chance '
    f'{each["top1_chance"]:.1%})'
  )


def _told(each: Mapping[str, Any], source: str) -> str:
  own = each[source]
  low, high = own['balanced_interval']
  said = (
    f'balanced accuracy {own["balanced_accuracy"]:.1%} ({low:.1%} to '
    f'{high:.1%}; chance 50%)'
  )
  if 'r2' in own:
    said += f', R^2 {own["r2"]:.2f}'
  return said
