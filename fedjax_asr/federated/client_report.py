"""What a round says of each of its clients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PyTree

from fedjax_asr.federated import algorithm, sketch


class ClientReport(NamedTuple):
  """Of one client; [devices blocks clients] when it leaves the round.

  first_loss, last_loss: mean loss of the first and the last batch that it
    stepped on, before that step; 0 without a step.
  delta_norm: of what it sends, before the channel.
  cosine: between what the server got and the mean of that over the round, by a
    sketch (`sketch.SIZE`).
  was_clipped: by the channel, or beyond the bound of the server.
  is_broken: what it sent, or would keep, is not finite, so that it was left
    out and keeps what it had.
  """

  totals: algorithm.Totals
  first_loss: Float[Array, '*axes']
  last_loss: Float[Array, '*axes']
  delta_norm: Float[Array, '*axes']
  weight: Float[Array, '*axes']
  cosine: Float[Array, '*axes']
  was_clipped: Bool[Array, '*axes']
  is_broken: Bool[Array, '*axes']


class Sketched(NamedTuple):
  """A report whose cosine has to wait for the round's mean."""

  report: ClientReport
  sketch: Float[Array, '*axes size']


def of_client(
  state: algorithm.ClientState,
  sent: algorithm.Message,
  received: algorithm.Message,
  kept: PyTree,
  was_clipped: Bool[Array, ''],
) -> Sketched:
  """After its steps; `sent` before the channel and `received` after it.

  `kept`: its memory of this round.
  """
  report = ClientReport(
    totals=state.totals,
    first_loss=state.first_loss,
    last_loss=state.last_loss,
    delta_norm=optax.tree.norm(sent.update.params),
    weight=received.weight,
    cosine=jnp.zeros(()),
    was_clipped=was_clipped,
    is_broken=~is_finite((state.totals, received, kept)),
  )
  return Sketched(report, sketch.sketched(received.update.params))


def of_round(reports: Sketched, mean: algorithm.Update) -> ClientReport:
  """With the cosine to the round's mean."""
  cosine = sketch.cosine(reports.sketch, sketch.sketched(mean.params))
  real = reports.report.totals.num_steps > 0
  return reports.report._replace(cosine=jnp.where(real, cosine, 0.0))


def is_finite(tree: PyTree) -> Bool[Array, '']:
  """Whether every number of a tree is."""
  return jnp.stack(
    [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
  ).all()
