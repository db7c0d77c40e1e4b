"""Error rates of a finished run, with confidence intervals.

  python -m fedjax_asr.main --config=configs/evaluate.py \\
      --config.evaluate.run=runs/ds2_fedavg

Without that flag the run is runs/ds2_fedavg, the one that
configs/ds2_fedavg.py leaves. Its directory gets a folder `evaluation` (or give
--workdir) with a folder for each subset, speech, decoder and round, in which
are evaluation.json and transcripts.json, and a summary.json of them all.

Options:
  --config.evaluate.subset=heldout_speakers, heldout_utterances, train
      of the run's own corpus, or
  --config.evaluate.subset=corpus --config.data.corpus=manifest \\
      --config.data.path=speech/manifest.jsonl
      any other, whole, with the run's features and the run's statistics.
  --config.decode.method=beam
      prefix beam search; see the section `decode` for language models.
  --config.evaluate.round=70
      a round that was saved, in place of the last.
"""

from fedjax_asr import config, config_file


def get_config(variant: str = '') -> config.Config:
  """The config, for flags to override; there are no variants."""
  return config_file.chosen(variant, {'': _default})()


def _default() -> config.Config:
  return config.Config(
    job=config.Job.EVALUATE,
    name='evaluation',
    evaluate=config.EvaluateConfig(run='runs/ds2_fedavg'),
  )
