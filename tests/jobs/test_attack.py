"""What the job `attack` leaves, and that it never sees the victim's speech."""

import json

import h5py
import jax
import numpy as np
import pytest
import scipy.io.wavfile
import tiny_attack
import tiny_run

from fedjax_asr import config, run_files
from fedjax_asr.attacks import observation
from fedjax_asr.jobs import (
  attack,
  attack_methods,
  attack_results,
  attack_sound,
  attack_victims,
)
from fedjax_asr.speech import audio, inversion
from fedjax_asr.speech import features as features_lib


@pytest.fixture(scope='module', autouse=True)
def place(cached_throughout, tmp_path_factory):
  return tmp_path_factory.mktemp('attack')


@pytest.fixture(scope='module')
def run(place):
  return tiny_attack.write_run(place)


@pytest.fixture(scope='module')
def finished(run, place):
  """(directory, records) of two clients of a run's first round."""
  cfg = tiny_attack.of_run(run)
  cfg.attack.round = 1
  return place / 'finished', tiny_attack.records(cfg, place / 'finished')


def test_run_at_a_round_is_attacked_exactly(finished):
  _, records = finished
  assert len(records) == 2
  assert len({record['victim'] for record in records}) == 2
  for record in records:
    assert record['round'] == record['ledger']['round'] == 1
    assert record['is_certified']
    assert record['snr_db'] > 60
    assert record['num_frames_found'] == record['num_frames'] > 10


def test_record_has_all_that_is_asked_of_it(finished):
  wanted = {
    'utterance': str,
    'method': str,
    'ledger': dict,
    'snr_db': float,
    'shape_snr_db': float,
    'mae': float,
    'correlation': float,
    'best_lag_correlation': float,
    'lag_frames': int,
    'mcd_db': float,
    'num_frames': int,
    'num_frames_found': int,
    'cer': float,
    'wer': float,
    'seconds': float,
    'certificate': dict,
  }
  for record in finished[1]:
    assert {name: type(record[name]) for name in wanted} == wanted
    assert record['ledger']['knows_transcript'] is False
    assert record['ledger']['knows_length'] is False
    assert record['ledger']['layers'] == ['dense_0/kernel', 'dense_0/bias']
    # The alignment, where it is to be had, takes the kernel too.
    assert 'output/bias' in record['ledger']['label_layers']
    assert record['ledger']['told'] == ['num_utterances', 'speech']


def test_features_and_sound_lie_beside_the_scores(finished):
  path, records = finished
  with h5py.File(path / 'reconstructions.h5') as file:
    for record in records:
      original = np.asarray(file[f'{record["utterance"]}/original'])
      found = np.asarray(file[f'{record["utterance"]}/span'])
      assert original.shape == (record['num_frames'], 8)
      assert np.abs(found - original).mean() == pytest.approx(record['mae'])
  for record in records:
    names = {
      f'{record["utterance"]}_{name}'
      for name in ('recording', 'original_resynthesised', 'span_resynthesised')
    }
    files = (path / 'audio').glob(f'{record["utterance"]}_*.wav')
    assert {file.stem for file in files} == names
    for name in names:
      file = path / 'audio' / f'{name}.wav'
      rate, samples = scipy.io.wavfile.read(file)
      assert rate == 16000
      # A window of 50 ms for each frame.
      assert len(samples) == pytest.approx(800 * record['num_frames'], abs=801)
      assert np.abs(samples).max() > 0
    figure = f'reconstruction_{record["utterance"]}_span.png'
    assert (path / 'figures' / figure).stat().st_size > 0
  assert (path / 'figures' / 'reconstruction_scores.png').is_file()
  assert (path / 'figures' / 'singular_values.png').is_file()


def test_the_rank_that_a_method_went_by_is_kept(finished):
  path, records = finished
  spectra = json.loads((path / 'spectra.json').read_text())
  assert len(spectra) == 2
  for spectrum, record in zip(spectra, records, strict=True):
    assert spectrum['victim'] == record['victim']
    assert (spectrum['method'], spectrum['layer']) == ('span', 'dense_0/kernel')
    assert spectrum['rank'] == record['certificate']['rank']
    kept = dict(zip(spectrum['places'], spectrum['values'], strict=True))
    last = kept[spectrum['rank']]
    gap = record['certificate']['spectrum_gap']
    assert last / spectrum['noise'] == pytest.approx(gap, rel=1e-2)
    assert kept[spectrum['rank'] + 1] <= spectrum['noise'] * 1.001


def test_recording_of_a_stretch_is_what_its_features_are_of(run, tmp_path):
  cfg = tiny_attack.of_run(run)
  cfg.attack.num_victims = 1
  cfg.attack.stretch_seconds = 0.5
  (victim,), _ = tiny_attack.observed(cfg, tmp_path)
  (item,) = victim.spoken
  features = tiny_attack.model_config(tmp_path).features
  files = run_files.RunFiles(tmp_path)
  attack_sound.write(files, item, {}, features, None)
  (file,) = files.audio.iterdir()
  assert file.name == f'{item.utterance}_recording.wav'
  samples = audio.read(str(file), features.sample_rate)
  found = features_lib.extract(samples, features)
  # But for the rounding to 16 bits.
  np.testing.assert_allclose(found, item.features, atol=0.05)


def test_attackers_sound_goes_by_public_statistics(place, tmp_path):
  """The victim's own, which it does not have, are a file of their own."""
  cfg = tiny_attack.fresh(place)
  cfg.features.normalization = config.Normalization.UTTERANCE
  run, victims = tiny_attack.attacked(cfg, tmp_path)
  item = victims[0].spoken[0]
  public = attack_victims.public_units(run, victims)
  speakers = {each.speaker for victim in victims for each in victim.spoken}
  raw = np.concatenate(
    [
      run.examples.raw(index)
      for index, speaker in enumerate(run.examples.speakers)
      if speaker not in speakers
    ]
  )
  np.testing.assert_allclose(public.mean, raw.mean(0), rtol=1e-4)
  np.testing.assert_allclose(public.std, raw.std(0), rtol=1e-4)
  arrays = {attack_sound.ORIGINAL: item.features, 'span': item.features}
  files = run_files.RunFiles(tmp_path)
  attack_sound.write(files, item, arrays, cfg.features, public)
  samples = {
    file.name.removeprefix(item.utterance): scipy.io.wavfile.read(file)[1]
    for file in files.audio.glob('*.wav')
  }
  own = inversion.waveform(item.features, cfg.features, item.statistics)
  others = inversion.waveform(item.features, cfg.features, public)
  assert np.abs(own - others).max() > 0.1
  for name, wanted in (
    ('_original_resynthesised.wav', own),
    ('_span_resynthesised.wav', others),
    ('_span_resynthesised_victim_statistics.wav', own),
  ):
    found = samples.pop(name) / 2**15
    np.testing.assert_allclose(found, wanted, atol=1e-4)
  assert list(samples) == ['_recording.wav']


def test_public_units_of_a_run_are_its_own_where_they_normalise_all(place):
  cfg = tiny_attack.fresh(place)
  run, victims = tiny_attack.attacked(cfg, place / 'none')
  assert attack_victims.public_units(run, victims) is None
  cfg.features.normalization = config.Normalization.GLOBAL
  run, victims = tiny_attack.attacked(cfg, place / 'none')
  assert attack_victims.public_units(run, victims) is run.saved.statistics


def test_speech_replaced_by_nan_after_observation_changes_nothing(run):
  """Attacks see the observation alone: nothing of the truth is left in it."""
  cfg = tiny_attack.of_run(run)
  cfg.attack.methods = ('span', 'hessian_free')
  cfg.attack.tries_all = True
  cfg.attack.knows_transcript = cfg.attack.knows_length = True
  cfg.attack.hessian_free.max_iterations = 3
  cfg.attack.hessian_free.num_directions = 4
  cfg.attack.num_victims = 1
  (victim,), (observed,) = tiny_attack.observed(cfg, run / 'attack')

  def reconstructions():
    made = attack_methods.attempts(
      observed, cfg.attack, jax.random.key(0), lambda _: None, run / 'none.npz'
    )
    assert [each.refused for each in made] == ['', '']
    return [each.found.features for each in made if each.found]

  before = reconstructions()
  for item in victim.spoken:
    item.features.fill(np.nan)
  after = reconstructions()
  assert all(np.isnan(item.features).all() for item in victim.spoken)
  jax.tree.map(np.testing.assert_array_equal, after, before)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after))


def test_mean_of_public_speech_is_scored_as_a_guess(run):
  """What a reconstruction has to beat before it has found anything."""
  cfg = tiny_attack.of_run(run)
  cfg.attack.num_victims = 1
  (victim,), (observed,) = tiny_attack.observed(cfg, run / 'attack')
  attempt = attack_methods.Attempt(config.AttackMethod.SPAN, None, 'none', 0.0)
  (record,) = attack_results.records(victim, observed, [attempt], None)
  features, mean = victim.spoken[0].features, observed.declared.speech.mean
  ratio = np.square(features).sum() / np.square(features - mean).sum()
  assert record['public_snr_db'] == pytest.approx(
    10 * np.log10(ratio), abs=1e-3
  )
  silent = observed._replace(declared=observed.declared._replace(speech=None))
  (record,) = attack_results.records(victim, silent, [attempt], None)
  assert record['public_snr_db'] is None


def test_an_utterance_of_a_batch_that_was_not_found_is_not_certified(run):
  cfg = tiny_attack.of_run(run)
  cfg.attack.num_victims, cfg.attack.batch_size = 1, 2
  (victim,), (observed,) = tiny_attack.observed(cfg, run / 'attack')
  found = observation.Reconstruction(
    features=(victim.spoken[1].features,),
    certificate={},
    is_certified=True,
    ledger=observation.ledger(observed),
  )
  attempt = attack_methods.Attempt(config.AttackMethod.SPAN, found, '', 0.0)
  missing, there = attack_results.records(victim, observed, [attempt], None)
  assert not missing['is_certified']
  assert missing['num_frames_found'] == 0
  assert there['is_certified']
  assert there['snr_db'] == 200


def test_settings_of_the_federation_are_in_the_ledger(place, tmp_path):
  cfg = tiny_attack.fresh(place)
  cfg.attack.num_victims, cfg.attack.num_aggregated = 1, 2
  cfg.federated.weighting = config.Weighting.UNIFORM
  cfg.federated.privacy = config.PrivacyConfig(
    clip_norm=0.5, local_noise_multiplier=0.1, central_noise_multiplier=0.2
  )
  cfg.federated.compression = config.CompressionConfig(
    method=config.Compression.TOP_K, top_fraction=0.5
  )
  _, (observed,) = tiny_attack.observed(cfg, tmp_path)
  assert observed.treatment == observation.Treatment(
    clip_norm=0.5,
    local_noise_multiplier=0.1,
    central_noise_multiplier=0.2,
    compression='top_k 0.5',
    num_clients=2,
  )


def test_what_a_client_withholds_is_not_observed(run, tmp_path):
  cfg = tiny_attack.of_run(run)
  cfg.attack.methods = ('hessian_free',)
  cfg.attack.knows_transcript = cfg.attack.knows_length = True
  cfg.attack.hessian_free.max_iterations = 1
  cfg.attack.withheld = ('output/bias',)
  cfg.attack.num_victims = 1
  (record,) = tiny_attack.records(cfg, tmp_path)
  assert record['ledger']['withheld'] == ['output/bias']
  assert record['ledger']['layers'] == ['output/kernel']
  assert record['ledger']['label_layers'] == ['output/kernel']


def test_next_method_is_tried_where_one_refuses(run, tmp_path):
  """Matching wants a transcript; span is certified, so the third rests."""
  cfg = tiny_attack.of_run(run)
  cfg.attack.methods = ('gradient_matching', 'span', 'seed_and_grow')
  cfg.attack.num_victims = 1
  refused, found = tiny_attack.records(cfg, tmp_path)
  assert (refused['method'], found['method']) == ('gradient_matching', 'span')
  assert refused['refused'] == 'the transcript is not declared.'
  assert refused['certificate'] == {}
  # What the method would have had, and nothing that it used.
  assert refused['ledger'] == found['ledger'] | {'layers': []}
  assert refused['num_frames_found'] == 0
  assert refused['num_frames'] == found['num_frames']
  for name in ('snr_db', 'mae', 'correlation', 'lag_frames', 'heard', 'cer'):
    assert refused[name] is None
  assert found['is_certified']
  with h5py.File(tmp_path / 'reconstructions.h5') as file:
    assert set(file[found['utterance']]) == {'original', 'span'}


def test_all_methods_are_tried_where_that_is_asked(run, tmp_path, capsys):
  cfg = tiny_attack.of_run(run)
  cfg.attack.methods = ('span', 'gradient_matching')
  cfg.attack.tries_all = True
  cfg.attack.num_victims = 1
  methods = [each['method'] for each in tiny_attack.records(cfg, tmp_path)]
  assert methods == ['span', 'gradient_matching']
  output = capsys.readouterr().out
  assert 'span: 1 of 1 reconstructed, 1 certified' in output
  assert 'gradient_matching: 0 of 1 reconstructed' in output


def test_methods_are_the_architectures_and_recorded(run, tmp_path, capsys):
  cfg = tiny_attack.of_run(run)
  cfg.attack.methods = ()
  cfg.attack.num_victims = 1
  (record,) = tiny_attack.records(cfg, tmp_path)
  assert record['method'] == 'span'
  written = json.loads((tmp_path / 'config.json').read_text())
  assert written['attack']['methods'] == ['span', 'seed_and_grow']
  assert 'methods span, seed_and_grow' in capsys.readouterr().out
  # The same, named: nothing has changed, and nothing is left to do.
  cfg.attack.methods = ('span', 'seed_and_grow')
  assert tiny_attack.records(cfg, tmp_path) == [record]


def test_heldout_speech_is_attacked_by_speaker(run, tmp_path):
  cfg = tiny_attack.of_run(run)
  cfg.attack.subset = config.Subset.HELDOUT_SPEAKERS
  cfg.attack.num_victims = 1
  (heldout,), _ = tiny_attack.observed(cfg, tmp_path)
  cfg.attack.subset = config.Subset.TRAIN
  cfg.attack.num_victims = tiny_attack.NUM_CLIENTS
  trained, _ = tiny_attack.observed(cfg, tmp_path)
  assert heldout.name not in {victim.name for victim in trained}


def test_update_without_output_layer_is_scored_without_labels(
  run, tmp_path, monkeypatch
):
  """As when only the largest entries are sent."""
  observations = attack_victims.observations

  def without_output(*arguments):
    for observed in observations(*arguments):
      zeros = jax.tree.map(np.zeros_like, observed.update['output'])
      update = {**observed.update, 'output': zeros}
      yield observed._replace(update=update)

  monkeypatch.setattr(attack_victims, 'observations', without_output)
  cfg = tiny_attack.of_run(run)
  cfg.attack.num_victims = 1
  (record,) = tiny_attack.records(cfg, tmp_path)
  assert record['is_certified']
  assert record['labels'] == {}


def test_what_was_refused_leaves_no_sound_and_its_reason_once(
  run, tmp_path, capsys
):
  cfg = tiny_attack.of_run(run)
  cfg.attack.methods = ('gradient_matching',)
  records = tiny_attack.records(cfg, tmp_path)
  assert [record['snr_db'] for record in records] == [None, None]
  assert not (tmp_path / 'audio').exists()
  output = capsys.readouterr().out
  assert output.count(records[0]['refused']) == 1
  assert 'gradient_matching: refused, for a reason given above' in output


def test_summary_is_by_method():
  record = {'method': 'span', 'refused': '', 'is_certified': True}
  record |= {'is_whole': True, 'num_frames_found': 9}
  unsure = {'is_certified': False, 'is_whole': False}
  refused = unsure | {'refused': 'why', 'num_frames_found': 0}
  refused |= {'snr_db': None, 'seconds': 3.0}
  records = [
    record | {'snr_db': 80.0, 'seconds': 1.0},
    record | {'snr_db': 90.0, 'seconds': 4.0} | unsure,
    record | {'snr_db': 70.0, 'seconds': 2.0, 'is_whole': False},
    record | refused,
    record | refused | {'method': 'demixing'},
  ]
  assert attack.summary(records) == [
    'span: 3 of 4 reconstructed, 2 certified, 1 of them whole; medians of all '
    '4: SNR 75.0 dB, 2.5 s',
    'demixing: 0 of 1 reconstructed',
  ]


@pytest.mark.parametrize(
  ('is_whole', 'said'),
  [(True, ' certified, '), (False, ' certified in part (70.0 dB of it)')],
)
def test_a_beginning_is_not_called_the_utterance(is_whole, said):
  record = {'utterance': 'a', 'method': 'span', 'refused': '', 'seconds': 1.0}
  record |= {'snr_db': 2.0, 'correlation': 0.6, 'is_certified': True}
  record |= {'num_frames': 343, 'num_frames_found': 117}
  record |= {'determined_snr_db': 70.0, 'certificate': {}}
  assert said in attack._line(record | {'is_whole': is_whole}, set())


def test_precomputed_features_have_no_sound(place, tmp_path):
  rng = np.random.default_rng(0)
  lines = []
  for name in ('a', 'b', 'c'):
    values = rng.normal(0.0, 2.0, (20, 8)).astype(np.float32)
    np.save(tmp_path / f'{name}.npy', values)
    lines.append({'features_filepath': f'{name}.npy', 'text': 'six'})
    lines[-1]['speaker'] = name
  tiny_run.write_manifest(tmp_path / 'manifest.jsonl', lines)
  cfg = tiny_attack.fresh(place)
  cfg.data.corpus = config.Corpus.MANIFEST
  cfg.data.path = str(tmp_path / 'manifest.jsonl')
  cfg.features.kind = config.FeatureKind.PRECOMPUTED
  cfg.features.normalization = config.Normalization.GLOBAL
  cfg.attack.num_victims = 1
  (record,) = tiny_attack.records(cfg, tmp_path / 'out')
  assert record['is_certified']
  assert record['mcd_db'] is None
  assert not (tmp_path / 'out' / 'audio').exists()


def test_fresh_model_sees_globally_normalised_speech(place):
  """By the statistics of what the run would train on: all three speakers."""
  cfg = tiny_attack.fresh(place)
  raw, _ = tiny_attack.attacked(cfg, place / 'none')
  cfg.features.normalization = config.Normalization.GLOBAL
  run, victims = tiny_attack.attacked(cfg, place / 'none')
  frames = [raw.examples.raw(index) for index in range(len(raw.examples))]
  mean, std = np.concatenate(frames).mean(0), np.concatenate(frames).std(0)
  for item in [item for victim in victims for item in victim.spoken]:
    raw_frames = frames[list(run.examples.ids).index(item.utterance)]
    np.testing.assert_allclose(
      item.features, (raw_frames - mean) / std, rtol=1e-3, atol=1e-3
    )
    assert item.statistics is run.saved.statistics
