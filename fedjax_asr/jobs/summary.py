"""What a run is about to do, in a few lines."""

from collections.abc import Sequence

import jax

from fedjax_asr import config
from fedjax_asr.corpora import datasets, problem
from fedjax_asr.federated import cohort, devices, server
from fedjax_asr.jobs import cohort_feed, metrics
from fedjax_asr.models import model


def text(
  cfg: config.Config,
  data: datasets.Datasets,
  feed: cohort_feed.CohortFeed,
  device_list: Sequence[devices.Device],
  state: server.ServerState,
  memory: Sequence[str],
) -> str:
  """Model, data, cohort and where the run starts.

  `memory`: lines on what clients keep.
  """
  num_devices, kind = len(device_list), device_list[0].device_kind
  lines = [
    f'{cfg.name}: {model.num_parameters(state.params):,} parameters on '
    f'{num_devices} {kind} device(s)',
    _training_set(data, len(feed.clients), cfg.features),
    _left_out(data),
    *problem.told(data.problems),
    _cohort(feed.layout, cfg.federated.cohort_size),
    *memory,
    *kept_messages(cfg.federated, feed.layout, state),
    f'from round {state.round} of {cfg.federated.num_rounds}; compiling',
  ]
  return '\n'.join(lines)


def _training_set(
  data: datasets.Datasets, num_clients: int, cfg: config.FeaturesConfig
) -> str:
  hours = metrics.hours(int(data.train.num_frames.sum()), cfg)
  unseen = data.heldout_speakers
  return (
    f'{len(data.train)} training utterances ({hours:.2f} h) of {num_clients} '
    f'clients; held out: {len(unseen)} of {len(set(unseen.speakers))} other '
    f'speakers, {len(data.heldout_utterances)} of training speakers'
  )


def _left_out(data: datasets.Datasets) -> str:
  num_bad = sum(not each.is_warning for each in data.problems)
  return (
    f'left out: {num_bad} bad utterances (skipped_utterances.jsonl), '
    f'{data.num_dropped_transcripts} whose transcript is held out'
  )


def _cohort(layout: cohort.Layout, cohort_size: int) -> str:
  buckets = '/'.join(map(str, layout.frame_buckets))
  return (
    f'cohort of {cohort_size}: {layout.num_blocks} block(s) of '
    f'{layout.block_size} per device, {layout.num_steps} steps of '
    f'{layout.batch_size} utterances at {buckets} frames'
  )


def kept_messages(
  federated: config.FederatedConfig,
  layout: cohort.Layout,
  state: server.ServerState,
) -> list[str]:
  """What a robust aggregator keeps at least; no line for the mean."""
  method = federated.aggregation.method
  if method is config.Aggregator.MEAN:
    return []
  places = layout.num_devices * layout.num_blocks * layout.block_size
  sent = jax.tree.leaves((state.params, state.norm_state))
  gigabytes = places * sum(leaf.nbytes for leaf in sent) / 1e9
  return [
    f'aggregation by {method}: all {places} messages of a round are kept, '
    f'{gigabytes:.2g} GB before they are compared'
  ]
