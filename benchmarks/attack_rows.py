"""Which results of attacks the tables of README and docs show, and as what.

A result that is measured later is one line more here; what a table says of a
file is computed by `attack_tables`.
"""

from typing import NamedTuple


class Row(NamedTuple):
  """One attack, in each precision.

  Its files are `attacks/<name>_<precision>.json` of the results; where that of
  float32 is missing, `attack_<earlier>.json`, unless `earlier` is ''.
  """

  name: str
  label: str
  earlier: str = ''


class Descent(NamedTuple):
  """Methods that search for features, on the same utterances."""

  label: str
  rows: tuple[Row, ...]


# Keys of all: as a page names a table where it is to stand.
UNTRAINED = {
  # DeepSpeech 1 `privacy` (47 M).
  'ds1': (
    Row('ds1_untrained', 'a gradient, 1 to 9 s', 'ds1_untrained'),
    Row(
      'ds1_normalised',
      'a gradient, 1 to 9 s, MFCC normalised by utterance',
      'ds1_untrained_utterance',
    ),
    Row('ds1_dropout', 'a gradient, 1 to 9 s, dropout 0.2', 'ds1_dropout'),
    Row('ds1_steps', 'the delta of 8 SGD steps, 1 to 9 s', 'ds1_steps'),
    Row('ds1_batch2', 'batches of 2, to 4.6 s', 'ds1_batch2'),
    Row('ds1_batch4', 'a batch of 4, to 2.75 s', 'ds1_batch4'),
    Row('ds1_batch4_equal', 'batches of 4, 2 s each', 'ds1_batch4_equal'),
    Row('ds1_long_10s', 'a gradient, 10 s (`seed_and_grow`)', 'ds1_long_10s'),
    Row('ds1_long_15s', 'a gradient, 15 s (`seed_and_grow`)', 'ds1_long_15s'),
  ),
  # DeepSpeech 2 `base`.
  'ds2': (
    Row('ds2_mel_1s', '80 log-mel, layer norm, 1 s', 'ds2_mel_1s'),
    Row('ds2_mel_2s', '80 log-mel, layer norm, 2 s', 'ds2_mel_2s'),
    Row(
      'ds2_spectrogram_1s', '161 bins, layer norm, 1 s', 'ds2_spectrogram_1s'
    ),
    Row(
      'ds2_spectrogram_4s', '161 bins, layer norm, 4 s', 'ds2_spectrogram_4s'
    ),
    Row(
      'ds2_batch_norm_1s',
      '80 log-mel, batch norm, its running averages sent, 1 s',
      'ds2_batch_norm_1s',
    ),
    Row(
      'ds2_frozen_batch_norm_1s',
      '80 log-mel, batch norm in evaluation mode, 1 s',
      'ds2_frozen_batch_norm_1s',
    ),
    Row('ds2_no_norm_1s', '80 log-mel, no norm, 1 s', 'ds2_no_norm_1s'),
  ),
}

TRAINED = {
  # DeepSpeech 1 with layers of 512.
  'ds1_trained': (
    Row(
      'ds1_small_trained_80',
      'layers of 512, round 80 of 240 of training on synthesised commands',
      'ds1_small_trained_80',
    ),
    Row(
      'ds1_small_trained_160', 'the same, round 160', 'ds1_small_trained_160'
    ),
    Row(
      'ds1_small_trained_240',
      'the same, round 240: WER 20% on held-out speakers of the commands',
      'ds1_small_trained_240',
    ),
  ),
  # DeepSpeech 1 `privacy`, attacked without `open_end`.
  'ds1_without_open_end': (
    Row(
      'ds1_short_run_20',
      '47 M, round 20 of a short training on synthesised commands',
      'ds1_trained_20',
    ),
    Row('ds1_short_run_40', 'the same, round 40', 'ds1_trained_40'),
    Row(
      'ds1_run_25',
      '47 M, round 25 of 100 of training on synthesised commands',
      'ds1_trained_25',
    ),
    Row('ds1_run_50', 'the same, round 50', 'ds1_trained_50'),
    Row('ds1_run_75', 'the same, round 75', 'ds1_trained_75'),
    Row(
      'ds1_run_100',
      'the same, round 100: WER 29% on held-out speakers of the commands',
      'ds1_trained_100',
    ),
  ),
}

SHORT = {
  'readme': (
    Row('ds1_untrained', 'DeepSpeech 1 (47 M): 1 to 9 s', 'ds1_untrained'),
    Row('ds1_dropout', 'the same, dropout 0.2', 'ds1_dropout'),
    Row('ds1_steps', 'the same, 8 local SGD steps', 'ds1_steps'),
    Row('ds1_batch4_equal', 'batches of 4, 2 s each', 'ds1_batch4_equal'),
    Row('ds1_long_15s', '15 s', 'ds1_long_15s'),
    Row(
      'ds1_small_trained_240',
      'DeepSpeech 1 (layers of 512), trained on synthesised commands (WER 20% '
      'on those, over 100% on these victims): 1 to 9 s',
      'ds1_small_trained_240',
    ),
    Row(
      'ds2_mel_1s', 'DeepSpeech 2 `base` (10 M), 80 log-mel: 1 s', 'ds2_mel_1s'
    ),
    Row('ds2_mel_2s', 'the same, 2 s', 'ds2_mel_2s'),
    Row('ds2_spectrogram_4s', 'the same, 161 bins, 4 s', 'ds2_spectrogram_4s'),
  )
}

DESCENTS = {
  'descent': (
    Descent(
      'DS1 `privacy`, unnormalised MFCC',
      (
        Row('ds1_matching', '`gradient_matching`, 1,000 steps', 'ds1_matching'),
        Row(
          'ds1_matching_rate_0.03',
          'the same, rate 0.03 for 0.1, halved every 400',
          'ds1_matching_rate_0.03',
        ),
        Row(
          'ds1_hessian_free',
          '`hessian_free`, 3,000 iterations',
          'ds1_hessian_free',
        ),
        Row(
          'ds1_hessian_free_8797',
          '`hessian_free`, 1,300 iterations',
          'ds1_hessian_free_8797',
        ),
        Row('ds1_compared', '`span`, told neither', 'ds1_compared'),
      ),
    ),
    Descent(
      'DS2 `base`, 80 log-mel, 1 s',
      (Row('ds2_descent', '`span_descent`, told neither', 'ds2_descent'),),
    ),
  )
}

# With `total_seconds`: recorded of the whole process.
SPEEDS = {
  'speed': (
    Row('ds1_parallel_1', 'DS1 `privacy`, 1 to 9 s', 'ds1_parallel_1'),
    Row('ds1_parallel_2', 'the same, two at a time', 'ds1_parallel_2'),
    Row(
      'ds2_one_by_one',
      'DS2 `base`, 80 log-mel, 1 s, compiled before',
      'ds2_one_by_one',
    ),
  )
}
