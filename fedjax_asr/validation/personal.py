"""What algorithms need by which clients keep a model, or a part of one."""

from fedjax_asr import config
from fedjax_asr.validation import requirement


def check(cfg: config.Config) -> None:
  """Raises `ConfigError` unless such an algorithm can work as it is set."""
  federated, names = cfg.federated, config.AlgorithmName
  model = cfg.model
  has_norms = model.architecture is config.Architecture.DS2
  has_norms = has_norms and model.ds2.norm is not config.Norm.NONE
  requirement.require(
    cfg,
    'federated.algorithm',
    federated.algorithm is not names.FEDBN or has_norms,
    'another for a model without a norm, which is what fedbn leaves with '
    'clients (or model.architecture=ds2 with a model.ds2.norm)',
  )
  steps = federated.client.local_steps
  requirement.require(
    cfg,
    'federated.fedrep.head_steps',
    federated.algorithm is not names.FEDREP
    or not steps
    or federated.fedrep.head_steps < steps,
    f'fewer than federated.client.local_steps={steps}: the others train what '
    'is shared',
  )
