"""The speech of the configs: synthesised, or where a corpus commonly lies."""

from fedjax_asr import config


def commands(
  num_speakers: int = 120, num_heldout_speakers: int = -1
) -> config.DataConfig:
  """Spoken commands, 28 of each synthesised speaker.

  Held-out speakers have sentences of their own; -1 of them is as many as suit
  the corpus.
  """
  return config.DataConfig(
    num_heldout_speakers=num_heldout_speakers,
    disjoint_transcripts=True,
    synthetic=config.SyntheticConfig(
      num_speakers=num_speakers, utterances_per_speaker=28
    ),
  )


def digits() -> config.DataConfig:
  """Spoken digits of 12 speakers and 2 held out: enough to see that all
  works."""
  return config.DataConfig(
    num_heldout_speakers=2,
    disjoint_transcripts=True,
    synthetic=config.SyntheticConfig(
      grammar=config.Grammar.DIGITS, num_speakers=14, utterances_per_speaker=8
    ),
  )


def attacked() -> config.DataConfig:
  """A few spoken commands of 20 speakers, for an attack on a fresh model."""
  return config.DataConfig(
    num_heldout_speakers=4,
    synthetic=config.SyntheticConfig(num_speakers=20, utterances_per_speaker=4),
  )


def fitted() -> config.DataConfig:
  """A few spoken commands, none of them held out, to fit batches of."""
  return config.DataConfig(
    num_heldout_speakers=0,
    heldout_utterance_fraction=0.0,
    synthetic=config.SyntheticConfig(num_speakers=12, utterances_per_speaker=4),
  )


def fitted_librispeech() -> config.DataConfig:
  """LibriSpeech's dev-clean, nothing of it held out, to fit batches of."""
  return config.DataConfig(
    corpus=config.Corpus.LIBRISPEECH,
    path='LibriSpeech/dev-clean',
    num_heldout_speakers=0,
    heldout_utterance_fraction=0.0,
  )


def fsdd() -> config.DataConfig:
  """The Free Spoken Digit Dataset: of its 6 speakers 1 is held out, and a
  tenth of the others' utterances."""
  return config.DataConfig(
    corpus=config.Corpus.FSDD,
    path='free-spoken-digit-dataset/recordings',
    num_heldout_speakers=1,
    heldout_utterance_fraction=0.1,
  )


def precomputed() -> config.DataConfig:
  """A manifest of features that somebody else computed, 8 speakers held out.

  Others may say what they say, as in the split of such corpora by speaker: a
  word that is a whole utterance, such as "yes", would leave training else.
  """
  return config.DataConfig(
    corpus=config.Corpus.MANIFEST,
    path='features/manifest.jsonl',
    num_heldout_speakers=8,
  )
