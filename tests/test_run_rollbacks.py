import pytest

from fedjax_asr import run_error, run_files, run_rollbacks


def _to(round_index, scale=0.5):
  return run_rollbacks.Rollback(
    diverged=round_index + 3, why='poison', round=round_index, scale=scale
  )


def test_what_is_written_is_read(tmp_path):
  files = run_files.RunFiles(tmp_path)
  assert run_rollbacks.read(files) == []
  run_rollbacks.write(files, [])
  assert not files.rollbacks.exists()
  rollbacks = [_to(4), _to(4, 0.25)]
  run_rollbacks.write(files, rollbacks)
  assert run_rollbacks.read(files) == rollbacks
  run_rollbacks.write(files, [])
  assert run_rollbacks.read(files) == []


def test_rounds_saved_before_a_rollback_had_another_step():
  rollbacks = [_to(4, 0.5), _to(8, 0.25)]
  scales = [
    run_rollbacks.scale(run_rollbacks.as_of(rollbacks, index))
    for index in (2, 4, 6, 8, 10)
  ]
  assert scales == [1, 0.5, 0.5, 0.25, 0.25]


def test_a_rollback_that_went_further_back_is_of_all_that_follows():
  rollbacks = [_to(4, 0.5), _to(0, 0.25)]
  assert run_rollbacks.as_of(rollbacks, 0) == rollbacks
  assert run_rollbacks.as_of(rollbacks, 4) == rollbacks


@pytest.mark.parametrize(
  'content', ['[{"round": 2}]', '[3]', '3', '{"round": 2}', 'x']
)
def test_a_damaged_file_is_named(tmp_path, content):
  files = run_files.RunFiles(tmp_path)
  files.rollbacks.write_text(content)
  with pytest.raises(run_error.RunError, match=r'rollbacks\.json'):
    run_rollbacks.read(files)
