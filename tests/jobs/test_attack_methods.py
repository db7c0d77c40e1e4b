"""Which methods are tried on which architecture."""

import contextlib

import pytest

from fedjax_asr import config
from fedjax_asr.jobs import attack_methods

DS1, DS2 = config.Architecture.DS1, config.Architecture.DS2


@pytest.mark.parametrize(
  ('architecture', 'methods'),
  [(DS1, ('span', 'seed_and_grow')), (DS2, ('demixing',))],
)
def test_an_architecture_has_methods_of_its_own(architecture, methods):
  found = attack_methods.settled(config.AttackConfig(), architecture)
  assert found.methods == methods
  # Once they are there, they stay.
  assert attack_methods.settled(found, architecture) == found


@pytest.mark.parametrize('method', config.AttackMethod)
def test_a_method_is_of_one_architecture_or_for_both(method):
  attack = config.AttackConfig(methods=(method.value,))
  suited = []
  for architecture in config.Architecture:
    with contextlib.suppress(config.ConfigError):
      suited.append(attack_methods.settled(attack, architecture))
  is_general = method in (
    config.AttackMethod.GRADIENT_MATCHING,
    config.AttackMethod.HESSIAN_FREE,
  )
  assert suited == [attack] * (2 if is_general else 1)


def test_what_may_be_named_instead_is_said():
  attack = config.AttackConfig(methods=('span',))
  with pytest.raises(
    config.ConfigError,
    match=r'span is for ds1, the model is ds2; want \(\) or some of demixing, '
    r'span_descent, gradient_matching, hessian_free\.$',
  ):
    attack_methods.settled(attack, DS2)
