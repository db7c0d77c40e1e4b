"""What runs look like: figures and pages made of their directories alone.

  python -m fedjax_asr.main --config=configs/report.py[:variant] \\
      --config.report.run=runs/ds2_fedavg

Variants:
  (none)   one directory of the job `train`, `attack` or `converge`; without
           that flag runs/ds2_fedavg. It gets a folder `report` (or give
           --workdir).
             python -m fedjax_asr.main --config=configs/report.py \\
               --config.report.run=runs/ds2_fedavg/attack
  several  directories side by side, all of one of these jobs: error rates of
           training runs, of which those with other seeds alone are one line
           with an interval; scores of attacks; fitted batches. Written to
           runs/report-several.
             python -m fedjax_asr.main --config=configs/report.py:several \\
               "--config.report.runs=('runs/ds2_tiny','runs/ds2_central')"

figures/ has each figure as a PNG of 300 DPI and as a PDF, both with a
transparent ground. Beside it are report.html, a page to click, search and
listen in, and report.md and report.tex (docs/report.md). A run may be under way
or cut off: what is missing is said in its place.
"""

from fedjax_asr import config, config_file


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  variants = {'': _default, 'several': _several}
  return config_file.chosen(variant, variants)()


def _default() -> config.Config:
  return config.Config(
    job=config.Job.REPORT,
    name='report',
    report=config.ReportConfig(run='runs/ds2_fedavg'),
  )


def _several() -> config.Config:
  cfg = _default()
  cfg.report.run = ''
  cfg.report.runs = ('runs/ds2_tiny', 'runs/ds2_central')
  return cfg
