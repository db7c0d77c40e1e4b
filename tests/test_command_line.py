import dataclasses
import enum
import textwrap

import pytest

from fedjax_asr import command_line, config

_LEAVES = list(config.walk(config.Config()))


@pytest.fixture
def source(tmp_path):
  path = tmp_path / 'experiment.py'
  path.write_text(
    textwrap.dedent("""
      from fedjax_asr import config

      def get_config(variant=''):
        if variant not in ('', 'smoke'):
          raise ValueError(f'variant={variant!r}; want one of: smoke.')
        return config.Config(name='mine', seed=7)
    """)
  )
  return f'--config={path}'


def _parse(*flags):
  return command_line.parse(['fedjax_asr', *flags])


def _error(*flags):
  with pytest.raises(config.UserError) as caught:
    _parse(*flags)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def _word(value):
  return value.value if isinstance(value, enum.Enum) else str(value)


@pytest.mark.parametrize(
  ('path', 'value'),
  [(path, value) for path, _, _, value in _LEAVES],
  ids=[path for path, *_ in _LEAVES],
)
def test_every_field_is_a_flag_that_takes_its_own_value(source, path, value):
  got = {p: v for p, *_, v in config.walk(_parse(source).config)}
  want = got | {path: value}
  flag = f'--{path}={_word(value)}'
  got = {p: v for p, *_, v in config.walk(_parse(source, flag).config)}
  assert got == want
  assert type(got[path]) is type(value)


@pytest.mark.parametrize(
  ('flag', 'path', 'want'),
  [
    ('--config.federated.cohort_size=16', 'federated.cohort_size', 16),
    ('--config.data.max_seconds=3', 'data.max_seconds', 3.0),
    ('--config.model.ds2.cell=lstm', 'model.ds2.cell', config.Cell.LSTM),
    ('--noconfig.model.ds2.bidirectional', 'model.ds2.bidirectional', False),
    ('--config.model.ds2.bidirectional', 'model.ds2.bidirectional', True),
    (
      '--config.model.ds2.conv_channels=8,16',
      'model.ds2.conv_channels',
      (8, 16),
    ),
    (
      '--config.model.ds2.conv_channels=[8, 16]',
      'model.ds2.conv_channels',
      (8, 16),
    ),
    ('--config.seed 3', 'seed', 3),
    ('--config.data.drop_tags=[noise]', 'data.drop_tags', ('[noise]',)),
    (
      "--config.data.drop_tags='[noise]','<unk>'",
      'data.drop_tags',
      ('[noise]', '<unk>'),
    ),
  ],
)
def test_override_reaches_its_field(source, flag, path, want):
  words = flag.split(' ', 1) if flag.endswith(' 3') else [flag]
  for flags in ([source, *words], [*words, source]):
    got = {p: v for p, *_, v in config.walk(_parse(*flags).config)}
    assert got[f'config.{path}'] == want


def test_config_may_be_a_word_of_its_own(source):
  command = _parse('--config', source.removeprefix('--config='))
  assert command.config.seed == 7


def test_default_workdir_has_name_and_variant(source):
  assert _parse(source).workdir == 'runs/mine'
  assert _parse(f'{source}:smoke').workdir == 'runs/mine-smoke'
  assert _parse(source, '--config.name=other').workdir == 'runs/other'
  assert _parse(source, '--workdir=/w').workdir == '/w'


def test_config_change_is_refused_unless_asked_for(source):
  assert not _parse(source).allow_config_change
  assert _parse(source, '--allow_config_change').allow_config_change


def test_every_enumeration_lists_its_values(source):
  for path, _, hint, _ in _LEAVES:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
      message = _error(source, f'--{path}=nonsense')
      assert message.startswith(f'--{path}=nonsense; want one of ')
      assert all(item.value in message for item in hint)


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--config.seed=abc', '--config.seed=abc; want an integer.'),
    ('--config.seed=1.5', '--config.seed=1.5; want an integer.'),
    ('--config.seed', '--config.seed has no value; want an integer.'),
    ('--config.seed=-1', 'config.seed=-1; want >= 0 and < 4.29497e+09.'),
    (
      '--config.model.ds2.dropout=x',
      '--config.model.ds2.dropout=x; want a number.',
    ),
    (
      '--config.model.ds2.dropout=nan',
      'config.model.ds2.dropout=nan; want a finite number.',
    ),
    (
      '--config.model.ds2.bidirectional=maybe',
      '--config.model.ds2.bidirectional=maybe; want true or false.',
    ),
    (
      '--config.model.ds2.conv_channels=(1,',
      '--config.model.ds2.conv_channels=(1,; want a tuple of int, such as '
      '(1, 2).',
    ),
    (
      '--config.model.ds2.conv_channels=a',
      "config.model.ds2.conv_channels=('a',); want a tuple of int.",
    ),
    (
      '--config.data.drop_tags=[noise],<unk>',
      '--config.data.drop_tags=[noise],<unk>; want a tuple of str, such as '
      "('a', 'b').",
    ),
    (
      '--config.data.drop_tags=um,uh',
      "config.data.drop_tags=['um,uh']; want tags without a comma",
    ),
    (
      '--config.federated.cohort_siz=3',
      '--config.federated.cohort_siz: no such field; nearest: '
      '--config.federated.cohort_size',
    ),
    (
      '--config.cohort_size=3',
      '--config.cohort_size: no such field; nearest: '
      '--config.federated.cohort_size.',
    ),
    ('--config.data=x', '--config.data is a section; want a field of it'),
    ('--wrkdir=x', '--wrkdir: no such flag; want --config, --workdir'),
    ('stray', "'stray' is not a flag; want --config, --workdir"),
    ('--allow_config_change=x', '--allow_config_change=x; want true or false.'),
  ],
)
def test_mistake_names_field_value_and_what_was_wanted(source, flag, message):
  for flags in (
    [source, flag],
    [source, '--config.model.ds2.dropout=0.5', flag],
  ):
    assert _error(*flags).startswith(message)


def test_a_config_path_may_have_colons(tmp_path):
  path = tmp_path / '12:30' / 'a:b.py'
  path.parent.mkdir()
  path.write_text(
    'from fedjax_asr import config\n'
    'def get_config(variant): return config.Config(name="n" + variant)\n'
  )
  command = _parse(f'--config={path}:smoke', '--config.seed=3')
  assert (command.config.name, command.config.seed) == ('nsmoke', 3)
  assert command.workdir == 'runs/nsmoke-smoke'
  assert _parse(f'--config={path}').workdir == 'runs/n'


def test_a_config_that_comes_with_us_goes_by_its_name(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  command = _parse('--config=ds2_fedavg:smoke')
  assert command.workdir == 'runs/ds2_fedavg-smoke'


def test_missing_config_flag_says_what_to_give():
  assert _error().startswith('--config is missing; want')
  assert _error('--config=').startswith('--config is missing; want')
  assert _error('--config').startswith('--config has no value; want')


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('def get_config(:', ', line 1: invalid syntax.'),
    ('import nonsense_module', ', line 1: ModuleNotFoundError: No module'),
    ('x = 1', ' has no function get_config(variant).'),
    ('def get_config(variant): return {}', 'is of type dict; want a'),
    ('def get_config(): return 1', 'TypeError: too many positional'),
    (
      'def get_config(variant):\n  raise ValueError("want one of: a")',
      ', line 2: want one of: a',
    ),
    (
      'from fedjax_asr import config\n'
      'def get_config(variant): return config.Config(sed=1)',
      "got an unexpected keyword argument 'sed'",
    ),
  ],
)
def test_broken_config_file_names_file_and_line(tmp_path, text, message):
  path = tmp_path / 'broken.py'
  path.write_text(text)
  error = _error(f'--config={path}')
  assert message in error
  assert str(path) in error


def test_missing_config_file_is_named(tmp_path):
  message = f'--config={tmp_path}/no.py: no such file; want a config file'
  assert _error(f'--config={tmp_path}/no.py').startswith(message)
  assert _error(f'--config={tmp_path}').startswith(f'--config={tmp_path}: no')


def test_unknown_variant_is_answered_by_the_config_file(source):
  assert "variant='gpu'; want one of: smoke." in _error(f'{source}:gpu')


def test_command_has_one_config_of_its_own(source):
  first, second = _parse(source), _parse(source)
  first.config.model.ds2.dropout = 0.75
  assert second.config == dataclasses.replace(
    config.Config(), name='mine', seed=7
  )
