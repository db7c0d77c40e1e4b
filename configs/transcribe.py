"""Text of recordings, by a finished run.

  python -m fedjax_asr.main --config=configs/transcribe.py \\
      --config.transcribe.run=runs/ds2_fedavg \\
      --config.transcribe.input=recordings

A file gives its text on standard output; a folder, searched with the folders
in it, gives a line `path<TAB>text` for each recording in the order of the
paths. Without the flags the run is runs/ds2_fedavg and the folder recordings.
Messages are on standard error. The exit status is 2 where a file could not be
read; the others of a folder are transcribed all the same.

Recordings may have any rate, any number of channels, any format of libsndfile
and any length: they are cut at pauses of `transcribe.pause_seconds`, and what
is longer without one into windows of `transcribe.window_seconds` that overlap
by `transcribe.overlap_seconds`. A bidirectional model hears no more than a
stretch between two cuts, and normalisation by utterance is by stretch. Silence,
and what is shorter than 0.1 s, has an empty text and a warning.

The recordings become features by the run's config. A run that was trained on
features from files (a manifest with features_filepath) has no recordings to
compare that with: its text is worth something only where the config's features
are those in the files.

Options:
  --config.transcribe.cuts=webrtc
      pauses by WebRTC's detector (pip install 'fedjax_asr[vad]'); `windows`
      cuts at none.
  --config.transcribe.stream=true --config.transcribe.input=-
      words while a WAV comes on the standard input, or a file is read, a line
      for each sentence that a pause ends, by a run that can stream
      (configs/ds2_fedavg.py:streaming): docs/streaming.md.
  --config.transcribe.json=text.json
      each file's seconds, text and segments with their times.
  --config.decode.method=beam
      prefix beam search; see the section `decode` for language models.
"""

from fedjax_asr import config, config_file


def get_config(variant: str = '') -> config.Config:
  """The config, for flags to override; there are no variants."""
  return config_file.chosen(variant, {'': _default})()


def _default() -> config.Config:
  return config.Config(
    job=config.Job.TRANSCRIBE,
    name='transcription',
    transcribe=config.TranscribeConfig(
      run='runs/ds2_fedavg', input='recordings'
    ),
  )
