"""What clients and server tell each other so that a sum can be unmasked.

Bonawitz et al. 2017, honest but curious, on the graph of Bell et al. 2020, of
one round and on the host: keys, shares, and who of the server's questions is
answered. All of it is a function of (seed, round, who was drawn, who sends).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int, UInt32

from fedjax_asr import config, streams
from fedjax_asr.federated import (
  key_agreement,
  mask_graph,
  masks,
  shamir,
)


class Protocol(NamedTuple):
  """What is public before a run.

  num_drawn: clients of a round that agree on masks, at most.
  num_senders: at most.
  degree: neighbours of each, where so many others are drawn.
  threshold: as `config.SecureAggregationConfig` has it.
  """

  num_drawn: int
  num_senders: int
  degree: int
  threshold: float

  @property
  def least_senders(self) -> int:
    """Without which the sum of a round is not told."""
    wanted = mask_graph.num_shares_wanted(self.num_drawn, self.threshold)
    return max(wanted, 2)

  def num_terms(self, num_devices: int) -> int:
    """Seeds that the server expands on a device, at most."""
    dropped = max(self.num_drawn - self.least_senders, 0)
    terms = self.num_senders + dropped * self.degree
    return -(-terms // num_devices)


def of_config(federated: config.FederatedConfig) -> Protocol:
  """Of a cohort whose size is settled."""
  settings = federated.secure_aggregation
  num_drawn = federated.systems.num_drawn or federated.cohort_size
  degree = settings.degree or mask_graph.degree(
    num_drawn, settings.threshold, federated.systems.dropout
  )
  return Protocol(
    num_drawn=num_drawn,
    num_senders=federated.cohort_size,
    degree=max(min(degree, num_drawn - 1), 0),
    threshold=settings.threshold,
  )


class Client(NamedTuple):
  """One of those drawn, and what it handed out.

  private, public: its keys; the seed of its own mask is `own`.
  key_shares, own_shares: of `private` and `own`; share i is neighbour i's.
  """

  private: int
  public: int
  own: int
  neighbours: Int[np.ndarray, ' neighbours']
  key_shares: list[int]
  own_shares: list[int]


class Seeds(NamedTuple):
  """Of masks, and the factor of each."""

  seeds: UInt32[np.ndarray, 'terms 2']
  factors: UInt32[np.ndarray, ' terms']


class Round(NamedTuple):
  """One round of the protocol.

  client_ids: of those drawn; what follows is in their order.
  pairs, signs: with each neighbour, as `masks.ClientMasks` has them.
  found: what the server recovers; None: too little was answered, and the round
    is abandoned.
  num_dropped: that were drawn and do not send.
  """

  client_ids: Int[np.ndarray, ' clients']
  own: UInt32[np.ndarray, 'clients 2']
  pairs: UInt32[np.ndarray, 'clients neighbours 2']
  signs: UInt32[np.ndarray, 'clients neighbours']
  found: Seeds | None
  num_dropped: int


def simulated(
  drawn: Int[np.ndarray, ' clients'],
  senders: Int[np.ndarray, ' senders'],
  protocol: Protocol,
  seed: int,
  round_index: int,
) -> Round:
  """A round from its keys to what the server recovers.

  `drawn` are clients of the population, each once, and `senders` some of them.
  """
  graph = mask_graph.neighbours(
    len(drawn),
    protocol.degree,
    streams.rng(seed, streams.Stream.MASK_GRAPH, round_index),
  )
  clients = [
    _client(
      own_neighbours,
      protocol.threshold,
      streams.rng(seed, streams.Stream.MASKS, round_index, client),
    )
    for client, own_neighbours in zip(drawn, graph, strict=True)
  ]
  sends = np.isin(drawn, senders)
  found = None
  if sends.sum() >= protocol.least_senders:
    found = recovered(clients, sends, protocol.threshold)
  shape = len(drawn), protocol.degree
  pairs = np.zeros((*shape, 2), np.uint32)
  signs = np.zeros(shape, np.uint32)
  for row, each in enumerate(clients):
    for column, other in enumerate(each.neighbours):
      pairs[row, column] = key_agreement.agreed_seed(
        each.private, clients[other].public
      )
      signs[row, column] = _sign(row, int(other))
  own = [key_agreement.words(each.own) for each in clients]
  return Round(
    client_ids=drawn,
    own=np.array(own, np.uint32).reshape(-1, 2),
    pairs=pairs,
    signs=signs,
    found=found,
    num_dropped=int((~sends).sum()),
  )


def _client(
  neighbours: Int[np.ndarray, ' neighbours'],
  threshold: float,
  rng: np.random.Generator,
) -> Client:
  private = key_agreement.private_key(rng)
  own = int.from_bytes(rng.bytes(8))
  count = len(neighbours)
  wanted = mask_graph.num_shares_wanted(count, threshold)
  key_shares, own_shares = (
    shamir.shares(secret, count, wanted, rng) if count else []
    for secret in (private, own)
  )
  return Client(
    private=private,
    public=key_agreement.public_key(private),
    own=own,
    neighbours=neighbours,
    key_shares=key_shares,
    own_shares=own_shares,
  )


def _sign(row: int, other: int) -> int:
  """With which `row` adds the mask that it shares with `other`."""
  return masks.PLUS if row < other else masks.MINUS


def recovered(
  clients: Sequence[Client],
  sends: Bool[np.ndarray, ' clients'],
  threshold: float,
) -> Seeds | None:
  """All masks in the sum of those who sent, of shares that they hold.

  Of one who sent, its own mask; of one who did not, its key, and with that the
  masks that it shares with those who sent: of nobody both, which would unmask a
  message that comes late. None where too few of somebody's neighbours sent.
  """
  seeds: list[tuple[int, int]] = []
  factors: list[int] = []
  for row, each in enumerate(clients):
    left = sends[each.neighbours]
    if not sends[row] and not left.any():
      continue  # None of its masks is in the sum.
    wanted = mask_graph.num_shares_wanted(len(left), threshold)
    (answering,) = np.nonzero(left)
    if len(answering) < wanted:
      return None
    held = each.own_shares if sends[row] else each.key_shares
    secret = shamir.secret({int(i): held[i] for i in answering[:wanted]})
    if sends[row]:
      seeds.append(key_agreement.words(secret))
      factors.append(masks.PLUS)
      continue
    for other in each.neighbours[left]:
      public = clients[other].public
      seeds.append(key_agreement.agreed_seed(secret, public))
      factors.append(_sign(int(other), row))
  return Seeds(
    np.array(seeds, np.uint32).reshape(-1, 2), np.array(factors, np.uint32)
  )


def placed(
  of_round: Round,
  client_ids: Int[np.ndarray, 'devices blocks clients'],
  protocol: Protocol,
) -> masks.Masks:
  """As the compiled round takes it: where its clients stand in the cohort."""
  rows = np.full(client_ids.shape, -1)
  for row, client in enumerate(of_round.client_ids):
    rows[client_ids == client] = row
  is_sender = rows >= 0

  def of_clients(values):
    if not len(values):
      return np.zeros((*rows.shape, *values.shape[1:]), values.dtype)
    taken = values[rows]
    taken[~is_sender] = 0
    return taken

  return masks.Masks(
    clients=masks.ClientMasks(
      own=of_clients(of_round.own),
      pairs=of_clients(of_round.pairs),
      signs=of_clients(of_round.signs),
      is_sender=is_sender,
    ),
    recovered=_shared_out(of_round.found, len(client_ids), protocol),
  )


def _shared_out(
  found: Seeds | None, num_devices: int, protocol: Protocol
) -> masks.Recovered:
  """One term after the other to each device in turn."""
  most = protocol.num_terms(num_devices)
  seeds = np.zeros((num_devices, most, 2), np.uint32)
  factors = np.zeros((num_devices, most), np.uint32)
  count = np.zeros(num_devices, np.int32)
  if found is not None:
    for device in range(num_devices):
      own = found.seeds[device::num_devices]
      count[device] = len(own)
      seeds[device, : len(own)] = own
      factors[device, : len(own)] = found.factors[device::num_devices]
  return masks.Recovered(
    seeds=seeds,
    factors=factors,
    num_terms=count,
    is_abandoned=np.full(num_devices, found is None),
  )


def shapes(
  protocol: Protocol, client_ids_shape: tuple[int, ...]
) -> masks.Masks:
  """What `placed` fills, as `jax.ShapeDtypeStruct`s: to compile ahead."""
  nobody = Round(
    client_ids=np.zeros(0, int),
    own=np.zeros((0, 2), np.uint32),
    pairs=np.zeros((0, protocol.degree, 2), np.uint32),
    signs=np.zeros((0, protocol.degree), np.uint32),
    found=None,
    num_dropped=0,
  )
  filled = placed(nobody, np.full(client_ids_shape, -1), protocol)
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), filled
  )
