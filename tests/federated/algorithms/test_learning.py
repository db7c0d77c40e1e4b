"""Every algorithm trains a small recogniser, through the run's own round."""

import population
import pytest

from fedjax_asr import config

MOMENTUM = {
  'optimizer': config.ClientOptimizer.MOMENTUM,
  'learning_rate': 0.05,
  'momentum': 0.5,
}
FIELDS = {
  'fedprox': {'fedprox': config.FedProxConfig(mu=0.1)},
  'scaffold': {},
  'fednova': {},
  'mimelite': {'client': MOMENTUM},
  'qffl': {'weighting': config.Weighting.UNIFORM},
  'agnostic': {'weighting': config.Weighting.UNIFORM},
  'loss_weighted': {},
  'wer_weighted': {},
  'feddyn': {'weighting': config.Weighting.UNIFORM},
}


# One of each kind: with client memory, with the server's, decoding in a round.
QUICK = 'scaffold', 'mimelite', 'wer_weighted'


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in FIELDS
  ],
)
def test_a_recogniser_is_trained(name):
  fields = dict(FIELDS[name])
  # Two steps compile in half the time of all.
  client = {'learning_rate': 0.02, 'local_steps': 2} | fields.pop('client', {})
  settings = population.federated(
    client,
    algorithm=config.AlgorithmName(name),
    cohort_size=7,
    block_size=7,
    **fields,
  )
  first, *_, last = population.losses(settings, 4)
  assert last < 0.9 * first
