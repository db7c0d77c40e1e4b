"""The client axis across devices."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from fedjax_asr import config

AXIS = 'clients'
# jax.Device; JAX has no type of it that checkers can read.
Device = Any


def select(federated: config.FederatedConfig) -> list[Device]:
  """The devices that clients are spread over.

  Raises:
    config.ConfigError: more were asked for than there are.
  """
  available = jax.local_devices()
  wanted = federated.num_devices or min(len(available), federated.cohort_size)
  if wanted > len(available):
    raise config.ConfigError(
      f'config.federated.num_devices={wanted}; want at most the '
      f'{len(available)} {available[0].platform} device(s) of this process.'
    )
  return available[:wanted]


def mesh(devices: Sequence[Device]) -> Mesh:
  """One axis, `clients`."""
  return Mesh(devices, (AXIS,))


def replicate(tree: PyTree, devices: Sequence[Device]) -> PyTree:
  """A copy of every array on every device."""
  return jax.device_put(tree, NamedSharding(mesh(devices), PartitionSpec()))


def spread(tree: PyTree, devices: Sequence[Device]) -> PyTree:
  """Arrays whose leading axis is the devices, one slice on each."""
  return jax.device_put(tree, NamedSharding(mesh(devices), PartitionSpec(AXIS)))


def spread_shapes(tree: PyTree, devices: Sequence[Device]) -> PyTree:
  """`jax.ShapeDtypeStruct`s as `spread` would place such arrays."""
  sharding = NamedSharding(mesh(devices), PartitionSpec(AXIS))
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=sharding
    ),
    tree,
  )


def over_clients(
  function: Callable[[Any, Any], tuple[PyTree, PyTree]],
  devices: Sequence[Device],
  device_map: config.DeviceMap,
) -> Callable[[Any, Any], tuple[PyTree, PyTree]]:
  """`mapped(shared, spread)`: (the sum over devices, what each computes).

  `function(shared, local)` gets `shared` whole and its own slice of `spread`
  without the device axis. Of the two that it gives, the first is added up over
  devices; of the second, outermost axis are the devices. May be called inside
  `jax.jit`.
  """

  def local_sum(shared, local):
    summed, kept = function(shared, local)
    return jax.lax.psum(summed, AXIS), kept

  match device_map:
    case config.DeviceMap.SHARD_MAP:

      def sliced(shared, spread_out):
        local = jax.tree.map(lambda leaf: leaf[0], spread_out)
        summed, kept = local_sum(shared, local)
        return summed, jax.tree.map(lambda leaf: leaf[None], kept)

      return jax.shard_map(
        sliced,
        mesh=mesh(devices),
        in_specs=(PartitionSpec(), PartitionSpec(AXIS)),
        out_specs=(PartitionSpec(), PartitionSpec(AXIS)),
        check_vma=False,
      )
    case config.DeviceMap.PMAP:
      mapped = jax.pmap(
        local_sum, AXIS, in_axes=(None, 0), devices=list(devices)
      )

      def first(shared, spread_out):
        summed, kept = mapped(shared, spread_out)
        return jax.tree.map(lambda leaf: leaf[0], summed), kept

      return first
