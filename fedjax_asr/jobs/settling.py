"""What a config leaves to the corpus, once that is known."""

import dataclasses

from fedjax_asr import config, validation
from fedjax_asr.corpora import datasets
from fedjax_asr.federated import partition


def settled(cfg: config.Config, data: datasets.Datasets) -> config.Config:
  """The config with a number in place of each of `config.BY_CORPUS`.

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
  result = dataclasses.replace(
    cfg,
    data=dataclasses.replace(cfg.data, num_heldout_speakers=heldout),
    federated=partition.settled(cfg.federated, data.train.clients),
  )
  validation.validate(result)
  return result
