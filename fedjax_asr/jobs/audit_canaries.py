"""Trains as the run did, with canaries, and says what epsilon they prove."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich.console

from fedjax_asr import config, run_directory, run_files, streams
from fedjax_asr.audits import canary_scores, empirical_epsilon, planted_bugs
from fedjax_asr.federated import (
  algorithms,
  canary,
  channels,
  client_memory,
  clipping,
  devices,
  rounds,
  sampling,
  server,
)
from fedjax_asr.federated import secret as secret_lib
from fedjax_asr.jobs import audited_run, cohort_feed, preparation

_TIMES_THE_NORM = 10
# Those that send an update, and nothing that canaries do not.
_PLAIN = (
  config.AlgorithmName.FEDAVG,
  config.AlgorithmName.FEDSGD,
  config.AlgorithmName.FEDPROX,
)
# Of each side's scores, for figures.
_MOST_SCORES = 200


def measured(
  audited: audited_run.AuditedRun,
  cfg: config.Config,
  directory: run_directory.RunDirectory,
  console: rich.console.Console,
) -> dict[str, Any]:
  """Of one training, fresh from the run's own first parameters.

  Its noise is of the audit's seed, and no secret.

  Raises:
    ConfigError: clients of the run keep something, which canaries do not; or
      there is no noise that a bug could be in.
  """
  del directory
  own = cfg.audit.canaries
  federated = _settings(audited.settings, own)
  _check(audited, federated, own)
  trained = _trained(audited, federated, cfg, console)
  found = {
    'num_rounds': federated.num_rounds,
    'planted_bug': own.planted_bug.value,
    'norm': trained.canaries.norm,
    'accounted': _accounted(federated, len(audited.clients)),
    'scores': _measured(trained, federated, cfg),
  }
  found['proven'] = max(
    max(each['clopper_pearson'], each['one_run'])
    for each in found['scores'].values()
  )
  console.print(_told(found))
  return found


@dataclasses.dataclass(slots=True, kw_only=True)
class _Trained:
  """along: [rounds, canaries, layers]; way: the same of all that the model
  moved, [canaries, layers]; distance: its norm."""

  canaries: canary.Canaries
  along: np.ndarray
  way: np.ndarray
  distance: float
  params: Any


def _settings(
  federated: config.FederatedConfig, own: config.CanaryConfig
) -> config.FederatedConfig:
  if not own.num_rounds:
    return federated
  return dataclasses.replace(federated, num_rounds=own.num_rounds)


def _check(
  audited: audited_run.AuditedRun,
  federated: config.FederatedConfig,
  own: config.CanaryConfig,
) -> None:
  check_settings(federated)
  cfg = audited.saved.config
  initial = client_memory.initial_memory(
    algorithms.make(
      audited.saved.acoustic, federated, cfg.augment, len(audited.clients)
    ),
    channels.make(federated),
  )
  if client_memory.row_layout(initial, audited.saved.acoustic).leaves:
    raise config.ConfigError(
      f'config.audit.parts: canaries, of a run whose clients keep something '
      f'from round to round (federated.algorithm={federated.algorithm}); want '
      'a run whose clients do not, or other parts.'
    )
  has_bug = own.planted_bug is not config.PlantedBug.NONE
  if has_bug and not federated.privacy.central_noise_multiplier:
    raise config.ConfigError(
      f'config.audit.canaries.planted_bug={own.planted_bug.value!r}; want none '
      "for a run without the server's noise."
    )


def check_settings(federated: config.FederatedConfig) -> None:
  """Raises `ConfigError` where canaries cannot send as the clients do."""
  if federated.algorithm not in _PLAIN:
    raise config.ConfigError(
      'config.audit.parts: canaries, of a run with federated.algorithm='
      f'{federated.algorithm}; want one of {", ".join(_PLAIN)}, or other parts.'
    )
  if federated.secure_aggregation.enabled:
    raise config.ConfigError(
      'config.audit.parts: canaries, of a run with '
      'federated.secure_aggregation.enabled, in which they have no masks; want '
      'a run without, or other parts.'
    )


def _canaries(
  audited: audited_run.AuditedRun,
  federated: config.FederatedConfig,
  cfg: config.Config,
) -> canary.Canaries:
  own = cfg.audit.canaries
  clip_norm = federated.privacy.clip_norm
  norm = own.norm or _TIMES_THE_NORM * clip_norm or _median_norm(audited)
  return canary.Canaries(
    num_canaries=2 * own.num_canaries + own.num_canaries // 2,
    num_in=own.num_canaries,
    norm=norm,
    rate=sampling.rate(federated, len(audited.clients)),
    period=federated.privacy.period,
    key=jax.random.key(cfg.seed),
  )


def _median_norm(audited: audited_run.AuditedRun) -> float:
  """Of what clients of the run sent, as far as it kept that."""
  file = run_files.RunFiles(audited.saved.path).clients
  if not file.is_file():
    raise config.ConfigError(
      'config.audit.canaries.norm=0; want a norm above 0: the run has neither '
      f'a clip norm nor a {file.name}.'
    )
  norms = [
    norm
    for line in file.read_text().splitlines()
    for norm in json.loads(line)['delta_norm']
  ]
  return float(np.median(norms))


def _trained(
  audited: audited_run.AuditedRun,
  federated: config.FederatedConfig,
  cfg: config.Config,
  console: rich.console.Console,
) -> _Trained:
  saved, seed = audited.saved, audited.saved.config.seed
  secret = secret_lib.of_seed(cfg.seed)
  device_list = devices.select(federated)
  feed = cohort_feed.CohortFeed(
    audited.examples, federated, seed, device_list, secret
  )
  canaries = _canaries(audited, federated, cfg)
  round_fn = rounds.of_algorithm(
    algorithms.make(
      saved.acoustic, federated, saved.config.augment, len(feed.clients)
    ),
    planted_bugs.channel_with(federated, cfg.audit.canaries.planted_bug),
    federated,
    feed.layout.frame_buckets,
    device_list,
    canaries,
  )
  state = server.initial_state(
    saved.acoustic,
    federated,
    streams.key(seed, streams.Stream.INITIAL_PARAMETERS),
    len(feed.clients),
  )
  first = jax.device_get(state.params)
  state = devices.replicate(state, device_list)
  key, along = jax.random.key(seed), []
  with (
    preparation.reported(console, 'canaries') as told,
  ):
    cohorts = feed.ahead(range(federated.num_rounds))
    for index, fed in enumerate(cohorts):
      state, _, outcome = round_fn(
        state, fed.members, rounds.NO_MEMORIES, key, None, secret.key
      )
      along.append(jax.device_get(outcome.canaries))
      told(index + 1, federated.num_rounds)
  last = jax.device_get(state.params)
  moved = jax.tree.map(lambda before, after: before - after, first, last)
  return _Trained(
    canaries=canaries,
    along=np.asarray(along, float),
    way=np.asarray(jax.jit(canaries.projections)(moved), float),
    distance=float(optax.tree.norm(jax.tree.map(jnp.asarray, moved))),
    params=first,
  )


def _sent(
  params: Any, federated: config.FederatedConfig, norm: float
) -> np.ndarray:
  """How far a canary's message goes along its own direction, by layer."""
  sizes = _sizes(params)
  privacy = federated.privacy
  by_layer = norm * np.sqrt(sizes / sizes.sum())
  if not privacy.clip_norm:
    return by_layer
  if privacy.clipping is config.Clipping.PER_LAYER:
    bounds = clipping.layer_bounds(
      params, privacy.clip_norm, privacy.layer_bounds
    )
    return np.minimum(by_layer, [bounds[name] for name in sorted(params)])
  return by_layer * min(1.0, privacy.clip_norm / norm)


def _sizes(params: Any) -> np.ndarray:
  return np.array([canary.layer_size(params[name]) for name in sorted(params)])


def _measured(
  trained: _Trained, federated: config.FederatedConfig, cfg: config.Config
) -> dict[str, dict[str, Any]]:
  """By score; bounds hold for all of them together."""
  count = trained.canaries.num_in
  canaries = trained.canaries
  sent = _sent(trained.params, federated, canaries.norm)
  scores = canary_scores.scores(
    trained.along,
    np.arange(2 * count, canaries.num_canaries),
    sent,
    canaries.rate / canaries.period,
  )
  scores['final_cosine'] = canary_scores.cosines(
    trained.way, _sizes(trained.params), trained.distance
  )
  confidence = 1 - (1 - cfg.audit.confidence) / len(scores)
  delta = federated.privacy.delta
  found = {
    name: empirical_epsilon.measured(
      values[:count], values[count : 2 * count], delta, confidence
    )
    | {
      'scores_in': _spread(values[:count]),
      'scores_out': _spread(values[count : 2 * count]),
    }
    for name, values in scores.items()
  }
  cosines = scores['final_cosine']
  found['final_cosine']['gaussian'] = empirical_epsilon.gaussian(
    cosines[:count],
    cosines[count : 2 * count],
    delta,
    cfg.audit.confidence,
    cfg.seed,
  )
  return found


def _spread(values: np.ndarray) -> list[float]:
  """Quantiles at even distances, or all where they are few."""
  kept = np.linspace(0, len(values) - 1, min(len(values), _MOST_SCORES))
  return np.sort(values)[np.round(kept).astype(int)].tolist()


def _accounted(
  federated: config.FederatedConfig, num_clients: int
) -> dict[str, float | None] | None:
  """What the run's mechanism promises after so many rounds; None: nothing."""
  if not federated.privacy.central_noise_multiplier:
    return None
  from fedjax_asr.federated import accountant

  books = accountant.Accountant(
    accountant.of_config(federated, num_clients), federated.privacy.delta
  )
  spent = books.after(federated.num_rounds)
  curve = books.curve(federated.num_rounds)
  return {
    'delta': federated.privacy.delta,
    'epsilon_rdp': spent.epsilon_rdp,
    'epsilon_pld': spent.epsilon_pld,
    'mu': None if curve is None else curve.mu,
    'tpr_at_1_percent': None if curve is None else curve.tpr,
  }


def _told(found: dict[str, Any]) -> str:
  accounted = found['accounted'] or {}
  promised = accounted.get('epsilon_pld') or accounted.get('epsilon_rdp')
  said = 'no epsilon' if promised is None else f'epsilon {promised:.3g}'
  verdict = ''
  if promised is not None and found['proven'] > promised:
    verdict = ': THE PROMISE IS BROKEN'
  return (
    f'canaries, {found["num_rounds"]} rounds: promised {said}, proven at least '
    f'{found["proven"]:.3g}{verdict}'
  )
