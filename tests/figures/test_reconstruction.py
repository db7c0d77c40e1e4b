import json

import h5py
import matplotlib.image
import numpy as np
import pytest

from fedjax_asr import config, run_error
from fedjax_asr.attacks.measure import score_summary
from fedjax_asr.figures import (
  attack_gallery,
  attack_scores,
  certificate_text,
  drawn_attack,
  feature_axes,
  reconstruction,
  style,
)
from fedjax_asr.speech import features

_LEDGER = {
  'knows_transcript': False,
  'knows_length': False,
  'knows_num_utterances': False,
  'layers': ['dense_0/kernel'],
  'prior': '',
}


def _record(method='span', **changed):
  return {
    'utterance': 'a/b 1',
    'round': 0,
    'method': method,
    'ledger': _LEDGER,
    'refused': '',
    'is_certified': True,
    'num_frames': 30,
    'num_frames_found': 30,
    'snr_db': 20.0,
    'mae': 0.01,
    'correlation': 0.5,
    'best_lag_correlation': 0.9,
    'lag_frames': 3,
  } | changed


def _write(path, records, values):
  (path / 'attack.json').write_text(json.dumps(records))
  with h5py.File(path / 'reconstructions.h5', 'w') as file:
    for utterance, datasets in values.items():
      for name, value in datasets.items():
        file[f'{utterance}/{name}'] = np.asarray(value, np.float32)


def _speech(frames=30):
  return np.random.default_rng(0).normal(size=(frames, 8))


def _drawn(path):
  """Whether each pixel of a figure is neither page nor edge."""
  return matplotlib.image.imread(path)[..., 3] > 0.99


@pytest.fixture
def coarse(monkeypatch):
  """Fewer pixels, for tests that do not ask how many."""
  monkeypatch.setattr(style, 'DPI', 100)


def test_figures_are_transparent_pngs_of_300_dpi_named_for_what_they_show(
  tmp_path,
):
  x = _speech()
  values = {'a/b 1': {'original': x, 'span': x, 'seed_and_grow': x[:20]}}
  records = [_record(), _record('seed_and_grow')]
  _write(tmp_path, records, values)
  written = attack_gallery.plot(tmp_path)
  assert [path.name for path in written] == [
    'reconstruction_a_b_1_span.png',
    'reconstruction_a_b_1_seed_and_grow.png',
    'reconstruction_scores.png',
  ]
  for path in written:
    assert path.parent == tmp_path / 'figures'
    image = matplotlib.image.imread(path)
    assert image.shape[1] >= style.WIDTH * style.DPI
    assert image[0, 0, 3] == 0


def _comparison(original, found, cfg=None, **changed):
  """Panels of original, reconstruction and error."""
  record = _record(**changed)
  return reconstruction._comparison(record, original, found, cfg).axes[:3]


def _pixels(axes):
  return np.asarray(axes.images[0].get_array()).T


def test_errors_are_decibels_of_the_originals_effective_value():
  x = _speech(100) * np.arange(1, 9)
  rms = np.sqrt(np.mean(x**2))
  wrong = x.copy()
  wrong[10:20, 3] += 5 * rms
  wrong[10:20, 6] += 2e-4 * rms
  *_, axes = _comparison(x, wrong)
  error = _pixels(axes)
  assert error.shape == x.shape
  np.testing.assert_allclose(error[10:20, 3], 20 * np.log10(5))
  np.testing.assert_allclose(error[10:20, 6], 20 * np.log10(2e-4))
  # What is exact is under the least of the colours, and not minus infinity.
  low, high = axes.images[0].get_clim()
  assert np.delete(error, (3, 6), 1).max() < low
  assert (low, high) == (-80, 20)
  # The mean power of the error is the SNR with another sign.
  noise = 10 * (25 + 4e-8) / x.size
  assert axes.get_title() == (
    f'error: rms {10 * np.log10(noise):.0f} dB, colours -80 to 20 dB'
  )


def test_the_colours_of_an_error_are_its_own_however_small_it_is():
  x = _speech(100)
  noise = np.random.default_rng(1).normal(size=x.shape)
  for level in (1e-7, 1e-2):
    rms = np.sqrt(np.mean(x**2))
    low, high = reconstruction.colour_range(
      reconstruction.error_db(x + level * rms * noise, x, None)
    )
    assert low < 20 * np.log10(level) < high
    assert high - low <= 70
  *_, axes = _comparison(x, x)
  assert axes.get_title() == 'error: none, every value is exact'


def test_the_caption_says_what_makes_it_certain_or_that_it_is_a_guess():
  certificate = {'rank': 30.0, 'eigenvalue_gap': 2e7, 'unexplained': 3e-12}
  said = certificate_text.said(_record(certificate=certificate))
  assert said == (
    'Certified without the truth: 30 windows span the update; the next best '
    'speech fits 2e+07 times worse; 3e-12 of the update is unexplained.'
  )
  free = certificate_text.said(
    _record(is_whole=False, certificate={'scale_is_free': 1.0})
  )
  assert free == 'Certified without the truth, in part, but for the scale.'
  guess = _record('gradient_matching', is_certified=False)
  assert certificate_text.said(guess) == 'A guess that nothing certifies.'
  assert 'guess' in certificate_text.said(
    guess | {'certificate': {'relative_squared_distance': 0.04}}
  )


def test_frames_that_one_lacks_have_no_error_and_are_hatched():
  x = _speech(100)
  for found in (x[:90], np.concatenate([x, x[:10]])):
    original, *panels = _comparison(x, found)
    assert len(_pixels(panels[1])) == min(len(found), 100)
    assert not original.patches
    for axes in panels:
      (patch,) = axes.patches
      assert patch.get_hatch()
      assert patch.get_x() == min(len(found), 100)
      assert patch.get_width() == 10
  assert not any(axes.patches for axes in _comparison(x, x))


def test_axes_are_in_seconds_and_hertz_of_the_bands():
  cfg = config.FeaturesConfig(num_features=80, num_mels=80, hop_ms=20.0)
  x = np.random.default_rng(0).normal(size=(50, 80))
  panels = _comparison(x, x, cfg)
  assert panels[-1].get_xlabel() == 'time (s)'
  assert panels[-1].get_xlim() == (0.0, 1.0)
  edges = features.mel_edges(cfg)
  for axes in panels:
    assert axes.get_ylabel() == 'frequency (Hz)'
    places = axes.get_yticks()
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert '1000' in labels
    assert '4000' in labels
    for place, text in zip(places, labels, strict=True):
      # Within the band that is drawn at this height.
      band = int(place)
      assert edges[band] <= float(text) <= edges[band + 2]
    assert np.abs(np.diff(places)).min() > 8


def test_bins_of_a_spectrogram_are_in_hertz_too():
  cfg = config.FeaturesConfig(
    kind=config.FeatureKind.LOG_SPECTROGRAM, num_features=161, fft_size=320
  )
  x = np.random.default_rng(0).normal(size=(50, 161))
  axes = _comparison(x, x, cfg)[0]
  labels = [tick.get_text() for tick in axes.get_yticklabels()]
  places = dict(zip(labels, axes.get_yticks(), strict=True))
  # 50 Hz apart, each in the middle of its row.
  assert places['8000'] == 160.5
  assert places['2000'] == 40.5


def test_mfcc_are_scaled_coefficient_by_coefficient():
  cfg = config.FeaturesConfig(
    kind=config.FeatureKind.MFCC,
    num_features=8,
    normalization=config.Normalization.NONE,
  )
  x = _speech(200) * 10.0 ** -np.arange(-2, 6) + 40
  found = x + x.std(0)
  original, reconstructed, _ = _comparison(x, found, cfg)
  assert original.get_ylabel() == 'cepstral\ncoefficient'
  floor = features.MIN_STD
  deviation = np.minimum(x.std(0) / floor, 1)
  np.testing.assert_allclose(_pixels(original).std(0), deviation)
  np.testing.assert_allclose(_pixels(original).mean(0), 0, atol=1e-9)
  # In deviations of the original, not of its own.
  np.testing.assert_allclose(_pixels(reconstructed).mean(0), deviation)


def test_axes_of_a_run_that_was_attacked_are_the_runs(coarse, tmp_path):
  run, attack = tmp_path / 'run', tmp_path / 'attack'
  for path in (run, attack):
    path.mkdir()
  x = _speech()
  _write(attack, [_record()], {'a/b 1': {'original': x, 'span': x}})
  assert feature_axes.of_attack(attack, 0) is None
  cfg = config.Config()
  cfg.attack.run = str(run)
  (attack / 'config.json').write_text(json.dumps(config.as_dict(cfg)))
  # As if it had been moved.
  assert feature_axes.of_attack(attack, 0) is None
  assert len(attack_gallery.plot(attack)) == 2
  of_run = config.Config()
  of_run.features.hop_ms = 20.0
  (run / 'config.json').write_text(json.dumps(config.as_dict(of_run)))
  assert feature_axes.of_attack(attack, 0) == of_run.features
  cfg.attack.run = ''
  (attack / 'config.json').write_text(json.dumps(config.as_dict(cfg)))
  assert feature_axes.of_attack(attack, 0) == cfg.features
  (attack / 'config.json').write_text('{"attack": 3}')
  with pytest.raises(run_error.RunError, match=r"config.json: .*'int' object"):
    feature_axes.of_attack(attack, 0)


def test_titles_say_how_much_is_certified():
  def title(**changed):
    return reconstruction._said(_record(**changed))

  assert title() == 'reconstruction: 20.0 dB, certified'
  assert title(is_whole=True) == 'reconstruction: 20.0 dB, certified'
  part = {'is_whole': False, 'num_frames_found': 27}
  assert title(**part) == (
    'reconstruction: 20.0 dB,\ncertified in part: 27 of 30 frames'
  )
  assert title(**part, determined_snr_db=81.0).endswith(
    ' frames,\n81.0 dB of what is determined'
  )
  assert title(is_certified=False, lag_frames=0) == (
    'reconstruction: 20.0 dB\nnot certified; correlation 0.50'
  )
  assert title(is_certified=False).endswith(',\n0.90 at +3 frames')


@pytest.mark.parametrize('frames', [0, 12, 40])
def test_lengths_may_differ(coarse, tmp_path, frames):
  values = {'a/b 1': {'original': _speech(), 'span': _speech(frames)}}
  _write(tmp_path, [_record()], values)
  first, _ = attack_gallery.plot(tmp_path)
  assert _drawn(first).any()


def test_a_method_that_gave_nothing_is_among_the_scores_alone(coarse, tmp_path):
  _write(tmp_path, [_record()], {'a/b 1': {'original': _speech()}})
  (scores,) = attack_gallery.plot(tmp_path)
  assert scores.name == 'reconstruction_scores.png'


def test_a_refusal_has_no_dot_and_is_counted_beside_the_name():
  # As earlier versions wrote it.
  refused = _record(
    refused='why',
    ledger={},
    num_frames_found=0,
    snr_db=0.0,
    correlation=0.0,
    best_lag_correlation=0.0,
  )
  told = _record(ledger=_LEDGER | {'knows_length': True})
  records = [told, told, score_summary.read(refused)]
  figure = attack_scores.scores(drawn_attack.by_method(records))
  for axes in figure.axes:
    (tick,) = figure.axes[-1].get_xticklabels()
    assert tick.get_text() == 'span\n(told: length)\n1 of 3 refused'
    for points in axes.collections[:1]:
      assert len(points.get_offsets()) == 2
  # What was refused used nothing; its ledger says so since.
  stated = refused | {'ledger': _LEDGER | {'layers': []}}
  assert list(drawn_attack.by_method([told, stated])) == [
    'span\n(told: length)'
  ]
  figure = attack_scores.scores(
    drawn_attack.by_method([score_summary.read(refused)])
  )
  assert not figure.axes[0].collections
  assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == [
    'span\n1 of 1 refused'
  ]


def test_scores_of_each_method_are_drawn_in_its_colour(coarse, tmp_path):
  x = _speech()
  values = {'a/b 1': {'original': x}, 'b': {'original': x}}
  records = [
    _record(method, utterance=utterance)
    for method in ('span', 'demixing')
    for utterance in values
  ]
  _write(tmp_path, records, values)
  image = matplotlib.image.imread(attack_gallery.plot(tmp_path)[-1])
  for color in (style.BLUE, style.ORANGE):
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    assert (np.abs(image[..., :3] * 255 - wanted).max(-1) < 1).sum() > 100


def test_scores_of_other_ledgers_stand_apart():
  told = _record(
    ledger=_LEDGER | {'knows_length': True, 'prior': 'LibriSpeech'}
  )
  assert drawn_attack.method(_record()) == 'span'
  alone = _record(ledger=_LEDGER | {'prior': 'LibriSpeech'})
  assert drawn_attack.method(alone) == 'span\n(prior: LibriSpeech)'
  assert drawn_attack.method(told) == (
    'span\n(told: length; prior: LibriSpeech)'
  )
  active = _record(ledger=_LEDGER | {'server': 'active'})
  assert drawn_attack.method(active) == 'span\n(active server)'
  figure = attack_scores.scores(drawn_attack.by_method([_record(), told]))
  assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == [
    'span',
    'span\n(told: length;\nprior: LibriSpeech)',
  ]


def test_missing_empty_and_damaged_files_are_named(tmp_path):
  with pytest.raises(run_error.RunError, match=r'attack\.json: No such'):
    attack_gallery.plot(tmp_path)
  for text in ('[]', '{', '[3]', '[{"method": "span"}]'):
    (tmp_path / 'attack.json').write_text(text)
    with pytest.raises(run_error.RunError, match=r'attack\.json'):
      attack_gallery.plot(tmp_path)
  (tmp_path / 'attack.json').write_text(json.dumps([_record()]))
  with pytest.raises(run_error.RunError, match=r'reconstructions\.h5'):
    attack_gallery.plot(tmp_path)
  _write(tmp_path, [_record()], {'other': {'original': _speech()}})
  with pytest.raises(run_error.RunError, match=r'reconstructions\.h5'):
    attack_gallery.plot(tmp_path)


def test_the_command_prints_what_it_wrote_or_one_line(tmp_path, capsys):
  _write(tmp_path, [_record()], {'a/b 1': {'original': _speech()}})
  assert attack_gallery.main(['command', str(tmp_path)]) == 0
  wanted = tmp_path / 'figures' / 'reconstruction_scores.png'
  assert capsys.readouterr().out == f'{wanted}\n'
  assert attack_gallery.main(['command', str(tmp_path / 'nothing')]) == 2
  message = capsys.readouterr().err
  assert message.startswith('error: ')
  assert message.count('\n') == 1
  assert attack_gallery.main(['command']) == 2
  assert 'ATTACK' in capsys.readouterr().err
