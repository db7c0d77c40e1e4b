"""Traces that can be read, and what is said of those that cannot."""

import pytest

from fedjax_asr import config
from fedjax_asr.federated import speed_trace

NAMES = ['anna', 'ben', 'cleo, the third']
WINDOWS = 'client,seconds_per_step,available_from,available_until\n'


def read(tmp_path, text):
  path = tmp_path / 'trace.csv'
  path.write_text(text, encoding='utf-8')
  return speed_trace.read(str(path), NAMES)


def test_columns_are_found_by_their_names(tmp_path):
  text = 'seconds_per_step, client\r\n2,ben\r\n\r\n0.5,anna\r\n1e1,'
  found = read(tmp_path, text + '"cleo, the third"\r\n')
  assert [window[:4] for window in found] == [
    (1, 2.0, 0.0, float('inf')),
    (0, 0.5, 0.0, float('inf')),
    (2, 10.0, 0.0, float('inf')),
  ]


def test_a_client_may_have_several_windows(tmp_path):
  text = f'{WINDOWS}ben,1,10,inf\nanna,2,0,5\nben,3,0,10\n'
  found = read(tmp_path, f'{text}"cleo, the third",1,0,9')
  assert [window[:4] for window in found][:3] == [
    (1, 1.0, 10.0, float('inf')),
    (0, 2.0, 0.0, 5.0),
    (1, 3.0, 0.0, 10.0),
  ]


ALL = 'ben,1\nanna,1\n"cleo, the third",1\n'


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('', ' has columns none; want client, seconds_per_step and, or not, avail'),
    ('client,speed\n', ' has columns client, speed; want client, seconds_per'),
    (
      'client,seconds_per_step,available_from\n',
      ' has columns client, seconds_per_step, available_from; want client, ',
    ),
    (
      'client,client,seconds_per_step\n',
      ' has columns client, client, seconds_per_step; want',
    ),
    (
      'client,seconds_per_step\nanna,1\n\nben,fast\n',
      ", line 4: seconds_per_step='fast'; want a number > 0.",
    ),
    (
      'client,seconds_per_step\nanna,-1\n',
      ", line 2: seconds_per_step='-1'; want a number > 0.",
    ),
    (
      'client,seconds_per_step\nanna,nan\n',
      ", line 2: seconds_per_step='nan'; want a number > 0.",
    ),
    (
      'client,seconds_per_step\nanna,1,2\n',
      ', line 2: anna,1,2; want 2 values.',
    ),
    (
      f'{WINDOWS}anna,1,-1,5\n',
      ", line 2: available_from='-1'; want a number >= 0.",
    ),
    (
      f'{WINDOWS}anna,1,5,5\n',
      ", line 2: available_until='5'; want a number > available_from=5.",
    ),
    (
      f'{WINDOWS}anna,1,0,6\nben,1,0,9\nanna,1,5,9\n"cleo, the third",1,0,1\n',
      ", line 4: client='anna'; want a window that does not overlap with that "
      'of line 2.',
    ),
    (
      f'client,seconds_per_step\n{ALL}anna,1\n',
      ", line 5: client='anna'; want a window that does not overlap with",
    ),
    (
      f'client,seconds_per_step\n{ALL}bena,1\nx,2\nx,3\n',
      " has unknown client 'bena', 'x'; want clients of the population, such "
      'as ben, ',
    ),
    (
      'client,seconds_per_step\nben,1\n',
      " lacks client 'anna', 'cleo, the third'; want all 3 clients",
    ),
    ('client,seconds_per_step\n"anna,1\n', ': unexpected end of data; want'),
  ],
)
def test_what_is_wrong_with_a_trace_is_one_line(tmp_path, text, message):
  with pytest.raises(config.ConfigError) as caught:
    read(tmp_path, text)
  said = str(caught.value)
  start = f'config.federated.systems.trace={str(tmp_path / "trace.csv")!r}'
  assert said.startswith(start + message)
  assert '\n' not in said


@pytest.mark.parametrize('name', ['none.csv', '.'])
def test_a_trace_that_is_no_file_is_one_line(tmp_path, name):
  with pytest.raises(config.ConfigError, match=r'trace=.*(No such|directory)'):
    speed_trace.read(str(tmp_path / name), NAMES)


def test_a_trace_that_is_no_text_is_one_line(tmp_path):
  (tmp_path / 'trace.csv').write_bytes(b'client\xff')
  with pytest.raises(config.ConfigError, match=r'trace=.*utf-8'):
    speed_trace.read(str(tmp_path / 'trace.csv'), NAMES)
