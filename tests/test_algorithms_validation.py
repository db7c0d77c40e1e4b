"""What goes with which algorithm."""

import pytest

from fedjax_asr import config, validation

GRADIENT = config.ControlVariate.SERVER_GRADIENT
ADAM, MOMENTUM = config.ClientOptimizer.ADAM, config.ClientOptimizer.MOMENTUM
UNIFORM = config.Weighting.UNIFORM
ROOM_TEMPERATURE = config.WerWeightedConfig(temperature=300.0)
CENTRAL_NOISE = config.PrivacyConfig(
  clip_norm=1.0, central_noise_multiplier=0.1
)
LOCAL_NOISE = config.PrivacyConfig(clip_norm=1.0, local_noise_multiplier=0.1)


def _federated(algorithm, **fields):
  return config.Config(
    federated=config.FederatedConfig(
      algorithm=config.AlgorithmName(algorithm), **fields
    )
  )


@pytest.mark.parametrize(
  ('cfg', 'message'),
  [
    (
      _federated('fedavg', fedprox=config.FedProxConfig(mu=0.5)),
      'config.federated.fedprox.mu=0.5; want 0.01 without '
      'federated.algorithm=fedprox.',
    ),
    (
      _federated('fedprox', fedprox=config.FedProxConfig(mu=-1.0)),
      'config.federated.fedprox.mu=-1.0; want >= 0.',
    ),
    (
      _federated('fedavg', scaffold=config.ScaffoldConfig(variate=GRADIENT)),
      "config.federated.scaffold.variate='server_gradient'; want 'steps' "
      'without federated.algorithm=scaffold.',
    ),
    (
      _federated('scaffold', client=config.ClientConfig(optimizer=MOMENTUM)),
      "config.federated.client.optimizer='momentum'; want sgd with "
      'federated.algorithm=scaffold.',
    ),
    (
      _federated('scaffold', privacy=LOCAL_NOISE),
      'config.federated.privacy.local_noise_multiplier=0.1; want 0 with '
      'federated.algorithm=scaffold, whose',
    ),
    (
      _federated('feddyn'),
      "config.federated.weighting='utterances'; want uniform with "
      'federated.algorithm=feddyn',
    ),
    (
      _federated('feddyn', feddyn=config.FedDynConfig(alpha=0.0)),
      'config.federated.feddyn.alpha=0.0; want > 0.',
    ),
    (
      _federated('fednova', client=config.ClientConfig(optimizer=ADAM)),
      "config.federated.client.optimizer='adam'; want sgd or momentum with "
      'federated.algorithm=fednova.',
    ),
    (
      _federated('fednova', weighting=UNIFORM, privacy=CENTRAL_NOISE),
      'config.federated.privacy.central_noise_multiplier=0.1; want 0 with '
      'federated.algorithm=fednova, by whose rule',
    ),
    (
      _federated('mimelite'),
      "config.federated.client.optimizer='sgd'; want momentum or adam with "
      'federated.algorithm=mimelite.',
    ),
    (
      _federated(
        'mimelite',
        client=config.ClientConfig(optimizer=MOMENTUM),
        mimelite=config.MimeLiteConfig(beta2=0.5),
      ),
      'config.federated.mimelite.beta2=0.5; want 0.99 without '
      'federated.client.optimizer=adam.',
    ),
    (
      _federated('qffl'),
      "config.federated.weighting='utterances'; want uniform with "
      'federated.algorithm=qffl',
    ),
    (
      _federated('qffl', weighting=UNIFORM, privacy=CENTRAL_NOISE),
      'config.federated.privacy.central_noise_multiplier=0.1; want 0 with '
      'federated.algorithm=qffl, by whose rule',
    ),
    (
      _federated('agnostic', weighting=UNIFORM, privacy=CENTRAL_NOISE),
      'config.federated.privacy.central_noise_multiplier=0.1; want 0 with '
      'federated.algorithm=agnostic, by whose rule',
    ),
    (
      _federated('agnostic'),
      "config.federated.weighting='utterances'; want uniform with "
      'federated.algorithm=agnostic',
    ),
    (
      _federated(
        'loss_weighted',
        loss_weighted=config.LossWeightedConfig(temperature=0.0),
      ),
      'config.federated.loss_weighted.temperature=0.0; want a number above or '
      'below 0.',
    ),
    (
      _federated('loss_weighted', wer_weighted=ROOM_TEMPERATURE),
      'config.federated.wer_weighted.temperature=300.0; want -1.0 without '
      'federated.algorithm=wer_weighted.',
    ),
    (
      _federated('loss_weighted', weighting=UNIFORM, privacy=CENTRAL_NOISE),
      'config.federated.privacy.central_noise_multiplier=0.1; want 0 with '
      'federated.algorithm=loss_weighted, by whose rule',
    ),
  ],
)
def test_what_does_not_go_with_an_algorithm_is_named(cfg, message):
  with pytest.raises(config.ConfigError) as caught:
    validation.validate(cfg)
  assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
  'cfg',
  [
    _federated('fedprox', fedprox=config.FedProxConfig(mu=0.0)),
    _federated('scaffold', scaffold=config.ScaffoldConfig(variate=GRADIENT)),
    _federated('scaffold', privacy=config.PrivacyConfig(clip_norm=1.0)),
    _federated(
      'mimelite',
      client=config.ClientConfig(optimizer=ADAM),
      mimelite=config.MimeLiteConfig(beta2=0.5),
    ),
    _federated('qffl', weighting=UNIFORM, qffl=config.QfflConfig(q=0.0)),
    _federated('agnostic', weighting=UNIFORM, privacy=LOCAL_NOISE),
    _federated(
      'loss_weighted',
      loss_weighted=config.LossWeightedConfig(temperature=-5.0),
      privacy=LOCAL_NOISE,
    ),
    _federated('wer_weighted', wer_weighted=ROOM_TEMPERATURE),
    _federated('fednova', privacy=LOCAL_NOISE),
    _federated('feddyn', weighting=UNIFORM, privacy=CENTRAL_NOISE),
    _federated('feddyn', weighting=UNIFORM, privacy=LOCAL_NOISE),
  ],
)
def test_what_goes_with_an_algorithm_passes(cfg):
  validation.validate(cfg)
