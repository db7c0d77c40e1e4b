"""Models of the sizes that configs/ ships for CPUs, and a little speech."""

import dataclasses
import functools
import itertools

import population
import pytest

from fedjax_asr import config
from fedjax_asr.corpora import dataset
from fedjax_asr.models import model
from fedjax_asr.presets import models

NUM_FEATURES = 80
SPOKEN = {
  's0': [('abc', 44), ('dd', 36)],
  's1': [('bead', 60), ('cab', 52)],
  's2': [('feed', 60), ('ha', 44), ('bag', 60), ('c', 36)],
  's3': [('gaff', 44), ('he', 44)],
}
CELL, NORM = config.Cell, config.Norm


def ds1(**fields) -> config.ModelConfig:
  cfg = models.ds1('tiny')
  cfg.ds1 = dataclasses.replace(cfg.ds1, **fields)
  return cfg


def ds2(**fields) -> config.ModelConfig:
  cfg = models.ds2('tiny')
  cfg.ds2 = dataclasses.replace(cfg.ds2, **fields)
  return cfg


DEFAULTS = {'ds1': ds1(), 'ds2': ds2()}
OTHERS = {
  **{
    f'ds1_{cell}': ds1(cell=cell) for cell in CELL if cell is not ds1().ds1.cell
  },
  **{
    f'ds2_{cell}_{norm}': ds2(cell=cell, norm=norm)
    for cell, norm in itertools.product(CELL, NORM)
    if (cell, norm) != (CELL.GRU, NORM.LAYER)
  },
  'ds1_one_way': ds1(bidirectional=False),
  'ds2_one_way': ds2(bidirectional=False),
}
MODELS = DEFAULTS | OTHERS
# Each cell and each norm, with the default of DS2, at least once.
QUICK = ('ds1_lstm', 'ds2_rnn_batch', 'ds2_lstm_group', 'ds2_gru_none')


def quick(cases, is_quick):
  """Parameters of a test; those that are not quick are marked slow."""
  return [
    pytest.param(*case, marks=[] if is_quick(*case) else pytest.mark.slow)
    for case in cases
  ]


def marked(names):
  """`quick` of models: the defaults, and QUICK ones."""
  return quick(
    [(name,) for name in names],
    lambda name: name in DEFAULTS or name in QUICK,
  )


@functools.cache
def acoustic(name: str) -> model.Model:
  return model.acoustic(MODELS[name], NUM_FEATURES)


@functools.cache
def examples() -> dataset.Dataset:
  """Four speakers with one or two batches of two; noise of speech's width.

  Batches are of two lengths, so that what compiles each operation for its
  shapes compiles few.
  """
  spoken = [
    population.Spoken(speaker, text, num_frames)
    for speaker, said in SPOKEN.items()
    for text, num_frames in said
  ]
  return population.examples(spoken, NUM_FEATURES)
