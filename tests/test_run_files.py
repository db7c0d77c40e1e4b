"""A run's files have their names in one place."""

import ast
import pathlib

from fedjax_asr import run_files

PACKAGE = pathlib.Path(run_files.__file__).parent


def _names():
  """Of what has one whatever the run, but the lock: others end in that."""
  files = run_files.RunFiles('run')
  return {
    getattr(files, name).name
    for name, value in vars(run_files.RunFiles).items()
    if isinstance(value, property) and name != 'lock'
  }


def test_no_other_module_types_the_name_of_a_file_again():
  typed = {
    (path.relative_to(PACKAGE).as_posix(), node.value)
    for path in PACKAGE.rglob('*.py')
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
    if isinstance(node, ast.Constant) and node.value in _names()
  }
  assert {module for module, _ in typed} == {'run_files.py'}
  assert {name for _, name in typed} == _names()


def test_every_file_is_in_the_directory_and_says_what_it_holds():
  files = run_files.RunFiles('run')
  for name, value in vars(run_files.RunFiles).items():
    if isinstance(value, property):
      assert value.__doc__
      assert getattr(files, name).is_relative_to('run')


def test_names_that_a_file_system_may_not_take_are_spelled_out():
  files = run_files.RunFiles('run')
  assert files.recording('a/b 1').name == 'a_b_1_recording.wav'
  assert files.resynthesis('a/b', 'span', '_x').name == (
    'a_b_span_resynthesised_x.wav'
  )
  assert files.reconstruction_figure('ä:b', 'span').name == (
    'reconstruction_ä_b_span.png'
  )
  assert run_files.numbered(files.config_json, 2).name == 'config.2.json'
