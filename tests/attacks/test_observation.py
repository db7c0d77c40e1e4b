"""What is seen of a client, and under which assumptions."""

import jax
import numpy as np
import pytest
import tiny_victim

from fedjax_asr import config
from fedjax_asr.attacks import observation


def _observed(**changed):
  made, _ = tiny_victim.unsent()
  made = made._replace(
    update=jax.tree.map(np.ones_like, jax.device_get(made.params))
  )
  return made._replace(**changed)


def _withheld(*names):
  made = _observed()
  return made._replace(update=observation.without(made.update, names))


def test_equal_ledgers_are_of_equal_assumptions():
  """Whatever was done to an update, sent with it or told is in it."""
  plain = observation.ledger(_observed())
  assert plain == observation.ledger(_observed())
  treated = [
    _observed(treatment=observation.Treatment(**{name: value}))
    for name, value in (
      ('clip_norm', 0.5),
      ('local_noise_multiplier', 0.1),
      ('central_noise_multiplier', 0.1),
      ('compression', 'top_k 0.1'),
      ('num_clients', 2),
    )
  ]
  others = [
    *treated,
    _observed(client=config.ClientConfig(clip_norm=1.0)),
    _observed(precision=config.Precision.TF32),
    _observed(norm_update={'a': np.zeros(2)}),
    _observed(declared=observation.Declared(num_utterances=1)),
    _withheld('dense_0/bias'),
  ]
  ledgers = [plain, *map(observation.ledger, others)]
  assert len(set(ledgers)) == len(ledgers)
  assert observation.ledger(_observed(), uses_norm_averages=True) != plain


def test_ledger_says_what_was_told_whether_used_or_not():
  declared = observation.Declared(labels=(np.array([1]),), num_utterances=1)
  ledger = observation.ledger(_observed(declared=declared))
  assert ledger.told == ('labels', 'num_utterances')
  assert not ledger.knows_transcript
  assert not ledger.knows_num_utterances


def test_withheld_parameters_are_absent_and_named():
  made = _withheld('dense_0/bias', 'output/kernel')
  assert set(made.update['dense_0']) == {'kernel'}
  assert set(made.update['output']) == {'bias'}
  observation.check(made)
  ledger = observation.ledger(made)
  assert ledger.withheld == ('dense_0/bias', 'output/kernel')
  whole = _observed()
  assert 'bias' in whole.update['dense_0']


def test_absent_and_zero_updates_are_no_evidence():
  made = _withheld('dense_0/bias')
  made.update['dense_1']['bias'] = np.zeros_like(made.update['dense_1']['bias'])
  for name, why in (
    ('dense_0/bias', 'withheld'),
    ('dense_1/bias', 'zero throughout'),
  ):
    assert observation.evidence(made, name) is None
    with pytest.raises(observation.Refused, match=f'{name}: .* is {why}'):
      observation.needed(made, name)
  kernel = observation.needed(made, 'dense_0/kernel')
  np.testing.assert_array_equal(kernel, made.update['dense_0']['kernel'])
  names = observation.telling(made, ('dense_0', 'dense_1'))
  assert names == ('dense_0/kernel', 'dense_1/kernel')
  with pytest.raises(observation.Refused, match='dense_0/bias'):
    observation.telling(
      _withheld('dense_0/bias', 'dense_0/kernel'), ('dense_0',)
    )


def test_parameter_that_is_not_there_cannot_be_withheld():
  with pytest.raises(
    observation.ObservationError, match=r"'dense_0/bais'.*: dense_0/bias"
  ):
    _withheld('dense_0/bais')


def test_update_of_another_shape_or_of_nothing_is_no_update():
  made = _observed()
  made.update['output']['bias'] = np.ones(3, np.float32)
  with pytest.raises(observation.ObservationError, match=r'of shape \(3,\)'):
    observation.check(made)
  with pytest.raises(observation.ObservationError, match='nothing to attack'):
    observation.check(_observed(update={}))
  strange = _observed(update={'strange': np.ones(2)})
  with pytest.raises(observation.ObservationError, match='not in the model'):
    observation.check(strange)
