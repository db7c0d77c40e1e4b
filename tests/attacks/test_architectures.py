"""An attack that is written for an architecture says so."""

import ast
import pathlib
import re

import pytest

from fedjax_asr import attacks, config

NAMES = {'ds1': 'DeepSpeech 1', 'ds2': 'DeepSpeech 2'}
FILES = sorted(pathlib.Path(attacks.__path__[0]).rglob('*.py'))


@pytest.mark.parametrize('section', NAMES)
def test_what_reads_an_architectures_section_names_it(section):
  reading = [
    (file.name, ast.get_docstring(ast.parse(source)) or '')
    for file, source in ((file, file.read_text()) for file in FILES)
    if re.search(rf'observed\.model\.{section}\b', source)
  ]
  assert reading
  for file, said in reading:
    assert NAMES[section] in said, file


def test_the_chosen_section_is_the_architectures():
  for architecture in config.Architecture:
    cfg = config.ModelConfig(architecture=architecture)
    assert cfg.chosen is getattr(cfg, architecture.value)
