import io
import re
import time

import rich.console

from fedjax_asr import progress

_HIDE, _SHOW = '\x1b[?25l', '\x1b[?25h'


def _output(num_rounds, *, is_terminal, start=0, wer_at=()):
  console = rich.console.Console(
    file=io.StringIO(), force_terminal=is_terminal, width=120
  )
  with progress.Progress(num_rounds, start=start, console=console) as bar:
    for round_index in range(start + 1, num_rounds + 1):
      bar.advance(
        loss=1.5,
        wer=0.25 if round_index in wer_at else None,
        clients_per_second=12.34,
        times_real_time=432.1,
      )
    bar.print('example [transcript]')
  assert isinstance(console.file, io.StringIO)
  return console.file.getvalue()


def test_line_has_round_loss_wer_and_rates():
  first, last, example = _output(2, is_terminal=False, wer_at=[2]).splitlines()
  assert first.startswith('round 1/2  loss 1.500  12.3 clients/s')
  assert 'WER 25.0%  12.3 clients/s  432.1 times real time' in last
  assert last.endswith('0:00:00 left')
  assert example == 'example [transcript]'


def test_log_file_stays_short_and_has_each_evaluation():
  lines = _output(1000, is_terminal=False, wer_at=[7]).splitlines()
  assert len(lines) < 30
  assert lines[1].startswith('round 7/1000 ')


def test_resumed_run_counts_on():
  lines = _output(4, is_terminal=False, start=3).splitlines()
  assert lines[0].startswith('round 4/4 ')


def test_terminal_has_a_bar():
  text = _output(3, is_terminal=True, wer_at=[2])
  for piece in ('3/3', 'loss 1.500', 'WER 25.0%', '12.3 clients/s'):
    assert piece in text


def test_loss_is_a_power_of_ten_once_it_is_large():
  assert progress.loss_text(99_999.4) == '99999.400'
  assert progress.loss_text(100_000.0) == '1.00e+05'
  console = rich.console.Console(file=io.StringIO(), width=120)
  with progress.Progress(1, console=console) as bar:
    bar.advance(loss=5.7e32)
  assert isinstance(console.file, io.StringIO)
  assert console.file.getvalue().startswith('round 1/1  loss 5.70e+32  ')


def _counted(*, is_terminal, every_seconds=0.0, total=1000, **options):
  console = rich.console.Console(
    file=io.StringIO(), force_terminal=is_terminal, width=80
  )
  counted = progress.Counted(
    console, 'files', every_seconds=every_seconds, **options
  )
  with counted as bar:
    for done in range(total + 1):
      bar.report(done, total)
      bar.tell('x' * 100)
    if is_terminal:
      time.sleep(0.15)
  assert isinstance(console.file, io.StringIO)
  return console.file.getvalue()


def test_counted_work_has_about_twenty_lines_once_it_lasts():
  lines = _counted(is_terminal=False).splitlines()
  assert lines[0].startswith('files 50/1000  0:00:0')
  assert 18 <= len(lines) <= 20
  assert all(
    re.fullmatch(r'files \d+/1000  [\d:]+ left', line) for line in lines
  )
  assert not _counted(is_terminal=False, every_seconds=20.0)
  assert not _counted(is_terminal=False, has_lines=False)


def test_counted_work_has_a_bar_that_fits_and_goes():
  text = _counted(is_terminal=True)
  assert text.count(_HIDE) == text.count(_SHOW) == 1
  shown = re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', text)
  assert '1000/1000' in shown
  assert all(len(line) <= 80 for line in re.split('[\r\n]+', shown))


def test_a_part_of_a_round_is_shown_on_a_terminal_only():
  for is_terminal in (True, False):
    console = rich.console.Console(
      file=io.StringIO(), force_terminal=is_terminal, width=100
    )
    with (
      progress.Progress(2, console=console) as bar,
      bar.within('speakers') as report,
    ):
      report(3, 7)
      time.sleep(0.15)
    assert isinstance(console.file, io.StringIO)
    assert ('3/7' in console.file.getvalue()) == is_terminal
