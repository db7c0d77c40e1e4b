"""What goes with a federated algorithm, and what it would not read."""

from fedjax_asr import config
from fedjax_asr.validation import requirement

# Sections of `config.federated` that are named as the algorithm they set.
_SECTIONS = (
  config.AlgorithmName.FEDPROX,
  config.AlgorithmName.SCAFFOLD,
  config.AlgorithmName.FEDDYN,
  config.AlgorithmName.MIMELITE,
  config.AlgorithmName.QFFL,
  config.AlgorithmName.AGNOSTIC,
  config.AlgorithmName.LOSS_WEIGHTED,
  config.AlgorithmName.WER_WEIGHTED,
  config.AlgorithmName.DITTO,
  config.AlgorithmName.FEDREP,
  config.AlgorithmName.FEDBUFF,
)
# What their rules are defined for; all others take any client optimizer.
_OPTIMIZERS = {
  config.AlgorithmName.SCAFFOLD: (config.ClientOptimizer.SGD,),
  config.AlgorithmName.FEDNOVA: (
    config.ClientOptimizer.SGD,
    config.ClientOptimizer.MOMENTUM,
  ),
  config.AlgorithmName.MIMELITE: (
    config.ClientOptimizer.MOMENTUM,
    config.ClientOptimizer.ADAM,
  ),
}
# These have weights of their own, or none.
_UNIFORM = (
  config.AlgorithmName.FEDDYN,
  config.AlgorithmName.QFFL,
  config.AlgorithmName.AGNOSTIC,
)
# Numbers that these send beside the update pass no channel.
_SENDING_MORE = (
  config.AlgorithmName.SCAFFOLD,
  config.AlgorithmName.MIMELITE,
)

# What they divide by, or weigh with, is the clients' own.
_SCALED_BY_CLIENTS = (
  config.AlgorithmName.FEDNOVA,
  config.AlgorithmName.QFFL,
  config.AlgorithmName.AGNOSTIC,
  config.AlgorithmName.LOSS_WEIGHTED,
  config.AlgorithmName.WER_WEIGHTED,
)


def check(cfg: config.Config) -> None:
  """Raises `ConfigError` where a field and the algorithm do not go together."""
  chosen = cfg.federated.algorithm
  for name in _SECTIONS:
    requirement.read(
      cfg, f'federated.{name}', chosen is name, f'federated.algorithm={name}'
    )
  _check_optimizer(cfg)
  _check_weighting(cfg)
  _check_noise(cfg)
  _check_temperature(cfg)


def _check_optimizer(cfg: config.Config) -> None:
  name, chosen = cfg.federated.algorithm, cfg.federated.client.optimizer
  allowed = _OPTIMIZERS.get(name, tuple(config.ClientOptimizer))
  requirement.require(
    cfg,
    'federated.client.optimizer',
    chosen in allowed,
    f'{" or ".join(allowed)} with federated.algorithm={name}',
  )
  requirement.read(
    cfg,
    'federated.mimelite',
    chosen is config.ClientOptimizer.ADAM,
    'federated.client.optimizer=adam',
  )


def _check_weighting(cfg: config.Config) -> None:
  name, chosen = cfg.federated.algorithm, cfg.federated.weighting
  requirement.require(
    cfg,
    'federated.weighting',
    name not in _UNIFORM or chosen is config.Weighting.UNIFORM,
    f'uniform with federated.algorithm={name}, by whose rule clients weigh',
  )


def _check_noise(cfg: config.Config) -> None:
  """Noise on an update hides nothing that is sent beside it in the clear."""
  name = cfg.federated.algorithm
  for noise in ('local_noise_multiplier', 'central_noise_multiplier'):
    requirement.require(
      cfg,
      f'federated.privacy.{noise}',
      not getattr(cfg.federated.privacy, noise) or name not in _SENDING_MORE,
      f'0 with federated.algorithm={name}, whose clients send gradients '
      'beside the update, which noise does not reach',
    )
  requirement.require(
    cfg,
    'federated.privacy.central_noise_multiplier',
    not cfg.federated.privacy.central_noise_multiplier
    or name not in _SCALED_BY_CLIENTS,
    f'0 with federated.algorithm={name}, by whose rule one client may move the '
    'mean by more than its share of clip_norm',
  )


def _check_temperature(cfg: config.Config) -> None:
  for name in ('loss_weighted', 'wer_weighted'):
    requirement.require(
      cfg,
      f'federated.{name}.temperature',
      getattr(cfg.federated, name).temperature != 0,
      'a number above or below 0',
    )
