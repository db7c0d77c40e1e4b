"""Whether what a config says of clients as systems goes together."""

from fedjax_asr import config
from fedjax_asr.validation import requirement


def check(cfg: config.Config) -> None:
  """Raises `ConfigError` where it does not, or where a field is not read."""
  _check_unread(cfg)
  _check_fedbuff(cfg)
  _check_drawn(cfg)
  systems = cfg.federated.systems
  requirement.require(
    cfg,
    'federated.systems.trace',
    bool(systems.trace) == (systems.speeds is config.Speeds.TRACE),
    'the path of a CSV file with federated.systems.speeds=trace, and only then',
  )
  requirement.require(
    cfg,
    'federated.systems.late_work',
    systems.late_work is config.LateWork.LEFT_OUT or bool(systems.deadline),
    'left_out without a federated.systems.deadline',
  )


def _check_unread(cfg: config.Config) -> None:
  systems = cfg.federated.systems
  has_clock = systems.speeds is not config.Speeds.NONE
  is_drawn = systems.speeds is config.Speeds.LOG_NORMAL
  client = cfg.federated.client
  requirement.read(
    cfg,
    'federated.client.batch_frames',
    not (client.local_steps or client.max_utterances)
    and not (has_clock or systems.dropout),
    'whole local epochs of clients whose speed and dropout nothing simulates',
  )
  for name, is_read, condition in (
    ('deadline', has_clock, 'federated.systems.speeds'),
    (
      'median_seconds_per_step',
      is_drawn,
      'federated.systems.speeds=log_normal',
    ),
    ('speed_spread', is_drawn, 'federated.systems.speeds=log_normal'),
  ):
    requirement.read(cfg, f'federated.systems.{name}', is_read, condition)


def _check_drawn(cfg: config.Config) -> None:
  federated, systems = cfg.federated, cfg.federated.systems
  path = 'federated.systems.num_drawn'
  if not systems.num_drawn:
    return
  requirement.require(
    cfg,
    path,
    bool(systems.dropout) or systems.speeds is not config.Speeds.NONE,
    '0 without federated.systems.speeds or dropout, by which some come first',
  )
  requirement.require(
    cfg,
    path,
    systems.num_drawn >= federated.cohort_size,
    f'at least federated.cohort_size={federated.cohort_size}',
  )
  if federated.partition is not config.Partition.SPEAKER:
    requirement.require(
      cfg,
      path,
      systems.num_drawn <= federated.num_clients,
      f'at most federated.num_clients={federated.num_clients}',
    )


def _check_fedbuff(cfg: config.Config) -> None:
  federated = cfg.federated
  if federated.algorithm is not config.AlgorithmName.FEDBUFF:
    return
  requirement.require(
    cfg,
    'federated.systems.speeds',
    federated.systems.speeds is not config.Speeds.NONE,
    'log_normal or trace with federated.algorithm=fedbuff, which goes by who '
    'finishes when',
  )
  requirement.require(
    cfg,
    'federated.systems.num_drawn',
    not federated.systems.num_drawn,
    '0 with federated.algorithm=fedbuff, which has fedbuff.concurrency',
  )
  if federated.partition is not config.Partition.SPEAKER:
    requirement.require(
      cfg,
      'federated.fedbuff.concurrency',
      federated.fedbuff.concurrency <= federated.num_clients,
      f'at most federated.num_clients={federated.num_clients}',
    )
