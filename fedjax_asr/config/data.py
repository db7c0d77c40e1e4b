"""Where speech comes from, and how it becomes features."""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded


class Corpus(enum.StrEnum):
  SYNTHETIC = 'synthetic'
  MANIFEST = 'manifest'
  LIBRISPEECH = 'librispeech'
  FSDD = 'fsdd'
  COMMON_VOICE = 'common_voice'
  KALDI = 'kaldi'
  AUDIOFOLDER = 'audiofolder'
  SHARDS = 'shards'


class Grammar(enum.StrEnum):
  DIGITS = 'digits'
  GRID = 'grid'
  COMMANDS = 'commands'
  SPELLING = 'spelling'


class OnBadUtterance(enum.StrEnum):
  SKIP = 'skip'
  ERROR = 'error'


class Numbers(enum.StrEnum):
  """What becomes of a transcript with digits."""

  # The utterance is bad: nobody knows how they were read.
  REJECT = 'reject'
  # Read in `numbers_language`, by the extra `numbers`: 25 as twenty-five.
  SPELL = 'spell'


class Case(enum.StrEnum):
  """Of the letters of transcripts."""

  LOWER = 'lower'
  KEEP = 'keep'


class Punctuation(enum.StrEnum):
  """What nobody says."""

  DROP = 'drop'
  # As symbols of their own.
  KEEP = 'keep'


class FeatureKind(enum.StrEnum):
  LOG_MEL = 'log_mel'
  LOG_SPECTROGRAM = 'log_spectrogram'
  MFCC = 'mfcc'
  # Read from files that a manifest names, not computed from audio.
  PRECOMPUTED = 'precomputed'


class Normalization(enum.StrEnum):
  UTTERANCE = 'utterance'
  GLOBAL = 'global'
  NONE = 'none'
  # By what was heard so far, beginning with the statistics of `global`.
  RUNNING = 'running'

  @property
  def has_statistics(self) -> bool:
    """Whether it goes by statistics of the training set."""
    return self in (Normalization.GLOBAL, Normalization.RUNNING)


@dataclasses.dataclass(slots=True, kw_only=True)
class SyntheticConfig:
  """The synthesised corpus; a speaker is a function of (seed, index)."""

  grammar: Grammar = Grammar.COMMANDS
  num_speakers: int = bounded(120, low=1)
  utterances_per_speaker: int = bounded(24, low=1)
  seed: int = bounded(0, low=0, below=2**32)
  # As eSpeak NG calls it: en, de, es, fr, ar, hi or cmn.
  language: str = 'en'


@dataclasses.dataclass(slots=True, kw_only=True)
class DataConfig:
  """Where utterances come from, and which of them may be trained on."""

  corpus: Corpus = Corpus.SYNTHETIC
  # A file or folder of the corpus, as docs/data.md says; '' for synthetic.
  path: str = ''
  # Of a LibriSpeech tree: the folders of `path` to take; (): all below it.
  splits: tuple[str, ...] = ()
  # A corpus of the same form for held-out speakers; '': taken from `path`.
  heldout_path: str = ''
  # Their names, or, when (), num_heldout_speakers of them are drawn.
  heldout_speakers: tuple[str, ...] = ()
  # Drawn by the seed; -1: a tenth of them, but one where there are few.
  num_heldout_speakers: int = bounded(-1, low=-1)
  heldout_utterance_fraction: float = bounded(0.05, low=0.0, below=1.0)
  # Leave out of training every transcript that a held-out set contains.
  disjoint_transcripts: bool = False
  max_seconds: float = bounded(20.0, above=0.0)
  # english, corpus (the characters of its training transcripts), a file with a
  # symbol a line, or a sentencepiece model (*.model). Jobs on a run go by the
  # run's.
  alphabet: str = 'english'
  # Of the alphabet `corpus`: characters that training transcripts have less
  # often are left out, and utterances that hold them are bad.
  min_symbol_count: int = bounded(1, low=1)
  # Of all alphabets but english, which is in lower case without punctuation.
  case: Case = Case.LOWER
  punctuation: Punctuation = Punctuation.DROP
  numbers: Numbers = Numbers.REJECT
  # In which numbers are spelled, as num2words calls it: en, de, ar.
  numbers_language: str = 'en'
  # What transcripts hold beside words and is left out of them, such as
  # ('[noise]', '<unk>', '(*)'); `*` is any text without brackets. Any other
  # text in square, angle or curly brackets makes an utterance bad.
  drop_tags: tuple[str, ...] = ()
  on_bad_utterance: OnBadUtterance = OnBadUtterance.SKIP
  cache_dir: str = '~/.cache/fedjax_asr'
  # Processes that compute features; 0: one per core.
  num_workers: int = bounded(0, low=0)
  synthetic: SyntheticConfig = dataclasses.field(
    default_factory=SyntheticConfig
  )


@dataclasses.dataclass(slots=True, kw_only=True)
class FeaturesConfig:
  """Waveform to features, [frames, num_features].

  Of precomputed features, `num_features`, `hop_ms` and `normalization` are
  read and compared with the files; the rest says how audio is analysed.
  """

  kind: FeatureKind = FeatureKind.LOG_MEL
  sample_rate: int = bounded(16_000, low=1000)
  num_features: int = bounded(80, low=1)
  fft_size: int = bounded(512, low=2)
  window_ms: float = bounded(25.0, above=0.0)
  hop_ms: float = bounded(10.0, above=0.0)
  # Mel bands, for log_mel (= num_features) and mfcc (>= num_features).
  num_mels: int = bounded(80, low=1)
  low_hz: float = bounded(0.0, low=0.0)
  high_hz: float = bounded(8000.0, above=0.0)
  # The least power (magnitude, for log_spectrogram) under the logarithm.
  log_floor: float = bounded(1e-8, above=0.0)
  # And how far it may lie under the utterance's largest, in decibels (0: as far
  # as it does). How loud a recording is then says nothing.
  dynamic_range_db: float = bounded(0.0, low=0.0)
  normalization: Normalization = Normalization.UTTERANCE


@dataclasses.dataclass(slots=True, kw_only=True)
class AugmentConfig:
  """What a batch of features is changed by in training, each draw anew.

  First its speed and pitch, then SpecAugment's masks (Park et al. 2019), which
  has these in place of its time warp. 0: off.
  """

  num_time_masks: int = bounded(0, low=0)
  max_time_mask_frames: int = bounded(40, low=0)
  # A time mask covers at most this fraction of an utterance.
  max_time_mask_fraction: float = bounded(0.2, low=0.0, high=1.0)
  num_frequency_masks: int = bounded(0, low=0)
  max_frequency_mask_bins: int = bounded(15, low=0)
  # An utterance is made up to this fraction longer or shorter.
  max_time_stretch: float = bounded(0.0, low=0.0, below=1.0)
  # Its frequencies are multiplied by up to 1 + this or divided by it; where
  # the axis of features is one of frequencies (not mfcc).
  max_frequency_warp: float = bounded(0.0, low=0.0, below=1.0)
