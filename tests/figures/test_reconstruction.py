import json

import h5py
import matplotlib.image
import numpy as np
import pytest

from fedjax_asr import run_directory
from fedjax_asr.attacks import score_summary
from fedjax_asr.figures import reconstruction, style

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
    'method': method,
    'ledger': _LEDGER,
    'refused': '',
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
  written = reconstruction.plot(tmp_path)
  assert [path.name for path in written] == [
    'reconstruction_a_b_1_span.png',
    'reconstruction_a_b_1_seed_and_grow.png',
    'reconstruction_scores.png',
  ]
  for path in written:
    assert path.parent == tmp_path / 'figures'
    image = matplotlib.image.imread(path)
    assert image.shape[1] >= 7 * style.DPI
    assert image[0, 0, 3] == 0


def test_the_difference_shows_where_a_reconstruction_is_wrong(coarse, tmp_path):
  x = _speech()
  wrong = x.copy()
  wrong[10:20] += 5
  drawn = {}
  for name, found in (('right', x), ('wrong', wrong)):
    path = tmp_path / name
    path.mkdir()
    _write(path, [_record()], {'a/b 1': {'original': x, 'span': found}})
    image = matplotlib.image.imread(reconstruction.plot(path)[0])
    wanted = [int(style.ORANGE[i : i + 2], 16) for i in (1, 3, 5)]
    same = np.abs(image[..., :3] * 255 - wanted).max(-1) < 2
    drawn[name] = (same & (image[..., 3] > 0.99)).sum()
  # A third of a panel of about 280 x 230 pixels, beside the colour bar.
  assert drawn['wrong'] > drawn['right'] + 15_000


@pytest.mark.parametrize('frames', [0, 12, 40])
def test_lengths_may_differ(coarse, tmp_path, frames):
  values = {'a/b 1': {'original': _speech(), 'span': _speech(frames)}}
  _write(tmp_path, [_record()], values)
  first, _ = reconstruction.plot(tmp_path)
  assert _drawn(first).any()


def test_a_method_that_gave_nothing_is_among_the_scores_alone(coarse, tmp_path):
  _write(tmp_path, [_record()], {'a/b 1': {'original': _speech()}})
  (scores,) = reconstruction.plot(tmp_path)
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
  figure = reconstruction._scores(records)
  for axes in figure.axes:
    (tick,) = axes.get_xticklabels()
    assert tick.get_text() == 'span\n(told: length)\n1 of 3 refused'
    for points in axes.collections[:1]:
      assert len(points.get_offsets()) == 2
  # What was refused used nothing; its ledger says so since.
  stated = refused | {'ledger': _LEDGER | {'layers': []}}
  assert list(reconstruction._by_method([told, stated])) == [
    'span\n(told: length)'
  ]
  figure = reconstruction._scores([score_summary.read(refused)])
  assert not figure.axes[0].collections
  assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == [
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
  image = matplotlib.image.imread(reconstruction.plot(tmp_path)[-1])
  for color in (style.BLUE, style.ORANGE):
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    assert (np.abs(image[..., :3] * 255 - wanted).max(-1) < 1).sum() > 100


def test_scores_of_other_ledgers_stand_apart():
  told = _record(
    ledger=_LEDGER | {'knows_length': True, 'prior': 'LibriSpeech'}
  )
  assert reconstruction._method(_record()) == 'span'
  assert reconstruction._method(told) == (
    'span\n(told: length, prior: LibriSpeech)'
  )
  figure = reconstruction._scores([_record(), told])
  assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == [
    'span',
    'span\n(told: length, prior: LibriSpeech)',
  ]


def test_missing_empty_and_damaged_files_are_named(tmp_path):
  with pytest.raises(run_directory.RunError, match=r'attack\.json: No such'):
    reconstruction.plot(tmp_path)
  for text in ('[]', '{', '[3]', '[{"method": "span"}]'):
    (tmp_path / 'attack.json').write_text(text)
    with pytest.raises(run_directory.RunError, match=r'attack\.json'):
      reconstruction.plot(tmp_path)
  (tmp_path / 'attack.json').write_text(json.dumps([_record()]))
  with pytest.raises(run_directory.RunError, match=r'reconstructions\.h5'):
    reconstruction.plot(tmp_path)
  _write(tmp_path, [_record()], {'other': {'original': _speech()}})
  with pytest.raises(run_directory.RunError, match=r'reconstructions\.h5'):
    reconstruction.plot(tmp_path)


def test_the_command_prints_what_it_wrote_or_one_line(tmp_path, capsys):
  _write(tmp_path, [_record()], {'a/b 1': {'original': _speech()}})
  assert reconstruction.main(['command', str(tmp_path)]) == 0
  wanted = tmp_path / 'figures' / 'reconstruction_scores.png'
  assert capsys.readouterr().out == f'{wanted}\n'
  assert reconstruction.main(['command', str(tmp_path / 'nothing')]) == 2
  message = capsys.readouterr().err
  assert message.startswith('error: ')
  assert message.count('\n') == 1
  assert reconstruction.main(['command']) == 2
  assert 'ATTACK' in capsys.readouterr().err
