"""What the running averages of batch norm tell of a client's batch.

In training, DeepSpeech 2's batch norm (Ioffe and Szegedy 2015) goes by the
batch's own mean and variance, and the running averages move towards them by one
minus the momentum. A client that sends its averages sends the batch's moments
with them.
"""

import dataclasses

import jax
import numpy as np
from jaxtyping import Float

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.models import model


def is_hidden(observed: observation.Observation) -> bool:
  """Whether the model normalised by moments of the batch."""
  cfg = observed.model.ds2
  return cfg.norm is config.Norm.BATCH and not cfg.frozen_norm


def frozen(observed: observation.Observation) -> observation.Observation:
  """The same as if the batch's moments had been the running averages.

  The forward pass is that of the client; of each utterance by itself, as
  nothing couples a batch any more. Gradients are not: they also went through
  the moments.

  Raises:
    Refused: averages were not sent, or moved more than once.
  """
  if observed.norm_update is None or observed.num_steps != 1:
    raise observation.Refused(
      'batch norm in training mode: want the running averages of one step, not '
      f'of {observed.num_steps}.'
    )
  rest = 1 - observed.model.ds2.norm_momentum
  moments = jax.tree.map(
    lambda old, moved: np.asarray(old) - np.asarray(moved) / rest,
    observed.norm_state,
    observed.norm_update,
  )
  section = dataclasses.replace(observed.model.ds2, frozen_norm=True)
  cfg = dataclasses.replace(observed.model, ds2=section)
  return observed._replace(
    model=cfg,
    norm_state=moments,
    acoustic=model.acoustic(
      cfg, observed.features.num_features, observed.acoustic.alphabet
    ),
  )


def mean_frame(
  seen: observation.Observation,
) -> Float[np.ndarray, ' units']:
  """Mean of the frames that the first recurrence was given.

  From the mean of their products with its input kernel, which has more outputs
  than a frame has units.

  Args:
    seen: as `frozen` gives it.

  Raises:
    Refused: there are fewer outputs than units.
  """
  kernel = np.asarray(seen.params['recurrent_0']['input_kernel'], np.float64)
  units, outputs = kernel.shape
  if outputs < units:
    raise observation.Refused(
      f'batch norm in training mode: {outputs} means do not tell {units} units.'
    )
  mean = np.asarray(seen.norm_state['recurrent_0']['norm']['mean'], np.float64)
  frame, *_ = np.linalg.lstsq(kernel.T, mean, rcond=None)
  return frame
