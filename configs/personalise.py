"""What a finished run gains by training on each speaker by itself.

  python -m fedjax_asr.main --config=configs/personalise.py \\
      --config.personalise.run=runs/ds2_fedavg

Without that flag the run is runs/ds2_fedavg, the one that
configs/ds2_fedavg.py leaves. Its directory gets a folder `personalisation` (or
give --workdir) with a personalisation.json: for each speaker, on utterances
that were kept out of this training, the error rates of the run's model before
and after it, the mean gain, and how many speakers are the worse for it. Where
the run's clients keep a model of their own (ditto, fedbn, fedrep), also what
that model makes of them.

Options:
  --config.personalise.subset=heldout_speakers, heldout_utterances, train
      of the run's own corpus (clients of the run are in the latter two), or
  --config.personalise.subset=corpus --config.data.corpus=manifest \\
      --config.data.path=speech/manifest.jsonl
  --config.personalise.num_steps=10 --config.personalise.learning_rate=0.01
  --config.personalise.train_fraction=0.5
      of a speaker's utterances.
"""

from fedjax_asr import config, config_file


def get_config(variant: str = '') -> config.Config:
  """The config, for flags to override; there are no variants."""
  return config_file.chosen(variant, {'': _default})()


def _default() -> config.Config:
  return config.Config(
    job=config.Job.PERSONALISE,
    name='personalisation',
    personalise=config.PersonaliseConfig(run='runs/ds2_fedavg'),
  )
