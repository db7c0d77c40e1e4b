"""The model under attack and the speech of its clients."""

import dataclasses
import os
import pathlib
from typing import NamedTuple

import jax
import numpy as np

from fedjax_asr import config, saved_run, streams
from fedjax_asr.corpora import dataset, datasets, store, utterance
from fedjax_asr.federated import partition, secure_protocol
from fedjax_asr.jobs import evaluated_set
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets, features

# Utterances that public statistics are taken from, at most.
_NUM_PUBLIC = 100
# What their clients send is a FedAvg client's.
_WITH_FEDAVGS_STEPS = (config.AlgorithmName.FEDAVG, config.AlgorithmName.DITTO)


class AttackedRun(NamedTuple):
  """A run at one of its rounds, and who may be attacked in it.

  settings: of the run's federated training, as they bear on these clients.
  clients: of the population; their utterances index `examples`.
  """

  saved: saved_run.SavedRun
  settings: config.FederatedConfig
  examples: dataset.Dataset
  clients: list[partition.Client]


def load(
  cfg: config.Config,
  workdir: str | os.PathLike[str],
  report: store.Report,
) -> AttackedRun:
  """`config.attack.run` at its round, or a fresh model of this config.

  Clients are those of the run's partition where their speech is that which it
  trained on, and one for each speaker where the run does not know it. A fresh
  model's are those of this config's partition.

  Raises:
    UserError: of the run, its round or the corpus.
  """
  attack = cfg.attack
  if attack.run:
    saved = saved_run.load(attack.run, 'attack.run', attack.round, as_sent=True)
    saved_run.check_apart(saved, workdir)
  else:
    saved = untrained(cfg, pathlib.Path(workdir), report)
  _check_normalization(saved)
  _check_algorithm(attack, saved.config.federated.algorithm)
  _check_feedback(attack, saved.config.federated)
  found = evaluated_set.load(
    attack.subset, 'attack.subset', cfg.data, saved, report
  )
  settings = saved.config.federated
  if attack.run and attack.subset is not config.Subset.TRAIN:
    num_clients = len(set(found.examples.clients))
    settings = dataclasses.replace(
      settings,
      partition=config.Partition.SPEAKER,
      cohort_size=min(settings.cohort_size, num_clients),
      # How fast others are is not known.
      systems=config.SystemsConfig(),
    )
  settings = partition.settled(settings, found.examples.clients)
  _check_secure(attack, settings)
  clients = partition.partition(
    found.examples.speakers,
    found.examples.texts,
    settings,
    saved.config.seed,
    found.examples.clients,
  )
  return AttackedRun(saved, settings, found.examples, clients)


def _check_normalization(saved: saved_run.SavedRun) -> None:
  """What is found is compared in units that one mean and deviation undo."""
  if saved.config.features.normalization is config.Normalization.RUNNING:
    raise config.ConfigError(
      f'{saved.path}: features.normalization=running; want an attack on a run '
      'with utterance, global or none, which a mean and a deviation undo.'
    )


def _check_algorithm(
  attack: config.AttackConfig, trained: config.AlgorithmName
) -> None:
  """Attacks on deltas undo FedAvg's local steps, which are Ditto's too; a
  gradient is of the server's values whatever the algorithm does with it."""
  if attack.observed is config.Observed.GRADIENT:
    return
  if trained not in _WITH_FEDAVGS_STEPS:
    raise config.ConfigError(
      f'config.attack.observed={attack.observed} of a run with config.'
      f'federated.algorithm={trained}; want gradient, or a run of fedavg '
      'or ditto.'
    )


def _check_feedback(
  attack: config.AttackConfig, trained: config.FederatedConfig
) -> None:
  """What clients keep is of what they send in the run."""
  if not trained.compression.error_feedback or not attack.run:
    return
  sends_gradients = trained.algorithm is config.AlgorithmName.FEDSGD
  if (attack.observed is config.Observed.GRADIENT) is not sends_gradients:
    wanted = 'gradient' if sends_gradients else 'delta'
    raise config.ConfigError(
      f'config.attack.observed={attack.observed} of a run of '
      f'{trained.algorithm} with federated.compression.error_feedback; want '
      f'{wanted}, which its clients send and keep what was lost of.'
    )


def _check_secure(
  attack: config.AttackConfig, settings: config.FederatedConfig
) -> None:
  """What is unmasked is a round's sum: of one client nothing is seen."""
  if not settings.secure_aggregation.enabled:
    return
  least = secure_protocol.of_config(settings).least_senders
  if not least <= attack.num_aggregated <= settings.cohort_size:
    raise config.ConfigError(
      f'config.attack.num_aggregated={attack.num_aggregated} of a run with '
      f'federated.secure_aggregation; want {least} to {settings.cohort_size}, '
      'the clients whose sum a round tells.'
    )


def untrained(
  cfg: config.Config, path: pathlib.Path, report: store.Report
) -> saved_run.SavedRun:
  """As a run is before its first round."""
  alphabet = alphabets.of_config(cfg.data)
  if alphabet.is_open:
    alphabet = _prepared(cfg, report).alphabet
  acoustic = model.acoustic(cfg.model, cfg.features.num_features, alphabet)
  # Under jit: a large model's initialisation is thousands of operations.
  params, norm_state = jax.jit(acoustic.init)(
    streams.key(cfg.seed, streams.Stream.INITIAL_PARAMETERS)
  )
  return saved_run.SavedRun(
    path=path,
    config=cfg,
    acoustic=acoustic,
    params=params,
    norm_state=norm_state,
    round=0,
    statistics=_statistics(cfg, report),
  )


def _statistics(cfg, report) -> features.Statistics | None:
  """Of what the run would train on, for global normalisation."""
  if not cfg.features.normalization.has_statistics:
    return None
  return _prepared(cfg, report).statistics


def _prepared(cfg, report) -> datasets.Datasets:
  return datasets.prepare(
    cfg.data,
    cfg.features,
    model.num_output_frames(cfg.model),
    cfg.seed,
    report,
  )


def public_speech(
  attacked: AttackedRun, speakers: set[str]
) -> features.Statistics | None:
  """Statistics of the speech of everybody but these speakers.

  In the model's input units. None where there is nobody else.
  """
  examples = attacked.examples
  chosen = _others(attacked, speakers)
  if not chosen:
    return None
  return features.statistics(map(examples.features, chosen))


def public_utterances(
  attacked: AttackedRun, speakers: set[str]
) -> list[np.ndarray]:
  """Speech of others, in the model's input units; [] where nobody is left."""
  chosen = _others(attacked, speakers)
  return [attacked.examples.features(index) for index in chosen]


def public_units(
  attacked: AttackedRun, speakers: set[str]
) -> features.Statistics | None:
  """By which somebody without these speakers' speech undoes normalisation.

  Those of the run where they normalised everybody's features, and are public as
  the model is; of everybody else's features where each utterance is normalised
  by its own. None where there is nobody else or nothing to undo.
  """
  match attacked.saved.config.features.normalization:
    case config.Normalization.NONE:
      return None
    case config.Normalization.GLOBAL | config.Normalization.RUNNING:
      return attacked.saved.statistics
    case config.Normalization.UTTERANCE:
      chosen = _others(attacked, speakers)
      if not chosen:
        return None
      return features.statistics(map(attacked.examples.raw, chosen))


def _others(attacked, speakers) -> list[int]:
  """Utterances of other speakers, `_NUM_PUBLIC` at most."""
  others = [
    index
    for index, speaker in enumerate(attacked.examples.speakers)
    if speaker not in speakers
  ]
  rng = streams.rng(attacked.saved.config.seed, streams.Stream.PUBLIC_SPEECH)
  return rng.permutation(others)[:_NUM_PUBLIC].astype(int).tolist()


def too_few(attack: config.AttackConfig, found: int) -> utterance.CorpusError:
  """What is said where fewer clients than asked can be attacked."""
  shortest = max(attack.min_seconds, attack.stretch_seconds)
  wanted = f'config.attack.num_victims={attack.num_victims}'
  if attack.victim:
    wanted = f'config.attack.victim={attack.victim!r}'
  if attack.num_aggregated > 1:
    wanted += f' times num_aggregated={attack.num_aggregated}'
  return utterance.CorpusError(
    f'{found} clients have config.attack.batch_size={attack.batch_size} '
    f'utterances of {shortest:g} to {attack.max_seconds:g} seconds '
    f'(min_seconds, stretch_seconds, max_seconds); want {wanted}.'
  )
