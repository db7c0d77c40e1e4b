"""A malicious server, as the job attacks: named, reported apart, and seen."""

import dataclasses
import json

import numpy as np
import pytest
import tiny_attack

from fedjax_asr import config, validation
from fedjax_asr.attacks import observation
from fedjax_asr.jobs import active_server, attack, attack_victims, summed_rounds


@pytest.fixture(scope='module', autouse=True)
def place(cached_throughout, tmp_path_factory):
  return tmp_path_factory.mktemp('active')


def _config(place, **fields):
  cfg = tiny_attack.fresh(place)
  cfg.attack = dataclasses.replace(
    cfg.attack, methods=(), server=config.Server.ACTIVE, num_victims=1, **fields
  )
  # As many thresholds as keep the windows of a digit apart.
  cfg.model.ds1.dense_sizes = (400, 40, 10)
  cfg.attack.illustrated = False
  return cfg


def test_an_active_server_reads_a_sum_and_says_that_it_is_one(
  place, tmp_path, capsys
):
  cfg = _config(place, num_aggregated=2)
  attack.run(cfg, tmp_path)
  records = json.loads((tmp_path / 'attack.json').read_text())
  assert len(records) == 2
  for record in records:
    assert record['method'] == 'imprint'
    assert record['ledger']['server'] == 'active'
    assert record['ledger']['prior'].startswith('public speech')
    assert record['is_certified']
    assert record['determined_snr_db'] > 40
  told = capsys.readouterr().out
  assert 'ACTIVE server, which chose the parameters, at a fresh' in told
  assert 'a client that looks at what it is sent: ALARM' in told


@pytest.mark.parametrize(
  ('fields', 'wanted'),
  [
    (
      {'methods': ('imprint',), 'server': config.Server.HONEST},
      r"config.attack.methods=\['imprint'\]; want attack.server=active",
    ),
    (
      {'methods': ('span',)},
      r"config.attack.methods=\['span'\]; want \(\) or \('imprint',\)",
    ),
    (
      {
        'server': config.Server.HONEST,
        'imprint': config.ImprintConfig(noise=0.1),
      },
      r'config.attack.imprint.noise=0.1; want 0.0 without attack.server=active',
    ),
  ],
)
def test_settings_that_do_not_go_together(place, fields, wanted):
  cfg = _config(place)
  cfg.attack = dataclasses.replace(cfg.attack, **fields)
  with pytest.raises(config.ConfigError, match=wanted):
    validation.validate(cfg)


def test_deepspeech_2_has_no_layer_for_it(place):
  cfg = _config(place)
  cfg.model = config.ModelConfig(architecture=config.Architecture.DS2)
  with pytest.raises(
    config.ConfigError, match=r'attack\.server=.active.; want'
  ):
    validation.validate(cfg)


def test_without_others_there_is_no_public_speech(place, tmp_path):
  cfg = _config(place, num_aggregated=tiny_attack.NUM_CLIENTS)
  attacked, victims = tiny_attack.attacked(cfg, tmp_path)
  with pytest.raises(config.UserError, match='all speakers are victims'):
    active_server.imprinted(attacked, cfg.attack, victims)


def _summed(place, **fields):
  cfg = tiny_attack.fresh(place)
  cfg.federated.client.batch_size = 1
  cfg.federated.client.local_steps = 1
  cfg.federated.server.learning_rate = 0.01
  cfg.federated.algorithm = config.AlgorithmName.FEDSGD
  cfg.attack = dataclasses.replace(
    cfg.attack, batch_size=0, num_aggregated=2, num_victims=1, **fields
  )
  return cfg


def test_rounds_of_sums_are_those_of_a_training(place, tmp_path):
  """Each what the job attacks of that round, of parameters that moved."""
  cfg = _summed(place)
  attacked, (first,) = tiny_attack.attacked(cfg, tmp_path)
  made = list(summed_rounds.rounds(attacked, cfg.attack, 3))
  assert made[0].victim.name == first.name
  assert observation.ledger(made[0].observed).server == 'honest'
  (alone,) = attack_victims.observations(attacked, cfg.attack, [first], None)
  for name in ('kernel', 'bias'):
    np.testing.assert_array_equal(
      made[0].observed.update['dense_0'][name], alone.update['dense_0'][name]
    )
  moved = [each.observed.params['dense_0']['kernel'] for each in made]
  expected = moved[0] - 0.01 * alone.update['dense_0']['kernel']
  np.testing.assert_allclose(moved[1], expected, rtol=1e-5, atol=1e-7)
  assert [each.observed.round for each in made] == [0, 1, 2]
  assert all(each.observed.treatment.num_clients == 2 for each in made)


@pytest.mark.parametrize(
  ('fields', 'wanted'),
  [
    ({'num_aggregated': 1}, 'num_aggregated=1; want the 2 of'),
    ({'batch_size': 1}, 'batch_size=1; want 0'),
    ({'victim': 's0000'}, "victim='s0000'; want ''"),
  ],
)
def test_what_is_no_round_of_the_training_is_said(
  place, tmp_path, fields, wanted
):
  cfg = _summed(place)
  attacked, _ = tiny_attack.attacked(cfg, tmp_path)
  asked = dataclasses.replace(cfg.attack, **fields)
  with pytest.raises(config.ConfigError, match=wanted):
    next(summed_rounds.rounds(attacked, asked, 1))
