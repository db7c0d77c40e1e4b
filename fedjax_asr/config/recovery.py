"""What a run does that diverges."""

import dataclasses

from fedjax_asr.config.fields import bounded


@dataclasses.dataclass(slots=True, kw_only=True)
class RecoveryConfig:
  """Back to a good checkpoint, and on from there with a smaller step."""

  # Times that a run goes back before it ends; 0: it ends at once.
  max_rollbacks: int = bounded(0, low=0)
  # What the step is multiplied by each time: the server's learning rate or,
  # where the server takes the clients' mean as it is (sgd at 1), the clients'.
  factor: float = bounded(0.5, above=0.0, below=1.0)
  # A loss above so many times the lowest mean of ten rounds in a row so far is
  # a divergence too; 0: only what is not finite is.
  loss_factor: float = bounded(0.0, low=0.0)
