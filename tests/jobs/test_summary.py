"""What a run says that it is about to do."""

import jax.numpy as jnp

from fedjax_asr import config
from fedjax_asr.federated import cohort, server
from fedjax_asr.jobs import summary


def test_memory_of_kept_messages_is_told():
  layout = cohort.Layout(
    num_devices=2,
    num_blocks=3,
    block_size=4,
    num_steps=1,
    batch_size=1,
    num_utterances=1,
    frame_buckets=(8,),
    num_labels=1,
  )
  state = server.ServerState(
    params={'w': jnp.zeros((1000, 990))},
    norm_state={'mean': jnp.zeros(10_000)},
    opt_state=(),
    round=jnp.zeros((), jnp.int32),
  )
  federated = config.FederatedConfig()
  assert summary.kept_messages(federated, layout, state) == []
  federated.aggregation.method = config.Aggregator.MEDIAN
  (line,) = summary.kept_messages(federated, layout, state)
  # 24 places of a million float32.
  assert line == (
    'aggregation by median: all 24 messages of a round are kept, 0.096 GB '
    'before they are compared'
  )
