"""Reconstructs what clients of a trained run said from what they send.

  python -m fedjax_asr.main --config=configs/attack.py \\
    --config.attack.run=runs/ds2_fedavg
"""

from fedjax_asr import config


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  if variant:
    raise ValueError(f"variant {variant!r}; want '', there is no other.")
  return config.Config(
    job=config.Job.ATTACK,
    name='attack',
    attack=config.AttackConfig(),
  )
