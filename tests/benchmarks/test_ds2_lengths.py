"""The table of how long speech may be."""

import ds2_lengths


def _row(snr, *, certified=True, refused=''):
  return {
    'snr_db': snr,
    'is_certified': certified,
    'is_whole': certified,
    'refused': refused,
    'seconds': 2.0,
  }


def _cells(rows, name='base:4:chain:float32:3'):
  point = {'point': name, 'precision': 'float32', 'rows': rows}
  line = ds2_lengths.table([point]).splitlines()[-1]
  return [cell.strip() for cell in line.split('|')[1:-1]]


def test_refusals_are_inside_the_median_and_out_of_what_is_certified():
  refused = _row(None, certified=False, refused='why')
  cells = _cells([_row(110.0), _row(90.0), refused])
  assert cells[:4] == ['80 log-mel', '4 s', 'chain', 'float32']
  assert cells[4].startswith('2 of 3')
  assert cells[5:9] == ['2', '1', '90.0 dB', '90.0 dB']
  cells = _cells([_row(110.0), refused, refused], 'spectrogram:0:search:f:3')
  assert cells[:2] == ['161 bins', 'whole']
  assert cells[7:9] == ['refused', '110.0 dB']
