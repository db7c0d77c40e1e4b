"""What each defence saves of a client's speech, and the WER that it costs.

A variant is one defence, and its `sweep(variant)` the strengths of it. A point
overrides what training and attack have in common (`federated`, `model`), so
that two commands give its two numbers:

  python launch/sweep.py --config=configs/defences.py:noise_local | sh
    leakage: SNR and the speaker's rank, in attack.json of each point
  python launch/sweep.py --config=configs/defences.py:noise_local \\
      --config.job=train --config.name=defences_train | sh
    WER: metrics.jsonl of each point; the first point is without the defence

and with --config.seed=1 and --workdir=runs/<another>, other seeds. All points,
seeds and attackers, as one table: benchmarks/decide.py.

Variants:
  dropout             configs/defences.py:dropout
  clipping            configs/defences.py:clipping
  noise_local         configs/defences.py:noise_local
  noise_central       configs/defences.py:noise_central
  compression         configs/defences.py:compression
  batch_size          configs/defences.py:batch_size
  local_steps         configs/defences.py:local_steps
  client_optimizer    configs/defences.py:client_optimizer
  secure_aggregation  configs/defences.py:secure_aggregation

The model is DeepSpeech 1, `tiny`, on 26 MFCC, freshly initialised for the
attack. Unless the defence says otherwise, the attacker has the easiest case:
one utterance and one local step, no transcript and no length. The update is
the delta that training would send. Of central noise, the attacker knows what
all other clients sent, as differential privacy supposes; secure aggregation of
n clients costs no WER by itself, the cohort of n that it needs may.
"""

from collections.abc import Iterator
from typing import Any

from fedjax_asr import config, config_file
from fedjax_asr.presets import corpora, features, federated, models


def get_config(variant: str = '') -> config.Config:
  """The attack on a model under one defence, at the strength of none."""
  attack = config_file.chosen(variant or _DEFAULT, _ATTACKS)
  model = models.ds1('tiny')
  # 50 windows a second already, of 20 ms each.
  model.ds1.time_stride = 1
  return config.Config(
    job=config.Job.ATTACK,
    name='defences',
    data=corpora.commands(),
    features=features.mfcc(),
    model=model,
    federated=_federated(),
    attack=config.AttackConfig(
      num_victims=8,
      observed=config.Observed.DELTA,
      methods=('span', 'seed_and_grow'),
      speaker_id=config.SpeakerIdConfig(enabled=True),
      **attack,
    ),
  )


def sweep(variant: str) -> Iterator[dict[str, Any]]:
  """The strengths of a defence, from none upwards."""
  yield from config_file.chosen(variant or _DEFAULT, _POINTS)


def _federated() -> config.FederatedConfig:
  """Clients of one weight, as central noise needs them."""
  cfg = federated.fedavg(
    num_rounds=160, cohort_size=8, block_size=2, server_learning_rate=5e-3
  )
  cfg.weighting = config.Weighting.UNIFORM
  cfg.server.warmup_rounds = 10
  return cfg


def _over(field: str, *values: Any) -> list[dict[str, Any]]:
  return [{field: value} for value in values]


def _noise(kind: str) -> list[dict[str, Any]]:
  """Multiples of a clip norm that alone changes little."""
  return [
    {
      'federated.privacy.clip_norm': 1.0,
      f'federated.privacy.{kind}_noise_multiplier': multiplier,
    }
    for multiplier in (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
  ]


_DEFAULT = 'compression'
_CODE = 'federated.compression'
_CLIENT = 'federated.client'
_POINTS = {
  'dropout': _over('model.ds1.dropout', 0.0, 0.1, 0.2, 0.4),
  'clipping': _over('federated.privacy.clip_norm', 0.0, 0.3, 0.1, 0.03, 0.01),
  'noise_local': _noise('local'),
  'noise_central': _noise('central'),
  'compression': [
    *_over(f'{_CODE}.method', 'none', 'float16', 'bfloat16', 'int8'),
    {f'{_CODE}.method': 'int8', f'{_CODE}.rounding': 'nearest'},
    *(
      {f'{_CODE}.method': 'quantized', f'{_CODE}.bits': bits}
      for bits in (4, 2, 1)
    ),
    {f'{_CODE}.method': 'sign'},
    *(
      {f'{_CODE}.method': 'top_k', f'{_CODE}.top_fraction': fraction}
      for fraction in (0.5, 0.1, 0.01)
    ),
    *(
      {f'{_CODE}.method': 'random_k', f'{_CODE}.top_fraction': fraction}
      for fraction in (0.5, 0.1, 0.01)
    ),
  ],
  'batch_size': [
    {f'{_CLIENT}.batch_size': count, 'attack.batch_size': count}
    for count in (1, 2, 4, 8)
  ],
  'local_steps': _over(f'{_CLIENT}.local_steps', 1, 2, 4, 8, 16),
  # Rates of equal progress are another matter; these are common ones.
  'client_optimizer': [
    {f'{_CLIENT}.optimizer': kind, f'{_CLIENT}.learning_rate': rate}
    for kind, rate in (('sgd', 0.3), ('momentum', 0.1), ('adam', 1e-3))
  ],
  'secure_aggregation': [
    {'attack.num_aggregated': count, 'federated.cohort_size': count}
    for count in (1, 2, 4, 8)
  ],
}
# 0: as in training, where the defence lies.
_ATTACKS: dict[str, dict[str, Any]] = {name: {} for name in _POINTS} | {
  'local_steps': {'local_steps': 0},
  'client_optimizer': {'local_steps': 0},
}
