"""The default corpus: sentences of a grammar said by procedural speakers.

Speech-like, but not comparable with recordings of people: a recogniser
trained on people gets 82-92% of its words.
"""

import functools
import importlib.metadata
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from fedjax_asr import config, streams
from fedjax_asr.corpora import espeak, grammar, languages, utterance, voices
from fedjax_asr.speech import features, resampling

SAMPLE_RATE = 16_000

_VERSION = 1  # Of the render: raise it when the waveforms change.

_Waveform = Float32[np.ndarray, '_']


class SyntheticSpeech(NamedTuple):
  """One utterance to be rendered: a function of these fields alone."""

  seed: int
  speaker: int
  number: int  # Of the speaker's utterances.
  text: str
  language: str = languages.ENGLISH

  def fingerprint(self) -> str:
    # As it was before there were languages.
    said = tuple(self)[: -1 if self.language == languages.ENGLISH else None]
    return f'synthetic {_VERSION}, loader {_loader()}, {said}'

  def features(
    self, cfg: config.FeaturesConfig, max_seconds: float
  ) -> utterance.Features:
    waveform = self.waveform(cfg.sample_rate)
    seconds = len(waveform) / cfg.sample_rate
    utterance.check_duration(self.describe(), seconds, max_seconds)
    return features.extract(waveform, cfg)

  def waveform(self, sample_rate: int) -> _Waveform:
    return _resample(_render(self), SAMPLE_RATE, sample_rate)

  def sample_rate(self) -> int:
    return SAMPLE_RATE

  def voice(self) -> voices.Speaker:
    return voices.speaker(self.seed, self.speaker, self.language)

  def describe(self) -> str:
    return f'synthetic speaker {self.speaker} utterance {self.number}'


def utterances(cfg: config.SyntheticConfig) -> list[utterance.Utterance]:
  """The corpus, in order of speaker and utterance; renders nothing yet.

  A larger corpus begins each speaker with the utterances of a smaller one.

  Raises:
    ConfigError: there is no grammar of the language.
    CorpusError: if the synthetic extra is not installed.
    MissingPackageError: the language's numbers need num2words.
  """
  languages.of_config(cfg)
  espeak.locate(cfg.language)
  return [
    _utterance(cfg, speaker, index)
    for speaker in range(cfg.num_speakers)
    for index in range(cfg.utterances_per_speaker)
  ]


def _utterance(
  cfg: config.SyntheticConfig, speaker: int, index: int
) -> utterance.Utterance:
  rng = streams.rng(cfg.seed, streams.Stream.SENTENCE, speaker, index)
  language = languages.of_config(cfg)
  if language is None:
    text = grammar.sentence(cfg.grammar, rng)
  else:
    text = grammar.sentence_in(language, cfg.grammar, rng)
  return utterance.Utterance(
    id=f's{speaker:04d}-u{index:04d}',
    speaker=f's{speaker:04d}',
    text=text,
    duration=0.0,
    source=SyntheticSpeech(cfg.seed, speaker, index, text, cfg.language),
  )


@functools.cache
def _loader() -> str:
  return importlib.metadata.version('espeakng_loader')


@functools.cache
def _synthesizer(language: str) -> espeak.Synthesizer:
  return espeak.Synthesizer(language)


def _render(speech: SyntheticSpeech) -> _Waveform:
  """The waveform at `SAMPLE_RATE`, as the speaker's channel leaves it."""
  speaker = speech.voice()
  rng = streams.rng(
    speech.seed, streams.Stream.RENDER, speech.speaker, speech.number
  )
  rendered = _synthesizer(speech.language).speech(
    speaker.accent,
    speaker.variant,
    _prosody(speaker, rng),
    speech.text,
    seed=int(rng.integers(1, 2**31 - 1)),
  )
  dry = rendered.samples.astype(np.float32) / 32768
  dry = _resample(dry, rendered.sample_rate, SAMPLE_RATE)
  return _through_channel(dry, speaker, rng)


def _prosody(
  speaker: voices.Speaker, rng: np.random.Generator
) -> espeak.Prosody:
  rate = speaker.rate * (1 + rng.normal(0, 0.05))
  return espeak.Prosody(
    rate=int(np.clip(rate, 100, 260)),
    pitch=int(rng.integers(45, 56)),
    pitch_range=int(rng.integers(35, 66)),
    word_gap=speaker.word_gap,
  )


def _through_channel(
  dry: _Waveform, speaker: voices.Speaker, rng: np.random.Generator
) -> _Waveform:
  """Margins, tilt, and coloured noise: digital silence spoils log-mels."""
  lead, tail = rng.uniform(0.05, [0.25, 0.2]) * SAMPLE_RATE
  clean = np.pad(dry, (int(lead), int(tail)))
  clean[1:] -= speaker.tilt * clean[:-1]
  noise = rng.standard_normal(len(clean), dtype=np.float32)
  noise[1:] += 0.7 * noise[:-1]
  noise *= np.sqrt(np.mean(clean**2) / np.mean(noise**2))
  noisy = clean + noise * 10 ** (-speaker.snr_db / 20)
  return (noisy * speaker.peak / np.abs(noisy).max()).astype(np.float32)


def _resample(waveform: _Waveform, source: int, target: int) -> _Waveform:
  if source == target:
    return waveform
  return resampling.resampled(waveform, source, target)
