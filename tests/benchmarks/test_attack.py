"""The summary of an attack, against counts and quantiles known by hand."""

import json

import pytest

from benchmarks import attack


def _record(index, **changes):
  return {
    'victim': f'v{index}',
    'utterance': f'u{index}',
    'refused': '',
    'is_certified': True,
    'num_frames': 100,
    'num_frames_found': 100,
    'snr_db': 10.0 * index,
    'best_lag_correlation': 1.0,
    'public_snr_db': None,
    'public_mcd_db': None,
    'mcd_db': 0.0,
    'mae': 0.0,
    'cer': 0.5,
    'aligned_cer': None,
    'seconds': 2.0,
    'ledger': {'method': 'span'},
  } | changes


def _refused(index, **changes):
  """As it was written once: zeros for scores."""
  scores = {'snr_db': 0.0, 'best_lag_correlation': 0.0, 'cer': 1.0}
  certified = {'is_certified': False, 'num_frames_found': 0}
  return _record(index, refused='too long', **(scores | certified)) | changes


def test_summary_counts_what_was_refused_among_all():
  found = attack.summary(
    [
      _record(1),
      _record(2, num_frames_found=99, is_certified=False),
      _record(3),
      _refused(4),
    ]
  )
  assert (found['num_utterances'], found['num_refused']) == (4, 1)
  assert found['reasons'] == ['too long']
  assert found['certified']['count'] == 2
  assert found['right_length']['count'] == 2
  assert found['right_length']['of'] == 4
  # Of a refusal, 10, 20 and 30 dB.
  assert found['snr_db']['median'] == 15.0
  assert (found['snr_db']['min'], found['snr_db']['max']) == (None, 30.0)
  # Where less is better, a refusal is more than all.
  assert (found['mae']['min'], found['mae']['max']) == (0.0, None)
  assert found['utterances_per_minute'] == 30.0


def test_median_that_falls_on_a_refusal_is_null():
  found = attack.summary([_record(1), _record(2), _refused(3), _refused(4)])
  assert found['snr_db']['median'] is None
  assert found['snr_db']['median_interval'][0] is None
  json.dumps(found, allow_nan=False)


def test_batch_counts_its_seconds_once():
  found = attack.summary([_record(1), _record(2, victim='v1')])
  assert found['utterances_per_minute'] == 60.0


def test_nothing_found_says_why():
  found = attack.summary([_refused(1, refused='noise')])
  assert found == {
    'num_utterances': 1,
    'num_refused': 1,
    'reasons': ['noise'],
    'ledger': {'method': 'span'},
  }


def test_intervals_are_of_updates_not_of_utterances():
  records = [
    _record(index, victim=f'v{update}', snr_db=10.0 * update)
    for update in (1, 2, 3)
    for index in range(30)
  ]
  records[0]['is_certified'] = False
  found = attack.summary(records)
  assert (found['num_utterances'], found['num_updates']) == (90, 3)
  # One of three updates has an utterance that is not.
  assert found['certified'] == {
    'count': 89,
    'of': 90,
    'updates': 2,
    'interval': attack.share(2, 3)['interval'],
  }
  assert found['snr_db']['median'] == 20.0
  # Nine of 27 draws of three updates hold the first twice or more: over 2.5%.
  # Of 90 utterances a third, drawn singly, is hardly ever a half.
  assert found['snr_db']['median_interval'] == [10.0, 30.0]


def test_share_is_wilsons_interval():
  # Wilson (1927) for 9 of 10 at z = 1.96.
  assert attack.share(9, 10)['interval'] == pytest.approx(
    [0.596, 0.982], abs=1e-3
  )


def test_an_interrupted_attack_is_recorded(tmp_path, monkeypatch):
  from fedjax_asr.jobs import attack as job

  def interrupted(cfg, workdir):
    path = tmp_path / 'attack'
    path.mkdir()
    (path / 'attack.json').write_text(
      json.dumps([_record(1, method='span'), _record(2, method='span')])
    )
    raise KeyboardInterrupt

  monkeypatch.setattr(job, 'run', interrupted)
  found = attack.measured(['--config=configs/ds1_attack.py'], str(tmp_path))
  assert found['interrupted']
  assert found['victims_asked'] == 2
  assert found['methods']['span']['num_utterances'] == 2
