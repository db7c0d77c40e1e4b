"""What privacy costs: word errors against epsilon on the default corpus.

  python -m fedjax_asr.main --config=configs/privacy.py[:variant]
  python benchmarks/sweep.py RESULT.json --config=configs/privacy.py

The first trains once, and prints what it has spent; the second every point of
`sweep()`: noise from none upwards, for each way of clipping and each optimizer
of the server, three seeds each. docs/privacy.md has what came of it.

`small` DeepSpeech 2 on the corpus of configs/ds2_fedavg.py; each of 108
speakers is a client, sampled by Poisson's rule, 8 expected. So few clients get
no epsilon that is of use; noise is given for an **extrapolated population**: of
100,000 clients, of which a round expects 1,000, with the same noise on their
mean. The epsilon of the run itself stands beside it: it is no promise at all.

Variants:
  (none)   the updates clipped as a whole, Adam at the server, noise for an
           epsilon of 0.98 at a delta of 1e-6.
             python -m fedjax_asr.main --config=configs/privacy.py
           2 CPU cores, 7 minutes (beside other work), 22.9% WER on held-out
           speakers.
  tuning   on other voices and sentences, at that noise: the points by which
           norms and rates were chosen, of each way and optimizer.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from fedjax_asr import config, config_file
from fedjax_asr.presets import corpora, federated, models

_PRIVACY = 'federated.privacy'
_SERVER = 'federated.server'
_POPULATION, _COHORT_THERE, _COHORT = 100_000, 1_000, 8
# Multipliers of the extrapolated cohort, for an epsilon of 1 and of 0.1.
_NOISES = (0.0, 1.0, 4.0)
_TUNED_AT = 1.0
_WAYS = tuple(itertools.product(('flat', 'per_layer'), ('adam', 'lamb')))
# The least WER of `tuning` (benchmarks/results/privacy_tuning.json).
_CHOSEN: dict[tuple[str, str], dict[str, Any]] = {
  ('flat', 'adam'): {'clip_norm': 0.1, 'rate': 0.01},
  ('flat', 'lamb'): {'clip_norm': 0.1, 'rate': 0.08},
  ('per_layer', 'adam'): {'clip_norm': 0.3, 'rate': 0.01},
  ('per_layer', 'lamb'): {'clip_norm': 0.3, 'rate': 0.08},
}
_NORMS = (0.1, 0.3, 1.0)
_RATES = {'adam': (2e-3, 5e-3, 0.01), 'lamb': (0.01, 0.03, 0.08)}


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  variants = {'': _default, 'tuning': _tuning}
  return config_file.chosen(variant, variants)()


def sweep(variant: str = '') -> Iterator[dict[str, Any]]:
  """Noise by way of clipping, optimizer and seed; of `tuning`, settings."""
  if variant == 'tuning':
    for clip_norm, way in itertools.product(_NORMS, _WAYS):
      for rate in _RATES[way[1]]:
        yield _point(*way, _TUNED_AT, clip_norm=clip_norm, rate=rate)
    return
  for seed in range(3):
    for noise in _NOISES:
      for way in _WAYS:
        yield {**_point(*way, noise, **_CHOSEN[way]), 'seed': seed}


def _point(
  clipping: str, optimizer: str, noise: float, *, clip_norm: float, rate: float
) -> dict[str, Any]:
  point = {
    'name': f'{clipping}_{optimizer}',
    f'{_PRIVACY}.clipping': clipping,
    f'{_PRIVACY}.clip_norm': clip_norm,
    f'{_PRIVACY}.central_noise_multiplier': _of_cohort(noise),
    f'{_SERVER}.optimizer': optimizer,
    f'{_SERVER}.learning_rate': rate,
  }
  if not noise:
    # What only noise reads.
    point[f'{_PRIVACY}.population'] = 0
    point[f'{_PRIVACY}.population_cohort'] = 0
    point[f'{_PRIVACY}.delta'] = config.PrivacyConfig().delta
  return point


def _of_cohort(noise: float) -> float:
  """The multiplier here that is `noise` in the extrapolated cohort."""
  return noise * _COHORT / _COHORT_THERE


def _default() -> config.Config:
  cfg = config.Config(
    name='privacy',
    data=corpora.commands(),
    features=config.FeaturesConfig(hop_ms=20.0),
    model=models.ds2('small'),
    federated=federated.fedavg(
      num_utterances=20_600, cohort_size=_COHORT, block_size=2
    ),
  )
  cfg.federated.weighting = config.Weighting.UNIFORM
  cfg.federated.sampling = config.Sampling.POISSON
  chosen = _CHOSEN['flat', 'adam']
  cfg.federated.server.learning_rate = chosen['rate']
  cfg.federated.privacy = config.PrivacyConfig(
    clip_norm=chosen['clip_norm'],
    central_noise_multiplier=_of_cohort(_TUNED_AT),
    delta=1e-6,
    population=_POPULATION,
    population_cohort=_COHORT_THERE,
  )
  return cfg


def _tuning() -> config.Config:
  cfg = _default()
  cfg.name = 'privacy_tuning'
  cfg.data.synthetic.seed = 1
  return cfg
