"""What is measured, kept and made of a run."""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded


class Subset(enum.StrEnum):
  """Utterances to evaluate: of the run's own split, or all of config.data."""

  HELDOUT_SPEAKERS = 'heldout_speakers'
  HELDOUT_UTTERANCES = 'heldout_utterances'
  TRAIN = 'train'
  CORPUS = 'corpus'


@dataclasses.dataclass(slots=True, kw_only=True)
class EvaluationConfig:
  """Greedy WER and CER on the held-out sets, and clients, while training."""

  every_rounds: int = bounded(10, low=1)
  # Evaluations in a row without a lower WER after which training is finished;
  # 0: never.
  patience: int = bounded(0, low=0)
  batch_size: int = bounded(32, low=1)
  # Utterances of a held-out set that are used at most; 0: all.
  max_utterances: int = bounded(0, low=0)
  num_examples: int = bounded(3, low=0)
  # Held-out utterances that a finished run keeps in `examples/`, to be heard
  # and drawn; 0: none.
  num_kept_examples: int = bounded(24, low=0)
  # Every so many rounds, clients.jsonl tells of each client; 0: never.
  clients_every_rounds: int = bounded(1, low=0)


@dataclasses.dataclass(slots=True, kw_only=True)
class CheckpointConfig:
  """Which rounds are kept."""

  every_rounds: int = bounded(10, low=1)
  keep_last: int = bounded(2, low=1)
  keep_best: int = bounded(1, low=0)
  # Rounds divisible by this are kept for good; 0: none.
  keep_every: int = bounded(0, low=0)


@dataclasses.dataclass(slots=True, kw_only=True)
class ConvergeConfig:
  """Single batches, each fitted to the limit from fresh parameters."""

  num_batches: int = bounded(3, low=1)
  batch_size: int = bounded(4, low=1)
  num_iterations: int = bounded(80, low=1)
  # Batches hold utterances of at most this length.
  max_seconds: float = bounded(20.0, above=0.0)
  # Adam with a linear warm-up, then a cosine decay to this fraction.
  learning_rate: float = bounded(1e-3, above=0.0)
  final_learning_rate_fraction: float = bounded(0.05, low=0.0, high=1.0)
  warmup_iterations: int = bounded(5, low=0)
  beta1: float = bounded(0.85, low=0.0, below=1.0)
  beta2: float = bounded(0.9, low=0.0, below=1.0)
  # Global norm at which a gradient is clipped; 0: never.
  clip_norm: float = bounded(0.1, low=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class EvaluateConfig:
  """Error rates of a finished run."""

  run: str = ''
  # A round that was saved; -1: the last.
  round: int = bounded(-1, low=-1)
  subset: Subset = Subset.HELDOUT_SPEAKERS
  # Resamples of utterances, and of speakers, for the confidence intervals.
  num_resamples: int = bounded(1000, low=1)
  confidence: float = bounded(0.95, above=0.0, below=1.0)
  # Substitutions, deletions and insertions that are listed, of each so many.
  num_confusions: int = bounded(20, low=0)


@dataclasses.dataclass(slots=True, kw_only=True)
class PersonaliseConfig:
  """A finished run, trained further on each speaker by itself."""

  run: str = ''
  round: int = bounded(-1, low=-1)
  subset: Subset = Subset.HELDOUT_SPEAKERS
  # Of a speaker's utterances, the share that is trained on; the others are
  # recognised, before and after.
  train_fraction: float = bounded(0.5, above=0.0, below=1.0)
  # Steps of the run's client optimizer, at this rate.
  num_steps: int = bounded(10, low=1)
  learning_rate: float = bounded(0.01, above=0.0)
  # Utterances that are recognised at once.
  batch_size: int = bounded(8, low=1)


class Cuts(enum.StrEnum):
  """Where a recording or stream is cut, so that a model hears a sentence at a
  time."""

  # At pauses, which are quieter than the speech around them.
  ENERGY = 'energy'
  # At pauses, by WebRTC's voice activity detector (the extra `vad`).
  WEBRTC = 'webrtc'
  # Nowhere but where a window is full; of a stream, nowhere.
  WINDOWS = 'windows'


@dataclasses.dataclass(slots=True, kw_only=True)
class TranscribeConfig:
  """Text of recordings, by a finished run."""

  run: str = ''
  round: int = bounded(-1, low=-1)
  # An audio file, or a folder that is searched for them; with `stream`, a file
  # or - for the standard input.
  input: str = ''
  # A JSON file with times of windows, or of words with `stream`; '': text only.
  json: str = ''
  cuts: Cuts = Cuts.ENERGY
  # The shortest pause at which a recording is cut; a stream, at its end.
  pause_seconds: float = bounded(0.3, above=0.0)
  # What is longer without a pause is cut into windows that overlap.
  window_seconds: float = bounded(20.0, above=0.0)
  overlap_seconds: float = bounded(2.0, low=0.0)
  # Words are given while the recording is read, by a one-way model.
  stream: bool = False
  # Speech that is computed at once by `stream`.
  chunk_seconds: float = bounded(0.2, above=0.0)
  # Hertz of raw PCM on the standard input (16 bits, little-endian, mono); 0: it
  # is a WAV.
  raw_rate: int = bounded(0, low=0)


@dataclasses.dataclass(slots=True, kw_only=True)
class ReportConfig:
  """What runs look like, drawn from their directories alone."""

  # Of the job `train`, `attack` or `converge`; finished, under way, or cut off.
  run: str = ''
  # In its place, several of one of these jobs, to be compared.
  runs: tuple[str, ...] = ()


@dataclasses.dataclass(slots=True, kw_only=True)
class ExportConfig:
  """The forward pass of a finished run as a portable program (StableHLO)."""

  run: str = ''
  round: int = bounded(-1, low=-1)
