"""A clipping norm that follows a quantile of the clients' own norms.

Andrew et al. 2021 (arXiv 1905.03871), Algorithm 1. Each client says by one bit
whether it is shorter than the norm; the share of those that are, with noise of
its own, moves the norm towards the quantile. By hand: no library has it for
clients that are vmapped.
"""

import math

import jax
import jax.numpy as jnp
import optax

from fedjax_asr import config, streams
from fedjax_asr.federated import channel, clipping, noise


def adaptive(cfg: config.PrivacyConfig, cohort_size: int) -> channel.Channel:
  """Clipping at a norm that begins with `clip_norm`, and the server's noise.

  The state is the norm, which every client is told. One client moves the sum of
  updates by the norm and the sum of bits, centred, by a half: with deviations
  z_sum and b of their noises, the pair is as private as a sum alone with
  1 / z^2 = 1 / z_sum^2 + 1 / (2 b)^2, of which z is
  `central_noise_multiplier`. The clients' memory is empty.
  """
  count_stddev = cfg.count_deviation(cohort_size)
  is_private = bool(cfg.central_noise_multiplier)
  multiplier = sum_multiplier(cfg.central_noise_multiplier, count_stddev)

  def client(message, memory, sender):
    params = message.update.params
    norm = optax.tree.norm(params)
    was_clipped = norm > sender.told
    is_there = message.weight > 0
    # Centred, so that a client that is there moves it by a half.
    bit = jnp.where(is_there, jnp.where(was_clipped, -0.5, 0.5), 0.0)
    message = channel.with_params(
      message, clipping.clipped(params, sender.told)
    )
    message = message._replace(extra=(message.extra, bit))
    return message, memory, was_clipped

  def server(sums, norm, key):
    extra, bits = sums.extra
    sums = sums._replace(extra=extra)
    if is_private:
      sum_key = streams.of_server(key, streams.ServerStream.SUM)
      params = noise.noised(sums.update.params, multiplier * norm, sum_key)
      sums = noise.with_sum(sums, params)
      count_key = streams.of_server(key, streams.ServerStream.COUNT)
      bits = bits + count_stddev * jax.random.normal(count_key)
      sums = sums._replace(weight=jnp.float32(cohort_size))
      short = bits / cohort_size + 0.5
    else:
      short = bits / jnp.maximum(sums.weight, 1.0) + 0.5
    step = cfg.quantile_learning_rate * (short - cfg.quantile)
    return sums, norm * jnp.exp(-step)

  return channel.Channel(
    client,
    server,
    init_server=lambda params: jnp.float32(cfg.clip_norm),
    told=lambda norm: norm,
  )


def sum_multiplier(total: float, count_stddev: float) -> float:
  """The multiplier of the noise on the sum, where that on the count is given.

  0 where there is none; infinite where the count alone gives away more than
  `total` allows.
  """
  if not total:
    return 0.0
  left = total**-2 - (2 * count_stddev) ** -2
  return left**-0.5 if left > 0 else math.inf
