"""The figure of a run's best, median and worst utterance."""

import warnings

import h5py
import left_examples
import matplotlib.text
import numpy as np
import pytest
import untrained_run

from fedjax_asr import config
from fedjax_asr.figures import drawn_run, gallery, spectrogram_analysis
from fedjax_asr.speech import alphabets


def write(path, examples, alphabet=alphabets.ENGLISH, **settings):
  """A run with these examples."""
  cfg = untrained_run.small_config()
  for name, value in settings.items():
    setattr(cfg.features, name, value)
  untrained_run.write(path, cfg, alphabet)
  left_examples.write(path, examples, alphabet)
  return drawn_run.DrawnRun(path)


def texts(figure):
  return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def drawn(run, tmp_path):
  """Texts of the figure, which can be written."""
  figure = spectrogram_analysis.draw(run)
  figure.savefig(tmp_path / 'figure.png', dpi=50)
  return texts(figure)


def test_all_three_are_drawn_with_what_differs_marked(tmp_path):
  run = write(
    tmp_path / 'run',
    [
      left_examples.example('best', 'one two', 'one two', audio='0.mp3'),
      left_examples.example('median', 'one two', 'one ten', audio='1.mp3'),
      left_examples.example('worst', 'one two six', 'one six a', audio='2.mp3'),
    ],
  )
  said = drawn(run, tmp_path)
  for role in ('best', 'median', 'worst'):
    assert f'{role}: u/{role}, WER 50.0%, CER 25.0%, 2.00 s' in said
  # Substituted; and in the key.
  assert {'[two]', '[ten]', '[word]'} < set(said)
  assert {'time (s)', 'frequency (Hz)', 'blank', 'space'} < set(said)
  assert not any('recording' in each for each in said)


def test_words_are_where_the_posteriors_have_them(tmp_path):
  run = write(tmp_path / 'run', [left_examples.example('best', 'a b', 'a b')])
  figure = spectrogram_analysis.draw(run)
  axes = next(each for each in figure.axes if each.get_ylabel() == 'words')
  spans = [
    (patch.get_y() > 0, patch.get_x(), patch.get_x() + patch.get_width())
    for patch in axes.patches
  ]
  # 'a', the space and 'b' are outputs 0, 2 and 4 of 40 ms.
  heard = [span[1:] for span in spans if not span[0]]
  np.testing.assert_allclose(heard, [(0, 0.04), (0.16, 0.2)])
  said = [span[1:] for span in spans if span[0]]
  np.testing.assert_allclose(said, heard)


def test_precomputed_mfcc_say_that_there_is_no_recording(tmp_path):
  run = write(
    tmp_path / 'run',
    [left_examples.example('best', 'one', 'one')],
    kind=config.FeatureKind.MFCC,
  )
  said = drawn(run, tmp_path)
  assert 'no recording: the corpus has features alone' in said
  assert 'cepstral\ncoefficient' in said


def test_long_texts_from_the_right_and_without_glyphs(tmp_path):
  words = ['שלום', 'مرحبا', '漢字', 'עולם'] * 60
  symbols = [' ', *sorted(set(''.join(words)))]
  alphabet = alphabets.Alphabet(alphabets.Kind.CORPUS, symbols)
  run = write(
    tmp_path / 'run',
    [left_examples.example('best', ' '.join(words), ' '.join(words[::2]))],
    alphabet,
  )
  with warnings.catch_warnings():
    # As matplotlib warns of a glyph that the font lacks.
    warnings.simplefilter('error')
    said = drawn(run, tmp_path)
  assert 'U+6F22U+5B57' in said
  assert any(each.endswith('words more') for each in said)
  assert 'cannot be aligned' in said
  figure = spectrogram_analysis.draw(run)
  (panel,) = [
    axes
    for axes in figure.axes
    if any('words more' in text.get_text() for text in axes.texts)
  ]
  first, second = (
    next(t.get_position()[0] for t in panel.texts if t.get_text() == word)
    for word in words[:2]
  )
  assert first > second


def test_posteriors_that_are_not_finite_are_said_to_be(tmp_path):
  run = write(tmp_path / 'run', [left_examples.example('best', 'one', '')])
  with h5py.File(run.files.example_arrays, 'a') as file:
    file['best/log_posteriors'][:] = np.nan
  said = drawn(run, tmp_path)
  assert 'posteriors that are not finite' in said
  assert {'cannot be aligned', 'nothing'} < set(said)


@pytest.mark.parametrize(
  ('damage', 'told'),
  [
    (lambda files: files.example_records.unlink(), 'num_kept_examples=0'),
    (lambda files: files.example_records.write_text('[]'), 'another version'),
    (lambda files: files.example_records.write_text('[1'), 'not JSON'),
    (lambda files: files.example_arrays.unlink(), 'examples.h5'),
    (lambda files: files.example_arrays.write_text('x'), 'examples.h5'),
  ],
)
def test_what_is_missing_is_said(tmp_path, damage, told):
  run = write(tmp_path / 'run', [left_examples.example('best', 'one', 'one')])
  damage(run.files)
  assert told in gallery.one(run, 'spectrogram_analysis').missing
