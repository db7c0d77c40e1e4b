"""What every algorithm's local steps have in common: counts, moves, weights."""

import jax
import jax.numpy as jnp
import optax

from fedjax_asr import config
from fedjax_asr.federated import algorithm


def delta(
  broadcast: algorithm.Broadcast, state: algorithm.ClientState
) -> algorithm.Update:
  """What the local steps moved: server minus local values."""
  return jax.tree.map(
    jnp.subtract,
    algorithm.Update(broadcast.params, broadcast.norm_state),
    algorithm.Update(state.params, state.norm_state),
  )


def no_totals() -> algorithm.Totals:
  """Before the first step."""
  return algorithm.Totals(*[jnp.zeros(())] * len(algorithm.Totals._fields))


def counted(
  totals: algorithm.Totals, gradient: optax.Updates
) -> algorithm.Totals:
  """A batch's totals, as one step if it was one."""
  real = totals.num_utterances > 0
  return totals._replace(
    # No way back through a root, whose slope at zero is infinite.
    gradient_norm=jax.lax.stop_gradient(
      jnp.where(real, optax.tree.norm(gradient), 0.0)
    ),
    num_steps=real.astype(jnp.float32),
  )


def kept_where_real(
  moved: algorithm.ClientState,
  state: algorithm.ClientState,
  totals: algorithm.Totals,
) -> algorithm.ClientState:
  """`moved` where the step had a usable utterance, else `state`; counted."""
  real = totals.num_utterances > 0
  is_first = state.totals.num_steps == 0
  loss = totals.loss / jnp.maximum(totals.num_utterances, 1)
  moved = moved._replace(
    first_loss=jnp.where(is_first, loss, state.first_loss), last_loss=loss
  )
  kept = jax.tree.map(lambda new, old: jnp.where(real, new, old), moved, state)
  return kept._replace(totals=jax.tree.map(jnp.add, state.totals, totals))


def weight(weighting: config.Weighting, totals: algorithm.Totals) -> jax.Array:
  """Of a client in the round's mean; 0 without a usable utterance."""
  match weighting:
    case config.Weighting.UTTERANCES:
      return totals.num_utterances
    case config.Weighting.FRAMES:
      return totals.num_frames
    case config.Weighting.UNIFORM:
      return (totals.num_utterances > 0).astype(jnp.float32)
    case config.Weighting.STEPS:
      return totals.num_steps
