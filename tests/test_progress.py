import io

import rich.console

from fedjax_asr import progress


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
