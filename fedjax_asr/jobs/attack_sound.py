"""What can be listened to: recordings, and features made audible."""

from collections.abc import Mapping

import numpy as np

from fedjax_asr import config, run_files
from fedjax_asr.jobs import attack_victims
from fedjax_asr.speech import features as features_lib
from fedjax_asr.speech import inversion

ORIGINAL = 'original'


def write(
  files: run_files.RunFiles,
  item: attack_victims.Spoken,
  arrays: Mapping[str, np.ndarray],
  cfg: config.FeaturesConfig,
  public: features_lib.Statistics | None,
) -> None:
  """WAV files of one utterance, at `cfg.sample_rate`.

  `<utterance>_recording.wav` is what the speaker said, and
  `<utterance>_<name>_resynthesised.wav` of each of `arrays` what Griffin and
  Lim's algorithm makes of features. The normalisation of reconstructions is
  undone by `public` statistics, the attacker's; that of `original` by its own.
  Where these are not the same, `<name>_resynthesised_victim_statistics.wav`
  has the reconstruction with the victim's own: what is heard between it and
  the original is the difference in features.
  """
  files.audio.mkdir(exist_ok=True)
  recording = _recording(item, cfg)
  if recording is not None:
    path = files.recording(item.utterance)
    inversion.write(path, recording, cfg.sample_rate)
  for name, values in arrays.items():
    for ending, statistics in _undone(name, item, public).items():
      samples = inversion.waveform(values, cfg, statistics)
      path = files.resynthesis(item.utterance, name, ending)
      inversion.write(path, samples, cfg.sample_rate)


def _undone(
  name: str,
  item: attack_victims.Spoken,
  public: features_lib.Statistics | None,
) -> dict[str, features_lib.Statistics | None]:
  """By the end of the file's name: what its features are de-normalised by."""
  own = item.statistics
  if name == ORIGINAL or own is None or public is own:
    return {'': own}
  if public is None:
    return {'_victim_statistics': own}
  return {'': public, '_victim_statistics': own}


def _recording(
  item: attack_victims.Spoken, cfg: config.FeaturesConfig
) -> np.ndarray | None:
  samples = item.source.waveform(cfg.sample_rate)
  if samples is None or item.first_frame is None:
    return samples
  hop = features_lib.hop_length(cfg)
  start = item.first_frame * hop
  length = (len(item.features) - 1) * hop + features_lib.window_length(cfg)
  return samples[start : start + length]
