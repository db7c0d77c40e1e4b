"""What is said where a run's directory, or a file in it, is not as wanted."""

from fedjax_asr import config


class RunError(config.UserError):
  """A run directory cannot be used as asked."""
