"""What algorithms with a personal part need of a config."""

import pytest

from fedjax_asr import config, validation


def _config(algorithm, local_steps=0, norm=config.Norm.LAYER, **sections):
  cfg = config.Config(
    federated=config.FederatedConfig(
      algorithm=config.AlgorithmName(algorithm), **sections
    )
  )
  cfg.federated.client.local_steps = local_steps
  cfg.model.architecture = config.Architecture.DS2
  cfg.model.ds2.norm = norm
  return cfg


def _ds1(cfg):
  cfg.model.architecture = config.Architecture.DS1
  return cfg


@pytest.mark.parametrize(
  ('cfg', 'message'),
  [
    (
      _config('fedavg', ditto=config.DittoConfig(regularization=2.0)),
      'config.federated.ditto.regularization=2.0; want 0.1 without '
      'federated.algorithm=ditto.',
    ),
    (
      _config('ditto', fedrep=config.FedRepConfig(head_steps=4)),
      'config.federated.fedrep.head_steps=4; want 1 without '
      'federated.algorithm=fedrep.',
    ),
    (
      _config('fedbn', norm=config.Norm.NONE),
      "config.federated.algorithm='fedbn'; want another for a model without a "
      'norm',
    ),
    (
      _ds1(_config('fedbn')),
      "config.federated.algorithm='fedbn'; want another for a model without a "
      'norm',
    ),
    (
      _config(
        'fedrep', local_steps=2, fedrep=config.FedRepConfig(head_steps=2)
      ),
      'config.federated.fedrep.head_steps=2; want fewer than '
      'federated.client.local_steps=2',
    ),
  ],
)
def test_what_cannot_work_is_named(cfg, message):
  with pytest.raises(config.ConfigError) as caught:
    validation.validate(cfg)
  assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
  'cfg',
  [
    _config('ditto', ditto=config.DittoConfig(regularization=2.0)),
    _config('fedbn', norm=config.Norm.GROUP),
    _ds1(_config('ditto')),
    _config('fedrep', local_steps=3, fedrep=config.FedRepConfig(head_steps=2)),
  ],
)
def test_what_can_work_is_taken(cfg):
  validation.validate(cfg)
