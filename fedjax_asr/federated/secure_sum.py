"""A sum of updates that nobody sees one of: the compiled round's part of it.

Behind the channel: a clipped update is encoded (`fixed_point`), has its share
of the noise where that is distributed (`skellam`), and is hidden (`masks`). The
sum over blocks and devices is one of integers modulo 2^32, from which the
server takes the masks that `secure_protocol` found.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
from jaxtyping import Array, Bool

from fedjax_asr import config, streams
from fedjax_asr.federated import (
  algorithm,
  channel,
  fixed_point,
  masks,
  secure_protocol,
  skellam,
)


class SecureSum(NamedTuple):
  """How messages are encoded and sums decoded.

  share_variance: of the noise that each client adds, in units squared; 0: none.
  """

  form: fixed_point.Format
  share_variance: float

  def encoded(
    self, message: algorithm.Message, sender: channel.Sender
  ) -> algorithm.Message:
    """The update as integers, noise of the client's own among them."""
    flat, _ = jax.flatten_util.ravel_pytree(message.update.params)
    found = fixed_point.encoded(
      flat,
      self.form,
      streams.of_client(sender.key, streams.ClientStream.CODING),
    )
    if self.share_variance:
      drawn = skellam.draws(
        skellam.table(self.share_variance),
        flat.size,
        streams.of_client(sender.secret, streams.ClientStream.NOISE),
      )
      found = found + fixed_point.bits_of(drawn)
    like_params = _as_integers(message.update.params)
    return channel.with_params(message, like_params(found))

  def decoded(
    self, sums: algorithm.Sums, is_abandoned: Bool[Array, ''] | None = None
  ) -> algorithm.Sums:
    """Of integers without masks; of a round that is abandoned, of nobody."""
    params = fixed_point.decoded(sums.update.params, self.form)
    sums = sums._replace(update=sums.update._replace(params=params))
    if is_abandoned is None:
      return sums
    return jax.tree.map(lambda leaf: jnp.where(is_abandoned, 0, leaf), sums)


def _as_integers(params: Any):
  """`unravel` of a tree of such shapes, of 32 bits without a sign."""
  like = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.uint32), params)
  return jax.flatten_util.ravel_pytree(like)[1]


def hidden(
  message: algorithm.Message, own: masks.ClientMasks
) -> algorithm.Message:
  """An encoded message as it is sent; nothing, of padding."""
  return channel.with_params(message, masks.hidden(message.update.params, own))


def unmasked(sums: algorithm.Sums, found: Any) -> algorithm.Sums:
  """Without the masks that were found, a tree like the parameters'."""
  params = jax.tree.map(jnp.subtract, sums.update.params, found)
  return sums._replace(update=sums.update._replace(params=params))


def make(federated: config.FederatedConfig) -> SecureSum | None:
  """None where secure aggregation is not enabled."""
  if not federated.secure_aggregation.enabled:
    return None
  protocol = secure_protocol.of_config(federated)
  multiplier = noise_multiplier(federated.privacy)
  bits = _bits(protocol, multiplier)
  return SecureSum(
    fixed_point.Format(federated.privacy.clip_norm, bits),
    share_variance(bits, multiplier, protocol.least_senders),
  )


def noise_multiplier(privacy: config.PrivacyConfig) -> float:
  """Of the clients' noise together, of `clip_norm`."""
  if privacy.mechanism is not config.Mechanism.DISTRIBUTED:
    return 0.0
  return privacy.central_noise_multiplier


def share_variance(bits: int, multiplier: float, least_senders: int) -> float:
  """Of a client's noise, in units squared: so many have all of it together."""
  return (multiplier * 2**bits) ** 2 / least_senders


@functools.cache
def _bits(protocol: secure_protocol.Protocol, multiplier: float) -> int:
  """The most with which no sum wraps around, and no table is too large."""
  for bits in reversed(range(31)):
    reach = 0
    if multiplier:
      reach = skellam.reach(
        share_variance(bits, multiplier, protocol.least_senders)
      )
    most = protocol.num_senders * (2**bits + reach)
    if most <= fixed_point.LARGEST and reach <= skellam.MOST_ENTRIES:
      return bits
  return 0
