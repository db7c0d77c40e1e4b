"""Feature files are compared with the config, all of a corpus together."""

import json

import numpy as np
import pytest
import soundfile

from fedjax_asr import config
from fedjax_asr.corpora import datasets

_PRECOMPUTED = config.FeatureKind.PRECOMPUTED
# As raw MFCC: the first coefficient is far from 0.
_MEAN = np.r_[-600.0, np.linspace(40, -5, 12)]
_STD = np.r_[80.0, np.linspace(30, 6, 12)]


class Manifest:
  """Twelve utterances of four speakers; rows and arrays are free to change."""

  def __init__(self, folder):
    rng = np.random.default_rng(0)
    self._folder = folder
    self.arrays, self.rows = [], []
    for index in range(12):
      # Windows of 25 ms without padding, as Kaldi frames speech.
      seconds = 1.0 + 0.25 * index
      num_frames = 1 + int((seconds - 0.025) / 0.01)
      self.arrays.append(rng.normal(_MEAN, _STD, (num_frames, 13)))
      self.rows.append({'text': 'r u b', 'duration': round(seconds, 2)})

  def usable(self, **fields):
    """With 13 precomputed features at 100 frames a second, but for these."""
    for index, (array, row) in enumerate(
      zip(self.arrays, self.rows, strict=True)
    ):
      np.save(self._folder / f'u{index}.npy', array)
      row |= {'features_filepath': f'u{index}.npy', 'speaker': f's{index % 4}'}
    return self.loaded(self.rows, **fields)

  def loaded(self, rows, **fields):
    path = self._folder / 'manifest.jsonl'
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    data = config.DataConfig(
      corpus=config.Corpus.MANIFEST,
      path=str(path),
      cache_dir=str(self._folder / 'cache'),
      num_workers=1,
    )
    cfg = config.FeaturesConfig(
      **{'kind': _PRECOMPUTED, 'num_features': 13} | fields
    )
    return datasets.usable(data, cfg, lambda frames: frames, lambda *_: None)

  def error(self, **fields):
    with pytest.raises(config.ConfigError) as caught:
      self.usable(**fields)
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def manifest(tmp_path):
  return Manifest(tmp_path)


@pytest.mark.parametrize(
  'normalization', [config.Normalization.UTTERANCE, config.Normalization.GLOBAL]
)
def test_raw_mfcc_are_taken_as_they_are_declared(manifest, normalization):
  found = manifest.usable(normalization=normalization)
  assert found.kept == list(range(12))
  assert found.problems == []
  np.testing.assert_array_equal(
    found.store.features(3), manifest.arrays[3].astype(np.float32)
  )


def test_other_width_of_all_files_is_one_error_that_says_what_to_set(manifest):
  message = manifest.error(num_features=26)
  assert message.startswith(
    'config.features.num_features=26, but 12 of 12 feature files have 13 '
    'columns, such as '
  )
  assert message.endswith('want config.features.num_features=13.')


def test_default_features_are_told_from_files(manifest):
  message = manifest.error(kind=config.FeatureKind.LOG_MEL, num_features=80)
  assert message.endswith(
    'want config.features.kind=precomputed and config.features.num_features=13.'
  )


def test_other_width_is_told_from_a_cached_store_too(manifest):
  assert manifest.error(num_features=26) == manifest.error(num_features=26)


def test_odd_file_among_good_ones_is_skipped_and_listed(manifest):
  manifest.arrays[5] = np.zeros((100, 26))
  found = manifest.usable()
  assert found.kept == [i for i in range(12) if i != 5]
  (problem,) = found.problems
  assert (problem.utterance, problem.kind) == ('u5', 'wrong_width')
  assert 'shape (100, 26); want [frames, 13]' in problem.reason


def test_good_file_among_odd_ones_does_not_hide_them(manifest):
  manifest.arrays[1:] = [np.zeros((100, 26))] * 11
  message = manifest.error()
  assert 'but 11 of 12 feature files have 26 columns' in message


def test_transposed_files_are_told(manifest):
  manifest.arrays = [array.T for array in manifest.arrays]
  message = manifest.error()
  assert 'all of them 13 rows' in message
  assert message.endswith('want [frames, features], not the transpose.')


@pytest.mark.parametrize(('hop', 'frames'), [(20.0, '50'), (12.5, '80')])
def test_other_hop_is_one_error_that_says_what_to_set(manifest, hop, frames):
  message = manifest.error(hop_ms=hop)
  assert message.startswith(
    f'config.features.hop_ms={hop:g} is {frames} frames a second, but the '
    'feature files have 99.'
  )
  assert message.endswith('of 12 rows; want config.features.hop_ms=10.')


def test_duration_in_milliseconds_is_told(manifest):
  for row in manifest.rows:
    row['duration'] *= 1000
  assert 'by the durations (seconds) of 12 rows' in manifest.error()


@pytest.mark.parametrize('seconds', [0.26, 0.34])
def test_frames_at_the_edges_do_not_count(manifest, seconds):
  manifest.arrays = [array[:30] for array in manifest.arrays]
  for row in manifest.rows:
    row['duration'] = seconds
  assert manifest.usable().problems == []


@pytest.mark.parametrize('value', [None, 0, 0.0])
def test_rows_without_duration_say_nothing_of_the_frame_rate(manifest, value):
  for row in manifest.rows:
    row['duration'] = value
  found = manifest.usable(hop_ms=20.0)
  assert len(found.kept) == 12
  # Of 0 there is a warning.
  kinds = [each.kind for each in found.problems]
  assert kinds == ([] if value is None else ['no_duration'])


def test_few_rows_with_a_duration_are_enough(manifest):
  for row in manifest.rows[:9]:
    del row['duration']
  assert 'of 3 rows; want config.features.hop_ms=10.' in manifest.error(
    hop_ms=20.0
  )


def test_row_of_another_duration_is_kept_with_a_warning(manifest):
  manifest.rows[7]['duration'] = 9.5
  found = manifest.usable()
  assert found.kept == list(range(12))
  (problem,) = found.problems
  assert (problem.utterance, problem.kind) == ('u7', 'odd_duration')
  assert problem.is_warning
  assert problem.reason == '273 frames of 10 ms for a duration of 9.5 s.'


def test_left_out_utterance_has_no_warning_beside_its_reason(manifest):
  manifest.rows[7] |= {'duration': 9.5, 'text': ''}
  (problem,) = manifest.usable().problems
  assert problem.kind == 'empty_transcript'


def test_empty_duration_is_a_bad_line(manifest):
  manifest.rows[2]['duration'] = ''
  found = manifest.usable()
  (problem,) = found.problems
  assert (len(found.kept), problem.kind) == (11, 'bad_line')
  assert problem.reason == "duration=''; want seconds."


@pytest.mark.parametrize('mean', [-600.0, 50.0])
def test_raw_features_are_refused_as_normalised_ones(manifest, mean):
  for array in manifest.arrays:
    array[:, 0] += mean - _MEAN[0]
  message = manifest.error(normalization=config.Normalization.NONE)
  start, _, rest = message.partition('feature 0 has mean ')
  assert start == (
    "config.features.normalization='none', but the feature files are not "
    'normalised: '
  )
  assert float(rest.split()[0]) == pytest.approx(mean, abs=3)
  assert message.endswith("over 12 files; want 'utterance' or 'global'.")


def test_centred_features_of_a_large_scale_are_refused(manifest):
  manifest.arrays = [array - array.mean(0) for array in manifest.arrays]
  message = manifest.error(normalization=config.Normalization.NONE)
  assert 'feature 0 has mean' in message


def test_features_of_no_scale_are_refused(manifest):
  manifest.arrays = [1e-3 * (a - _MEAN) / _STD for a in manifest.arrays]
  message = manifest.error(normalization=config.Normalization.NONE)
  assert 'and standard deviation 0.001' in message


def test_normalised_features_need_no_normalisation(manifest):
  rng = np.random.default_rng(1)
  for index, array in enumerate(manifest.arrays):
    # By the statistics of other utterances, and one that says nothing.
    normal = (array - _MEAN) / _STD
    normal = normal * rng.uniform(0.7, 1.3, 13) + rng.normal(0, 0.3, 13)
    normal[:, 12] = 0.0
    manifest.arrays[index] = normal
  found = manifest.usable(normalization=config.Normalization.NONE)
  assert len(found.kept) == 12


def test_scale_that_normalisation_takes_for_constant_is_refused(manifest):
  manifest.arrays = [1e-6 * array for array in manifest.arrays]
  message = manifest.error()
  assert "normalization='utterance' takes deviations under 0.01" in message
  assert message.endswith('want files of a larger scale.')


def test_audio_cannot_stand_among_precomputed_features(manifest, tmp_path):
  soundfile.write(tmp_path / 'a.wav', np.zeros(16000), 16000)
  manifest.usable()
  rows = [*manifest.rows, {'audio_filepath': 'a.wav', 'text': 'a'}]
  with pytest.raises(config.ConfigError) as caught:
    manifest.loaded(rows)
  assert "kind='precomputed', but 1 of 13 utterances are audio" in str(
    caught.value
  )
  assert 'a.wav; want a features_filepath for each' in str(caught.value)


def test_the_store_depends_on_what_decides_which_files_can_be_used(manifest):
  def path(**fields):
    return manifest.usable(**fields).store.path

  assert path() == path(normalization=config.Normalization.GLOBAL)
  # Of no meaning for files.
  assert path() == path(sample_rate=8000, window_ms=32.0, num_mels=3)
  others = {path(), path(hop_ms=10.05)}
  others.add(path(kind=config.FeatureKind.MFCC))
  assert len(others) == 3
