"""A round's numbers, under the names that `metrics.jsonl` has for them."""

from fedjax_asr import config
from fedjax_asr.federated import rounds


def of_round(
  metrics: rounds.RoundMetrics, seconds: float, cfg: config.FeaturesConfig
) -> dict[str, float]:
  """Metrics of a round by name; `seconds` is what the round took."""
  return {
    'train/loss': float(metrics.loss),
    'train/gradient_norm': float(metrics.gradient_norm),
    'train/delta_norm': float(metrics.delta_norm),
    'train/num_utterances': int(metrics.num_utterances),
    'train/num_infeasible': int(metrics.num_infeasible),
    'learning_rate': float(metrics.client_learning_rate),
    'round_seconds': seconds,
    'clients_per_second': float(metrics.num_clients) / seconds,
    # Seconds of speech trained on in a second.
    'times_real_time': 3600 * hours(float(metrics.num_frames), cfg) / seconds,
  }


def hours(num_frames: float, cfg: config.FeaturesConfig) -> float:
  """How much speech so many frames are."""
  return num_frames * cfg.hop_ms / 3_600_000
