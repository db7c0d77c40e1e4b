"""A round's numbers, under the names that `metrics.jsonl` has for them."""

from collections.abc import Sequence

from fedjax_asr import config
from fedjax_asr.federated import cohort, rounds, secure_protocol, systems


def of_round(
  metrics: rounds.RoundMetrics, seconds: float, cfg: config.FeaturesConfig
) -> dict[str, float | None]:
  """Metrics of a round by name; `seconds` is what the round took.

  There is no loss of a round in which nobody trained.
  """
  return {
    'train/loss': float(metrics.loss) if metrics.num_clients else None,
    'train/gradient_norm': float(metrics.gradient_norm),
    'train/delta_norm': float(metrics.delta_norm),
    'train/num_utterances': int(metrics.num_utterances),
    'train/num_infeasible': int(metrics.num_infeasible),
    'train/num_clients': int(metrics.num_clients),
    'train/num_left_out': int(metrics.num_broken),
    'learning_rate': float(metrics.learning_rates.client),
    'server_learning_rate': float(metrics.learning_rates.server),
    'round_seconds': seconds,
    'clients_per_second': float(metrics.num_clients) / seconds,
    # Seconds of speech trained on in a second.
    'times_real_time': 3600 * hours(float(metrics.num_frames), cfg) / seconds,
  }


def of_clock(
  timing: systems.Round | None, federated: config.FederatedConfig
) -> dict[str, float]:
  """When a round's clients worked; {} where nothing but a sample decides."""
  is_lossy = bool(federated.systems.dropout)
  is_lossy |= federated.systems.speeds is not config.Speeds.NONE
  if timing is None or not is_lossy:
    return {}
  found: dict[str, float] = {'train/num_lost': timing.num_lost}
  if federated.systems.speeds is not config.Speeds.NONE:
    found['virtual_seconds'] = timing.end - timing.start
    found['virtual_time'] = timing.end
  if federated.algorithm is config.AlgorithmName.FEDBUFF:
    found['train/staleness'] = float(timing.working.staleness.mean())
  return found


def of_secure(of_round: secure_protocol.Round | None) -> dict[str, float]:
  """What secure aggregation lost; {} without it."""
  if of_round is None:
    return {}
  return {
    'secure_aggregation/num_dropped': of_round.num_dropped,
    'secure_aggregation/abandoned': int(of_round.found is None),
  }


def of_frames(
  frames: cohort.BucketFrames, buckets: Sequence[int]
) -> dict[str, float]:
  """What padding costs, in all and of each frame bucket that a round used."""
  found = {'padding_waste': frames.padding_waste}
  for bucket, speech, computed in zip(buckets, *frames, strict=True):
    if computed:
      found[f'frames_computed/{bucket}'] = int(computed)
      found[f'padding_waste/{bucket}'] = 1 - float(speech) / int(computed)
  return found


def hours(num_frames: float, cfg: config.FeaturesConfig) -> float:
  """How much speech so many frames are."""
  return num_frames * cfg.hop_ms / 3_600_000
