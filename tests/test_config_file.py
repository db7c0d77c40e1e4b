import pathlib

import pytest

from fedjax_asr import config_file

_CONFIGS = pathlib.Path(__file__).resolve().parent.parent / 'configs'
_TEXT = """
from fedjax_asr import config

def get_config(variant=''):
  return config.Config(name=f'has_{variant}')
"""


@pytest.mark.parametrize(
  ('source', 'path', 'variant'),
  [
    ('configs/a.py', 'configs/a.py', ''),
    ('configs/a.py:smoke', 'configs/a.py', 'smoke'),
    ('configs/a.py:', 'configs/a.py', ''),
    ('12:30/a.py', '12:30/a.py', ''),
    ('12:30/a.py:smoke', '12:30/a.py', 'smoke'),
    ('12:30.py', '12:30.py', ''),
    ('12:30.py:smoke', '12:30.py', 'smoke'),
    (':a.py', ':a.py', ''),
    ('ds2_fedavg', 'ds2_fedavg', ''),
    ('ds2_fedavg:smoke', 'ds2_fedavg', 'smoke'),
    ('none', 'none', ''),
    ('none:smoke', 'none', 'smoke'),
  ],
)
def test_a_variant_is_what_follows_the_last_colon_of_no_path(
  source, path, variant
):
  assert config_file.split(source) == (path, variant)


def test_a_file_that_exists_may_have_any_name(tmp_path):
  folder = tmp_path / '2026-01-01T12:30:00'
  folder.mkdir()
  plain = folder / 'my:config.py'
  odd = folder / 'a.py:smoke'
  plain.write_text(_TEXT)
  odd.write_text(_TEXT)
  assert config_file.read(str(plain)).name == 'has_'
  assert config_file.read(f'{plain}:x').name == 'has_x'
  # As much as is a path is one.
  assert config_file.read(f'{plain}:x:y').name == 'has_x:y'
  assert config_file.split(str(odd)) == (str(odd), '')
  assert config_file.split(f'{odd}:x') == (str(odd), 'x')


def test_a_shipped_config_has_a_name_and_a_line_about_it():
  found = config_file.shipped()
  assert list(found) == sorted(path.stem for path in _CONFIGS.glob('*.py'))
  assert all(line.endswith('.') for line in found.values())
  for name in found:
    by_path = config_file.read(str(_CONFIGS / f'{name}.py'))
    assert config_file.read(name) == by_path


@pytest.mark.parametrize('path', ['none', 'configs/none.py', 'a' * 300, '\0'])
def test_a_config_that_is_not_there_is_answered_by_those_that_are(path):
  with pytest.raises(config_file.ConfigFileError, match='ds2_fedavg, ') as seen:
    config_file.read(path)
  assert str(seen.value).startswith(f'--config={path}: no such file; want')


def test_a_variant_that_is_not_there_is_answered_by_those_that_are():
  sizes = {'': 6, 'words': 3}
  assert [config_file.chosen(name, sizes) for name in sizes] == [6, 3]
  with pytest.raises(ValueError, match="variant 'x'; want one of '', 'words'"):
    config_file.chosen('x', sizes)
  with pytest.raises(ValueError, match="variant 'x'; want none"):
    config_file.chosen('x', {'': 6})


def test_variants_are_those_that_a_config_names(tmp_path):
  assert config_file.variants('attack') == ('',)
  found = config_file.variants('ds2_fedavg')
  assert {'', 'tiny', 'smoke'} <= set(found)
  for variant in found:
    assert config_file.read(
      f'ds2_fedavg:{variant}' if variant else 'ds2_fedavg'
    )
  own = tmp_path / 'own.py'
  own.write_text(
    'from fedjax_asr import config\n'
    'def get_config(variant=""):\n  return config.Config()\n'
  )
  assert config_file.variants(str(own)) == ('',)
