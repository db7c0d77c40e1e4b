"""How well the server's model recognises a client's own speech."""

import functools

import jax
import jax.numpy as jnp

from fedjax_asr.decoding import greedy, word_errors
from fedjax_asr.federated.algorithms import at_server
from fedjax_asr.models import model


def word_error_rate(acoustic: model.Model) -> at_server.Score:
  """Between 0 and 1, over all that the client trains on in the round.

  Decoded greedily and as in an evaluation: no masks, no dropout, the running
  averages of batch norm. A rate above 1 counts as 1. Utterances that a step
  takes twice, or that have no alignment, count as they come.
  """

  count = functools.partial(word_errors.word_errors, alphabet=acoustic.alphabet)

  def of_batch(broadcast, batch, key):
    del key
    logits, num_outputs, _ = acoustic.apply(
      broadcast.params,
      broadcast.norm_state,
      batch.features,
      batch.num_frames,
      train=False,
    )
    errors, words = jax.vmap(count)(
      greedy.path(logits, num_outputs),
      jnp.asarray(batch.labels),
      jnp.asarray(batch.num_labels),
    )
    # Of padding nothing is heard, and nothing was said.
    return errors.sum(), words.sum()

  def of_client(state):
    errors, words = state.memory.sums
    return jnp.minimum(errors / jnp.maximum(words, 1), 1.0)

  none = jnp.int32(0)
  measure = at_server.Measure(lambda params: (none, none), of_batch)
  return at_server.Score(measure, of_client)
