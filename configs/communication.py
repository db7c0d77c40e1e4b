"""Bytes of a round against WER, for each code of a client's update.

  python -m fedjax_asr.main --config=configs/communication.py \\
      --config.federated.compression.method=top_k
  python benchmarks/communication.py RESULT.json \\
      --config=configs/communication.py

The second trains every point of `sweep()`, a code with a seed each, and records
the bytes of metrics.jsonl beside the WER; docs/communication.md says what the
codes are and what came of it.

Variants:
  (none)  `small` DeepSpeech 2 on the corpus of configs/ds2_fedavg.py; each of
          108 speakers is a client, 8 of them in a round. Rates are those of
          training without a code, and tuned for none.
"""

from collections.abc import Iterator
from typing import Any

from fedjax_asr import config, config_file
from fedjax_asr.presets import corpora, federated, models

_SEEDS = range(3)
_CODE = 'federated.compression'


def get_config(variant: str = '') -> config.Config:
  """Training without a code, for flags to override."""
  config_file.chosen(variant, {'': None})
  return config.Config(
    name='communication',
    data=corpora.commands(),
    features=config.FeaturesConfig(hop_ms=20.0),
    model=models.ds2('small'),
    federated=federated.fedavg(num_rounds=110, cohort_size=8, block_size=2),
  )


def sweep(variant: str = '') -> Iterator[dict[str, Any]]:
  """Each code with each seed; those of one code are apart."""
  config_file.chosen(variant, {'': None})
  for seed in _SEEDS:
    for name, settings in _POINTS.items():
      point = {f'{_CODE}.{field}': value for field, value in settings.items()}
      yield {'name': name, **point, 'seed': seed}


def _code(method: str, **settings: Any) -> dict[str, Any]:
  return {'method': method, **settings}


def _fed_back(method: str, **settings: Any) -> dict[str, Any]:
  return _code(method, **settings, error_feedback=True)


# One of each kind first: where time runs out, no kind is missing.
_POINTS: dict[str, dict[str, Any]] = {
  'none': _code('none'),
  'quantized_4': _code('quantized', bits=4),
  'quantized_1': _code('quantized', bits=1),
  'sign': _code('sign'),
  'sign_feedback': _fed_back('sign'),
  'top_k_0.1': _code('top_k', top_fraction=0.1),
  'top_k_0.01_feedback': _fed_back('top_k', top_fraction=0.01),
  'random_k_0.1': _code('random_k', top_fraction=0.1),
  'int8': _code('int8'),
  'quantized_2': _code('quantized', bits=2),
  'top_k_0.01': _code('top_k', top_fraction=0.01),
  'top_k_0.1_feedback': _fed_back('top_k', top_fraction=0.1),
  'random_k_0.1_feedback': _fed_back('random_k', top_fraction=0.1),
  'random_k_0.01': _code('random_k', top_fraction=0.01),
  'random_k_0.01_feedback': _fed_back('random_k', top_fraction=0.01),
  'quantized_4_feedback': _fed_back('quantized', bits=4, rounding='nearest'),
  'quantized_2_feedback': _fed_back('quantized', bits=2, rounding='nearest'),
  'float16': _code('float16'),
  'bfloat16': _code('bfloat16'),
}
