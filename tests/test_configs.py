"""The configs that are committed."""

import pathlib
import re

import pytest

from fedjax_asr import command_line, config_file

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_FILES = sorted((_ROOT / 'configs').glob('*.py'))


def _variants(path):
  """The default, and those of the commands in the file's docstring."""
  return ['', *re.findall(rf'{path.name}:(\w+)', path.read_text())]


_SOURCES = [
  f'{path}:{variant}' if variant else str(path)
  for path in _FILES
  for variant in dict.fromkeys(_variants(path))
]


@pytest.mark.parametrize(
  'source', _SOURCES, ids=[pathlib.Path(source).name for source in _SOURCES]
)
def test_documented_variant_is_valid(source):
  # Where the variant names no path, any will do.
  command = command_line.parse(['fedjax_asr', f'--config={source}'])
  assert command.config.name


@pytest.mark.parametrize('path', _FILES, ids=lambda path: path.name)
def test_unknown_variant_is_one_line(path):
  with pytest.raises(config_file.ConfigFileError, match='nonesuch') as caught:
    command_line.parse(['fedjax_asr', f'--config={path}:nonesuch'])
  assert '\n' not in str(caught.value)
