"""A run that was never trained, and its report."""

import generated_run
import pytest

from fedjax_asr.figures import drawn_run
from fedjax_asr.report_pages import sections


@pytest.fixture
def run(tmp_path):
  generated_run.write(tmp_path / 'run', num_rounds=20, num_utterances=12)
  return tmp_path / 'run'


@pytest.fixture
def report_of():
  """The report of a directory, as it is when called."""

  def built(path, pictures=()):
    run = drawn_run.DrawnRun(path)
    return sections.built(sections.Material(run, pictures))

  return built
