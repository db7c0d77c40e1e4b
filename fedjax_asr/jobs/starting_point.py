"""Where training starts: fresh, from a seed model, or from a checkpoint."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fedjax_asr import checkpoint, config, saved_run, streams
from fedjax_asr.federated import devices, server
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets

_SEED = 'federated.init_from'


def starting_point(
  cfg: config.Config,
  acoustic: model.Model,
  checkpoints: checkpoint.Checkpoints,
  device_list: Sequence[devices.Device],
  num_clients: int,
) -> tuple[server.ServerState, int]:
  """Server state on the devices, and the number of rounds behind it.

  A run that has a checkpoint goes on from it. Otherwise parameters are those
  of the last round of `federated.init_from`, or fresh ones; the server
  optimizer is fresh in both cases. `num_clients` are in the population.

  Raises:
    UserError: the checkpoint or the seed model is of another architecture, or
      the seed model had other features.
  """
  latest = checkpoints.latest_round
  begin = begun if latest is None else fresh
  state = begin(cfg, acoustic, num_clients)
  state = devices.replicate(state, device_list)
  if latest is None:
    return state, 0
  return checkpoints.restore(latest, state), latest


def fresh(
  cfg: config.Config, acoustic: model.Model, num_clients: int
) -> server.ServerState:
  """The state of the run before its first round."""
  key = streams.key(cfg.seed, streams.Stream.INITIAL_PARAMETERS)
  return server.initial_state(acoustic, cfg.federated, key, num_clients)


def begun(
  cfg: config.Config, acoustic: model.Model, num_clients: int
) -> server.ServerState:
  """The same, with the parameters of a seed model where the config names one.

  Raises:
    UserError: as `starting_point`.
  """
  state = fresh(cfg, acoustic, num_clients)
  if cfg.federated.init_from:
    state = _seeded(state, cfg, acoustic.alphabet)
  return state


def _seeded(
  state: server.ServerState,
  cfg: config.Config,
  alphabet: alphabets.Alphabet,
) -> server.ServerState:
  path = cfg.federated.init_from
  seed = saved_run.load(path, _SEED)
  _check_features(seed.config.features, cfg.features, path)
  _check_alphabet(seed.alphabet, alphabet, path)
  for name in ('params', 'norm_state'):
    _check_tree(getattr(seed, name), getattr(state, name), path)
  return state._replace(
    params=jax.tree.map(jnp.asarray, seed.params),
    norm_state=jax.tree.map(jnp.asarray, seed.norm_state),
  )


def _check_features(
  there: config.FeaturesConfig, wanted: config.FeaturesConfig, path: str
) -> None:
  theirs = config.walk(there, 'features')
  ours = config.walk(wanted, 'features')
  for (field, _, _, had), (*_, want) in zip(theirs, ours, strict=True):
    if had != want:
      raise config.ConfigError(
        f'config.{_SEED}={path!r} was trained with config.{field}={had}; want '
        f'{want}.'
      )


def _check_alphabet(
  there: alphabets.Alphabet, wanted: alphabets.Alphabet, path: str
) -> None:
  if there.symbols != wanted.symbols:
    raise config.ConfigError(
      f'config.{_SEED}={path!r} has the alphabet {there.shown()}; want '
      f'{wanted.shown()}.'
    )


def _check_tree(there: Any, wanted: Any, path: str) -> None:
  theirs, ours = (
    checkpoint.flatten(tree, np.shape) for tree in (there, wanted)
  )
  for name in [*ours, *theirs]:
    had, want = theirs.get(name, 'absent'), ours.get(name, 'absent')
    if had != want:
      raise config.ConfigError(
        f'config.{_SEED}={path!r} is of another model: {name} is {had} there; '
        f'want {want}.'
      )
