"""What a config leaves to the corpus, once that is known."""

import dataclasses

from fedjax_asr import config, validation
from fedjax_asr.corpora import datasets
from fedjax_asr.federated import partition, sampling


def settled(cfg: config.Config, data: datasets.Datasets) -> config.Config:
  """The config with a number in place of each of `config.open_fields`.

  A function of the config and the corpus; the same object where nothing was
  left open.

  Raises:
    ConfigError: together with the numbers found, the config cannot work.
  """
  if not config.open_fields(cfg):
    return cfg
  heldout = cfg.data.num_heldout_speakers
  if heldout < 0:
    heldout = data.num_heldout_speakers
  federated = partition.settled(cfg.federated, data.train.clients)
  num_clients = partition.num_clients(federated, data.train.clients)
  result = dataclasses.replace(
    cfg,
    data=dataclasses.replace(cfg.data, num_heldout_speakers=heldout),
    federated=_with_noise(federated, num_clients),
  )
  validation.validate(result)
  return result


def _with_noise(
  federated: config.FederatedConfig, num_clients: int
) -> config.FederatedConfig:
  """With as much as `federated.privacy.target_epsilon` takes, if it is set."""
  privacy = federated.privacy
  if not privacy.target_epsilon or privacy.central_noise_multiplier:
    return federated
  # Not on top: it takes a second to import, and most runs do without.
  from fedjax_asr.federated import accountant

  sampling.check(federated, num_clients)
  found = accountant.multiplier_of_target(federated, num_clients)
  privacy = dataclasses.replace(privacy, central_noise_multiplier=found)
  return dataclasses.replace(federated, privacy=privacy)
