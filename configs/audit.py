"""Audits a finished run: whether its epsilon is true, what attacks reach.

  python -m fedjax_asr.main --config=configs/audit.py --config.audit.run=RUN

Leaves audit.json and its figures in RUN/audit (or give --workdir).

Another config is trained first, and then audited, by
  python -m fedjax_asr.main --config=configs/privacy.py --config.job=audit

Options:
  --config.audit.parts="('canaries','membership','speakers','exposure')"
"""

from fedjax_asr import config, config_file


def get_config(variant: str = '') -> config.Config:
  """The config, for flags to override; there are no variants."""
  return config_file.chosen(variant, {'': _default})()


def _default() -> config.Config:
  return config.Config(
    job=config.Job.AUDIT,
    name='audit',
    audit=config.AuditConfig(run='runs/ds2_fedavg'),
  )
