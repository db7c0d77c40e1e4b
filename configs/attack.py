"""Reconstructs what clients of a trained run said from what they send.

  python -m fedjax_asr.main --config=configs/attack.py \\
    --config.attack.run=runs/ds2_fedavg

Model, features and speech are the run's, DeepSpeech 1 or 2; the methods are
those of its architecture, the strongest first, until one is certified. The
victims are clients of the round's cohort, each with one gradient of one whole
utterance, of which neither the transcript nor the length is told. Results go to
a directory of their own in the run's.

What is set here, or most often wanted:
  --config.attack.run=runs/ds1_fedavg  the run, a directory of the job
                                       `train` (runs/ds2_fedavg).
  --config.attack.round=100            a round that was kept (-1: the last);
                                       `checkpoint.keep_every` keeps more.
  --config.attack.num_victims=4        clients, an utterance of each (2).
  --config.attack.stretch_seconds=1    of each utterance this much of its
                                       middle; 0: all of it.
  --config.attack.methods="('gradient_matching',)"  instead of the
                                       architecture's; ().
  --config.attack.transcriber=runs/... who is to listen to what was found;
                                       '': the run itself, at that round.

What the attacks find, and what they need, is in docs/attacks.md.
"""

from fedjax_asr import config, config_file


def get_config(variant: str = '') -> config.Config:
  """The config, for flags to override; there are no variants."""
  return config_file.chosen(variant, {'': _default})()


def _default() -> config.Config:
  return config.Config(
    job=config.Job.ATTACK,
    name='attack',
    attack=config.AttackConfig(run='runs/ds2_fedavg'),
  )
