"""The configs that are committed."""

import pathlib
import re

import pytest

from fedjax_asr import command_line, config_file
from fedjax_asr.federated import partition

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


@pytest.mark.parametrize('name', ['ds1_fedavg', 'ds2_fedavg'])
@pytest.mark.parametrize('variant', ['', ':gpu', ':features'])
def test_what_is_left_open_of_the_shipped_configs(name, variant):
  """The measurements were made with these numbers."""
  cfg = command_line.parse(['', f'--config={name}{variant}']).config
  speakers = [str(number) for number in range(320 if variant else 108)]
  found = partition.settled(cfg.federated, speakers)
  assert found.server.warmup_rounds == 10
  assert found.cohort_size == (256 if variant == ':gpu' else 8)


def test_attacks_on_a_run_are_one_config_by_three_names():
  cfg = command_line.parse(['', '--config=attack']).config
  assert cfg.attack.methods == ()
  for name in ('ds1_attack:run', 'ds2_attack:run'):
    assert command_line.parse(['', f'--config={name}']).config == cfg


@pytest.mark.parametrize('variant', ['', ':smoke'])
def test_the_default_run_is_one_that_demixing_reads(variant):
  """Four units for each unknown of a frame, in both convolutions."""
  cfg = command_line.parse(['', f'--config=ds2_fedavg{variant}']).config
  ds2, bands, hop = cfg.model.ds2, cfg.features.num_features, 1
  for channels, time_stride, frequency_stride in zip(
    ds2.conv_channels,
    ds2.conv_time_strides,
    ds2.conv_frequency_strides,
    strict=True,
  ):
    bands, hop = bands // frequency_stride, hop * time_stride
    assert channels * bands >= 4 * hop * cfg.features.num_features
