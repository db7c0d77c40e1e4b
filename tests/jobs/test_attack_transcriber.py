"""Who says what is heard in a reconstruction."""

import jax.numpy as jnp
import numpy as np
import pytest
import tiny_attack

from fedjax_asr import config, main, saved_run
from fedjax_asr.attacks import observation
from fedjax_asr.decoding import text_decoder
from fedjax_asr.jobs import (
  attack_methods,
  attack_results,
  attack_transcriber,
)
from fedjax_asr.speech import alphabets
from fedjax_asr.speech import features as features_lib


@pytest.fixture(scope='module', autouse=True)
def place(cached_throughout, tmp_path_factory):
  return tmp_path_factory.mktemp('transcriber')


@pytest.fixture(scope='module')
def run(place):
  return tiny_attack.write_run(place)


def _attack(place):
  cfg = tiny_attack.fresh(place)
  cfg.attack.num_victims = 1
  return cfg


def test_untrained_victim_has_no_say_in_what_is_heard(place, tmp_path):
  (record,) = tiny_attack.records(_attack(place), tmp_path)
  assert record['is_certified']
  for name in ('heard', 'cer', 'wer', 'original_heard', 'original_wer'):
    assert record[name] is None
  assert record['reference']


def test_run_of_the_users_transcribes(run, place, tmp_path):
  cfg = _attack(place)
  cfg.attack.transcriber = str(run)
  (record,) = tiny_attack.records(cfg, tmp_path)
  (victim,), _ = tiny_attack.observed(cfg, tmp_path)
  saved = saved_run.load(run, 'attack.transcriber')
  features = victim.spoken[0].features
  logits, lengths, _ = saved.acoustic.apply(
    saved.params,
    saved.norm_state,
    jnp.asarray(features[None]),
    jnp.asarray([len(features)]),
    train=False,
  )
  decoder = text_decoder.chosen(config.DecodeConfig(), alphabets.ENGLISH)
  (wanted,) = decoder(np.asarray(logits), np.asarray(lengths))
  assert wanted
  assert record['original_heard'] == wanted
  # The reconstruction is exact, so its transcript is the original's.
  assert record['heard'] == wanted
  assert record['wer'] == record['original_wer']


def test_transcriber_hears_its_own_units(run):
  """Whatever the victim's features were normalised by."""
  saved = saved_run.load(run, 'attack.transcriber')
  raw = np.random.default_rng(0).normal(3.0, 20.0, (40, 8)).astype(np.float32)
  none, utterance = config.Normalization.NONE, config.Normalization.UTTERANCE
  statistics = features_lib.statistics([raw])
  normal = features_lib.normalize(raw, utterance)
  plain = attack_transcriber.Transcriber(saved, none)(raw, None)
  assert plain
  restored = attack_transcriber.Transcriber(saved, utterance)
  assert restored(normal, statistics) == plain


def test_attackers_transcriber_undoes_normalisation_by_public_statistics(run):
  """Only where there is one to undo; the original has the victim's own."""
  saved = saved_run.load(run, 'attack.transcriber')
  kinds = config.Normalization
  takes = {
    kind: attack_transcriber.Transcriber(saved, kind).takes_statistics
    for kind in kinds
    # Attacks refuse features that are normalised by what came before.
    if kind is not kinds.RUNNING
  }
  # The run was trained on features as they are.
  assert takes == {
    kinds.NONE: False,
    kinds.UTTERANCE: True,
    kinds.GLOBAL: True,
  }


@pytest.mark.parametrize('is_public', [True, False])
def test_what_is_heard_says_by_which_statistics(
  run, place, tmp_path, is_public
):
  cfg = _attack(place)
  cfg.features.normalization = config.Normalization.UTTERANCE
  cfg.attack.transcriber = str(run)
  (victim,), (observed,) = tiny_attack.observed(cfg, tmp_path)
  (item,) = victim.spoken
  saved = saved_run.load(run, 'attack.transcriber')
  transcriber = attack_transcriber.Transcriber(
    saved, config.Normalization.UTTERANCE
  )
  public = features_lib.Statistics(
    item.statistics.mean + 40.0, 3 * item.statistics.std
  )
  attempt = attack_methods.Attempt(
    config.AttackMethod.SPAN,
    observation.Reconstruction(
      (item.features,), {}, False, observation.ledger(observed)
    ),
    '',
    0.0,
  )
  (record,) = attack_results.records(
    victim, observed, [attempt], transcriber, public if is_public else None
  )
  assert record['heard_statistics'] == 'public'
  own = transcriber(item.features, item.statistics)
  assert record['original_heard'] == own
  others = transcriber(item.features, public)
  assert others != own
  assert record['heard'] == (others if is_public else None)


def test_transcriber_of_other_features_is_one_line(
  run, place, tmp_path, capsys
):
  source = tiny_attack.write_config(place)
  status = main.main(
    [
      'fedjax_asr',
      source,
      f'--workdir={tmp_path / "out"}',
      f'--config.attack.transcriber={run}',
      '--config.features.num_mels=24',
    ]
  )
  (line,) = capsys.readouterr().err.splitlines()
  assert status == 2
  assert line.startswith('error: ')
  assert 'was trained on features.num_mels=20; want a run on the' in line
  assert not (tmp_path / 'out').exists()
