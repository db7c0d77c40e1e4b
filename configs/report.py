"""What a run looks like: figures and pages made of its directory alone.

  python -m fedjax_asr.main --config=configs/report.py \\
      --config.report.run=runs/ds2_fedavg

Without that flag the run is runs/ds2_fedavg. Its directory gets a folder
`report` (or give --workdir) with figures/, each as a PNG of 300 DPI and as a
PDF, both with a transparent ground; report.html, a page to click, search and
listen in; and report.md and report.tex (docs/report.md). The run may be under
way or cut off, or be one of the job `attack`: what is missing is said in its
place.
"""

from fedjax_asr import config, config_file


def get_config(variant: str = '') -> config.Config:
  """The config, for flags to override; there are no variants."""
  return config_file.chosen(variant, {'': _default})()


def _default() -> config.Config:
  return config.Config(
    job=config.Job.REPORT,
    name='report',
    report=config.ReportConfig(run='runs/ds2_fedavg'),
  )
