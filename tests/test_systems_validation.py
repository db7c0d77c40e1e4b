"""Which fields of clients as systems go together."""

import pytest

from fedjax_asr import config, validation

_DRAWN = {'speeds': config.Speeds.LOG_NORMAL}


def _federated(cohort_size=8, **systems):
  return config.Config(
    federated=config.FederatedConfig(
      cohort_size=cohort_size,
      partition=config.Partition.IID,
      num_clients=20,
      systems=config.SystemsConfig(**systems),
    )
  )


@pytest.mark.parametrize(
  ('systems', 'message'),
  [
    ({'dropout': 1.0}, 'dropout=1.0; want >= 0 and < 1'),
    ({'deadline': 1.0}, 'deadline=1.0; want 0.0 without federated.systems.sp'),
    (
      {'speed_spread': 1.0},
      'speed_spread=1.0; want 0.5 without federated.systems.speeds=log_normal',
    ),
    (
      {'median_seconds_per_step': 2.0},
      'median_seconds_per_step=2.0; want 1.0 without federated.systems.speeds',
    ),
    ({'num_drawn': 9}, 'num_drawn=9; want 0 without federated.systems.speeds'),
    (
      {'num_drawn': 7} | _DRAWN,
      'num_drawn=7; want at least federated.cohort_size=8',
    ),
    (
      {'num_drawn': 21} | _DRAWN,
      'num_drawn=21; want at most federated.num_clients=20',
    ),
    ({'trace': 'x.csv'}, "trace='x.csv'; want the path of a CSV file with"),
    ({'speeds': config.Speeds.TRACE}, "trace=''; want the path of a CSV file"),
    (
      {'late_work': config.LateWork.PARTIAL} | _DRAWN,
      "late_work='partial'; want left_out without a federated.systems.deadl",
    ),
  ],
)
def test_systems_that_do_not_go_together_are_named(systems, message):
  with pytest.raises(config.ConfigError) as caught:
    validation.validate(_federated(**systems))
  assert str(caught.value).startswith(f'config.federated.systems.{message}')


def _fedbuff(algorithm='fedbuff', speeds='log_normal', num_drawn=0, **fedbuff):
  cfg = _federated(speeds=config.Speeds(speeds), num_drawn=num_drawn)
  cfg.federated.algorithm = config.AlgorithmName(algorithm)
  cfg.federated.fedbuff = config.FedBuffConfig(**fedbuff)
  return cfg


@pytest.mark.parametrize(
  ('cfg', 'message'),
  [
    (_fedbuff(max_staleness=0), 'fedbuff.max_staleness=0; want >= 1.'),
    (
      _fedbuff(speeds='none'),
      "systems.speeds='none'; want log_normal or trace with",
    ),
    (
      _fedbuff(num_drawn=9),
      'systems.num_drawn=9; want 0 with federated.algorithm=fedbuff',
    ),
    (
      _fedbuff(concurrency=21),
      'fedbuff.concurrency=21; want at most federated.num_clients=20',
    ),
    (
      _fedbuff('fedavg', concurrency=9),
      'fedbuff.concurrency=9; want 0 without federated.algorithm=fedbuff',
    ),
    (
      _fedbuff('fedavg', max_staleness=9),
      'fedbuff.max_staleness=9; want 4 without federated.algorithm=fedbuff',
    ),
  ],
)
def test_a_buffer_that_cannot_work_is_named(cfg, message):
  with pytest.raises(config.ConfigError) as caught:
    validation.validate(cfg)
  assert str(caught.value).startswith(f'config.federated.{message}')


@pytest.mark.parametrize(
  'systems',
  [
    {'dropout': 0.5, 'num_drawn': 20},
    {'deadline': 1.0, 'late_work': config.LateWork.PARTIAL} | _DRAWN,
    {'speeds': config.Speeds.TRACE, 'trace': 'x.csv', 'deadline': 1.0},
  ],
)
def test_other_systems_do(systems):
  validation.validate(_federated(**systems))


def test_a_buffer_that_can_work_does():
  validation.validate(_fedbuff(concurrency=20, staleness_exponent=0.0))


@pytest.mark.parametrize(
  ('client', 'systems'),
  [
    ({'local_steps': 2}, {}),
    ({'max_utterances': 5}, {}),
    ({}, {'dropout': 0.1}),
    ({}, _DRAWN),
  ],
)
def test_frames_limit_batches_of_whole_epochs_alone(client, systems):
  """How many steps a client has would not be known."""
  cfg = _federated(**systems)
  cfg.federated.client = config.ClientConfig(**client)
  validation.validate(cfg)
  cfg.federated.client.batch_frames = 100
  with pytest.raises(config.ConfigError, match='batch_frames=100; want 0 wi'):
    validation.validate(cfg)
