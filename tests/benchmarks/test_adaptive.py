"""The benchmark of noisy updates: its halves of speech and its table."""

import json

import adaptive
import pytest


def test_halves_are_of_ids_and_share_nothing(tmp_path):
  manifest = tmp_path / 'manifest.jsonl'
  rows = [{'audio_filepath': f'{name}.wav', 'id': name} for name in 'dbace']
  manifest.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  halves = [
    [
      json.loads(line)
      for line in adaptive.half_of(manifest, which).splitlines()
    ]
    for which in ('first', 'second')
  ]
  assert [[row['id'] for row in half] for half in halves] == [
    ['a', 'b'],
    ['c', 'd', 'e'],
  ]
  assert halves[0][0]['audio_filepath'] == str(tmp_path / 'a.wav')


def _row(snr, refused='', misfit=1.0):
  return {
    'method': 'adaptive',
    'refused': refused,
    'snr_db': snr,
    'public_snr_db': 0.0,
    'num_frames': 9,
    'num_frames_found': 9 if snr else 0,
    'certificate': {'misfit': misfit, 'misfit_limit': 1.1} if snr else {},
  }


def test_refusals_are_inside_the_median_and_limits_are_kept_to():
  rows = [_row(25.0), _row(9.0, misfit=2.0), _row(None, 'why')]
  line = adaptive.table([{'noise': 1e-5, 'rows': rows}]).splitlines()[-1]
  cells = [cell.strip() for cell in line.split('|')[1:-1]]
  assert cells[:4] == ['1e-05', 'adaptive', '3', '1']
  assert cells[4].startswith('9.0 dB')
  assert cells[5:9] == ['2', '1', '2', '1, 25.0 to 25.0 dB']


@pytest.mark.parametrize('num_refused', [2, 3])
def test_a_median_that_falls_on_a_refusal_says_so(num_refused):
  rows = [_row(None, 'why')] * num_refused + [_row(9.0)]
  assert '| refused |' in adaptive.table([{'noise': 0.1, 'rows': rows}])
