"""A server that does not believe in long updates (Sun et al. 2019, section 5).

Unlike clipping for privacy it is the server's doing, behind whatever a client
did; sums stay running sums. Batch norm's running averages, and what an
algorithm sends besides, are not bounded.
"""

import optax

from fedjax_asr import config
from fedjax_asr.federated import (
  aggregation,
  channel,
  client_report,
  clipping,
)


def behind(
  line: channel.Channel, settings: config.AggregationConfig
) -> channel.Channel:
  """The channel, and then the bound: `was_clipped` says of either.

  What is not finite stays so, and is left out as such.
  """
  if not settings.norm_bound:
    return line

  def client(message, memory, sender):
    message, memory, was_clipped = line.client(message, memory, sender)
    params = message.update.params
    is_over = optax.tree.norm(params) > settings.norm_bound
    is_over &= client_report.is_finite(params)
    match settings.over_bound:
      case config.OverBound.SCALED:
        params = clipping.clipped(params, settings.norm_bound)
        message = channel.with_params(message, params)
      case config.OverBound.LEFT_OUT:
        message = aggregation.emptied(message, is_over)
    return message, memory, was_clipped | is_over

  return line._replace(client=client)
