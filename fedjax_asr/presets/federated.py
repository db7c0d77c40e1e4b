"""Federated training that the configs share."""

from fedjax_asr import config


def fedavg(
  *,
  num_rounds: int = 0,
  num_utterances: int = 0,
  cohort_size: int,
  block_size: int,
  server_learning_rate: float = 1e-2,
  max_utterances: int = 24,
) -> config.FederatedConfig:
  """One local epoch of clipped SGD; Adam at the server, linear decay.

  Its length is in rounds, or else in utterances that clients train on. A
  cohort of 0 is 8 clients, or all of a smaller corpus; how many rounds the
  rate rises for goes by their number. The server's rate is the one that is best
  or near it on AN4, spoken digits and synthesised commands, with 3 to 300
  clients (docs/recipes.md).
  """
  return config.FederatedConfig(
    num_rounds=num_rounds,
    num_utterances=num_utterances,
    cohort_size=cohort_size,
    block_size=block_size,
    client=config.ClientConfig(
      learning_rate=0.3,
      batch_size=8,
      max_utterances=max_utterances,
      local_epochs=1,
      clip_norm=1.0,
    ),
    server=config.ServerConfig(
      optimizer=config.ServerOptimizer.ADAM,
      learning_rate=server_learning_rate,
      schedule=config.Schedule.LINEAR,
      warmup_rounds=-1,
      momentum=0.8,
      beta2=0.99,
    ),
  )


def central(
  *,
  num_steps: int = 0,
  num_utterances: int = 0,
  batch_size: int,
  learning_rate: float,
) -> config.FederatedConfig:
  """Adam on gradients of batches drawn from one client that holds all.

  Its length is in steps, or else in utterances; the rate rises for a
  twentieth of 1,320 steps and then falls linearly.
  """
  return config.FederatedConfig(
    num_rounds=num_steps,
    num_utterances=num_utterances,
    partition=config.Partition.IID,
    num_clients=1,
    cohort_size=1,
    block_size=1,
    client=config.ClientConfig(
      learning_rate=1.0, batch_size=batch_size, local_steps=1, clip_norm=1.0
    ),
    server=config.ServerConfig(
      optimizer=config.ServerOptimizer.ADAM,
      learning_rate=learning_rate,
      schedule=config.Schedule.LINEAR,
      warmup_rounds=66,
      momentum=0.9,
      beta2=0.99,
    ),
  )


def smoke() -> config.FederatedConfig:
  """Six rounds of 4 clients, compiled once: enough to see that all works."""
  federated = fedavg(num_rounds=6, cohort_size=4, block_size=4)
  federated.num_frame_buckets = 1
  federated.server.warmup_rounds = 0
  return federated
