"""What a run makes of many sentences in a row, beside the same one by one.

  python benchmarks/long_form.py RESULT.json --run=runs/ds2_fedavg-tiny
      [--sentences=40] [--recordings=6] [--seed=0]

Held-out sentences, drawn from all held-out speakers, are joined to recordings
of `--sentences` each, with pauses of 0.5 to 1.5 s between them, of noise as
loud as the quietest 20 ms of the sentence before. RESULT.json gets the WER of
the sentences one by one, and of the recordings cut nowhere but where a window
of 20 s is full (as it was before there were other cuts), at pauses by energy,
and, where webrtcvad is installed, by WebRTC's detector. Of a run that can
stream it has the stream's WER of both, too: cut at the ends of sentences, by
energy and by WebRTC's detector, and never cut (`windows`). Decoding is greedy.
"""

import json
import pathlib
import sys

import jiwer
import main_job
import numpy as np

# Of the pauses between sentences.
_PAUSE_SECONDS = (0.5, 1.5)
_FLOOR_SECONDS = 0.02


def main(argv: list[str]) -> int:
  own = {'--run': '', '--sentences': '40', '--recordings': '6', '--seed': '0'}
  for flag in argv[2:]:
    name, _, value = flag.partition('=')
    own[name] = value
  if len(argv) < 2 or not own['--run'] or len(own) > 4:
    print(__doc__, file=sys.stderr)
    return 2
  record = measured(
    own['--run'],
    sentences=int(own['--sentences']),
    recordings=int(own['--recordings']),
    seed=int(own['--seed']),
  )
  flags = ' '.join(argv[2:])
  record = {'command': f'long_form.py RESULT.json {flags}', **record}
  pathlib.Path(argv[1]).write_text(json.dumps(record, indent=2) + '\n')
  print(json.dumps(record, indent=2))
  return 0


def measured(run: str, sentences: int, recordings: int, seed: int) -> dict:
  from fedjax_asr import config, environment, saved_run

  saved = saved_run.load(run, 'transcribe.run')
  rate = saved.config.features.sample_rate
  rng = np.random.default_rng(seed)
  spoken = drawn(saved, sentences * recordings, rng)
  groups = [
    spoken[start : start + sentences]
    for start in range(0, len(spoken), sentences)
  ]
  rows = [
    (joined([waveform for waveform, _ in group], rate, rng),
     ' '.join(text for _, text in group))
    for group in groups
  ]  # fmt: skip
  wers = {}
  for cuts in config.Cuts:
    if cuts is config.Cuts.WEBRTC and not has_webrtc():
      continue
    hear = listening(saved, cuts)
    if cuts is config.Cuts.WINDOWS:
      wers['one_by_one'] = wer(hear, spoken)
    wers[f'in_a_row_{cuts}'] = wer(hear, rows)
  if can_stream(saved):
    listener = live_listener(saved)
    for cuts in config.Cuts:
      if cuts is config.Cuts.WEBRTC and not has_webrtc():
        continue
      hear = streaming(saved, listener, cuts)
      wers[f'stream_one_by_one_{cuts}'] = wer(hear, spoken)
      wers[f'stream_in_a_row_{cuts}'] = wer(hear, rows)
  seconds = sum(len(waveform) for waveform, _ in rows) / rate
  return {
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'round': saved.round,
    'normalization': str(saved.config.features.normalization),
    'sentences': len(spoken),
    'sentences_in_a_row': sentences,
    'recordings': len(rows),
    'seconds': round(seconds, 1),
    'wer': wers,
  }


def drawn(saved, count, rng) -> list[tuple[np.ndarray, str]]:
  """Waveforms and texts of held-out utterances, each once."""
  from fedjax_asr import config
  from fedjax_asr.jobs import run_corpus

  parts = run_corpus.prepare(saved, config.DataConfig(), lambda *_: None)
  examples = parts.heldout_speakers
  chosen = rng.permutation(len(examples))[:count]
  rate = saved.config.features.sample_rate
  return [
    (examples.sources[index].waveform(rate), examples.texts[index])
    for index in chosen.tolist()
  ]


def joined(waveforms, rate, rng) -> np.ndarray:
  """With a pause behind each."""
  parts = []
  for waveform in waveforms:
    size = int(_FLOOR_SECONDS * rate)
    whole = waveform[: len(waveform) // size * size].reshape(-1, size)
    floor = np.sqrt(np.square(whole).mean(1).min())
    pause = floor * rng.normal(size=int(rng.uniform(*_PAUSE_SECONDS) * rate))
    parts += [waveform, pause.astype(np.float32)]
  return np.concatenate(parts)


def has_webrtc() -> bool:
  import importlib.util

  return importlib.util.find_spec('webrtcvad') is not None


def can_stream(saved) -> bool:
  from fedjax_asr import config
  from fedjax_asr.models import streaming as streaming_models
  from fedjax_asr.speech import feature_stream

  try:
    streaming_models.check(saved.config.model)
    feature_stream.check(saved.config.features)
  except config.ConfigError:
    return False
  return True


def listening(saved, cuts):
  """The job's recognition of one waveform."""
  from fedjax_asr import config
  from fedjax_asr.decoding import long_form, text_decoder
  from fedjax_asr.jobs import transcribe
  from fedjax_asr.speech import windows

  cfg = config.TranscribeConfig(cuts=cuts)
  features = saved.config.features
  sizes = windows.layout(
    cfg.window_seconds,
    cfg.overlap_seconds,
    long_form.time_stride(saved.acoustic),
    features,
  )
  listener = long_form.Listener(
    saved.acoustic,
    saved.params,
    saved.norm_state,
    features,
    saved.statistics,
    sizes,
  )
  decoder = text_decoder.chosen(config.DecodeConfig(), saved.alphabet)

  def hear(waveform):
    return long_form.recognized(
      [waveform],
      listener,
      decoder,
      saved.alphabet,
      lambda seconds: None,
      transcribe.cutting(cfg, features.sample_rate),
    ).text

  return hear


def live_listener(saved):
  from fedjax_asr.decoding import live

  return live.Listener(
    saved.config,
    saved.params,
    saved.norm_state,
    saved.statistics,
    saved.alphabet,
    chunk_seconds=0.2,
  )


def streaming(saved, listener, cuts):
  """The job's stream of one waveform."""
  from fedjax_asr import config
  from fedjax_asr.decoding import sentences
  from fedjax_asr.jobs import transcribe_stream

  cfg = config.TranscribeConfig(cuts=cuts)
  rate = saved.config.features.sample_rate

  def hear(waveform):
    endpointer = transcribe_stream.endpointing(cfg, rate)
    stream = sentences.Sentences(listener, saved.alphabet, endpointer, rate)
    heard = stream.add(waveform) + stream.finish()
    return ' '.join(word.text for each in heard for word in each.words)

  return hear


def wer(hear, spoken) -> float:
  references = [text for _, text in spoken]
  heard = [hear(waveform) for waveform, _ in spoken]
  return round(jiwer.wer(references, heard), 4)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
