"""Which defences go together."""

import pytest

from fedjax_asr import config, validation


def _federated(compression=None, weighting='uniform', **privacy):
  return config.Config(
    federated=config.FederatedConfig(
      weighting=config.Weighting(weighting),
      privacy=config.PrivacyConfig(**privacy),
      compression=config.CompressionConfig(**(compression or {})),
    )
  )


@pytest.mark.parametrize(
  ('cfg', 'message'),
  [
    (
      _federated(local_noise_multiplier=0.1),
      'config.federated.privacy.local_noise_multiplier=0.1; want 0 without a '
      'federated.privacy.clip_norm',
    ),
    (
      _federated(central_noise_multiplier=0.1),
      'config.federated.privacy.central_noise_multiplier=0.1; want 0 without a '
      'federated.privacy.clip_norm',
    ),
    (
      _federated(
        weighting='frames', clip_norm=1.0, central_noise_multiplier=0.1
      ),
      "config.federated.weighting='frames'; want uniform with",
    ),
    (
      _federated(
        {'method': config.Compression.INT8},
        clip_norm=1.0,
        central_noise_multiplier=0.1,
      ),
      "config.federated.compression.method='int8'; want none, sign or top_k",
    ),
    (
      _federated({'rounding': config.Rounding.NEAREST}),
      "config.federated.compression.rounding='nearest'; want 'stochastic' "
      'without federated.compression.method=int8',
    ),
    (
      _federated(
        {'method': config.Compression.QUANTIZED},
        clip_norm=1.0,
        central_noise_multiplier=0.1,
      ),
      "config.federated.compression.method='quantized'; want none, sign or",
    ),
    (
      _federated(
        {'method': config.Compression.RANDOM_K},
        clip_norm=1.0,
        central_noise_multiplier=0.1,
      ),
      "config.federated.compression.method='random_k'; want none, sign or",
    ),
    (
      _federated({'method': config.Compression.INT8, 'bits': 3}),
      'config.federated.compression.bits=3; want 4 without '
      'federated.compression.method=quantized',
    ),
    (
      _federated({'method': config.Compression.QUANTIZED, 'bits': 9}),
      'config.federated.compression.bits=9; want >= 1 and <= 8.',
    ),
    (
      _federated(
        {
          'method': config.Compression.QUANTIZED,
          'bits': 1,
          'rounding': config.Rounding.NEAREST,
        }
      ),
      'config.federated.compression.bits=1; want 2 to 8 with '
      'federated.compression.rounding=nearest (or method=sign)',
    ),
    (
      _federated({'error_feedback': True}),
      'config.federated.compression.error_feedback=True; want false without a '
      'federated.compression.method',
    ),
    *(
      (
        _federated(
          {'method': config.Compression.SIGN, 'error_feedback': True},
          clip_norm=1.0,
          **noise,
        ),
        'config.federated.compression.error_feedback=True; want false with '
        f'federated.privacy.{next(iter(noise))}: what is kept',
      )
      for noise in (
        {'local_noise_multiplier': 0.1},
        {'central_noise_multiplier': 0.1},
        {'target_epsilon': 8.0},
      )
    ),
    (
      _federated({'method': config.Compression.INT8, 'error_feedback': True}),
      "config.federated.compression.rounding='stochastic'; want nearest with "
      'federated.compression.error_feedback',
    ),
    (
      _federated({'method': config.Compression.SIGN, 'top_fraction': 0.2}),
      'config.federated.compression.top_fraction=0.2; want 0.1 without '
      'federated.compression.method=top_k',
    ),
  ],
)
def test_defences_that_do_not_go_together_are_named(cfg, message):
  with pytest.raises(config.ConfigError) as caught:
    validation.validate(cfg)
  assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
  'cfg',
  [
    _federated(weighting='utterances', clip_norm=1.0),
    _federated(
      {'method': config.Compression.RANDOM_K, 'error_feedback': True},
      weighting='utterances',
      clip_norm=1.0,
    ),
    _federated(
      {'method': config.Compression.QUANTIZED, 'bits': 1},
      clip_norm=1.0,
      local_noise_multiplier=0.1,
    ),
    _federated(
      weighting='utterances', clip_norm=1.0, local_noise_multiplier=0.1
    ),
    _federated(
      {'method': config.Compression.TOP_K, 'top_fraction': 0.01},
      clip_norm=1.0,
      central_noise_multiplier=0.1,
    ),
    _federated(
      {
        'method': config.Compression.INT8,
        'rounding': config.Rounding.NEAREST,
      },
      clip_norm=1.0,
      local_noise_multiplier=0.1,
    ),
  ],
)
def test_other_defences_do(cfg):
  validation.validate(cfg)
