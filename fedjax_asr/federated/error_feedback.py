"""What a code loses, kept by the client until it takes part again.

Seide et al. 2014; Karimireddy et al. 2019 (EF-SGD). Each update is sent in the
end, as far as the client takes part again: the sum of what it sent and of what
it keeps is the sum of its updates.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fedjax_asr.federated import channel
from fedjax_asr.models import model


def around(
  compressed: Callable[[model.Params, jax.Array], model.Params],
) -> channel.Channel:
  """A code of the update and what is kept, `compressed(update, key)`.

  That a client may take part without end, it must lose less than it is given.
  A client that weighs nothing sends nothing, and keeps what it had: nobody
  would add up what it sends.
  """

  def client(message, memory, sender):
    counts = message.weight > 0
    whole = jax.tree.map(
      lambda update, kept: jnp.where(counts, update + kept, 0.0),
      message.update.params,
      memory,
    )
    sent = compressed(whole, sender.key)
    memory = jax.tree.map(
      lambda whole, sent, kept: jnp.where(counts, whole - sent, kept),
      whole,
      sent,
      memory,
    )
    return channel.with_params(message, sent), memory, jnp.array(False)

  return channel.Channel(
    client, init=lambda params: jax.tree.map(jnp.zeros_like, params)
  )
