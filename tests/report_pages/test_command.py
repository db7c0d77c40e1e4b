"""A run's config comes again from the command that its report gives."""

import json
import shlex

import pytest

from fedjax_asr import command_line, config, config_file, run_config
from fedjax_asr.report_pages import command


def again(cfg, tmp_path):
  """The config of the command for a run of `cfg`, and the command."""
  file = tmp_path / 'config.json'
  file.write_text(json.dumps(config.as_dict(cfg)))
  found = command.reproducing(run_config.read(file))
  words = shlex.split(found.text.replace('\\\n', ' '))
  assert words[:3] == ['python', '-m', 'fedjax_asr.main']
  return command_line.parse(['main', *words[3:]]).config, found


@pytest.mark.parametrize('source', ['ds2_fedavg:smoke', 'ds1_fedavg', 'attack'])
def test_a_shipped_config_is_named_with_its_variant(source, tmp_path):
  _, found = again(config_file.read(source), tmp_path)
  assert found.text == f'python -m fedjax_asr.main --config={source}'


def test_what_differs_are_flags_that_a_shell_and_the_parser_read_back(tmp_path):
  cfg = config_file.read('ds2_fedavg:tiny')
  cfg.data.heldout_speakers = ("o'neil", 'a b $HOME')
  cfg.data.num_heldout_speakers = 2
  cfg.data.drop_tags = ('"', '`id`')
  cfg.data.disjoint_transcripts = not cfg.data.disjoint_transcripts
  cfg.model.ds2.cell = config.Cell.LSTM
  cfg.federated.client.learning_rate = 0.0625
  found, _ = again(cfg, tmp_path)
  assert config.as_dict(found) == config.as_dict(cfg)


def test_what_no_flag_can_set_is_named(tmp_path):
  saved = config.as_dict(config_file.read('ds2_fedavg:tiny'))
  saved['federated']['never'] = 1
  found = command.reproducing(saved)
  assert found.text == 'python -m fedjax_asr.main --config=ds2_fedavg:tiny'
  assert found.left_out == ['federated.never']


def test_where_the_cache_lies_is_no_part_of_it(tmp_path):
  cfg = config_file.read('ds2_fedavg:tiny')
  cfg.data.cache_dir = '/scratch'
  _, found = again(cfg, tmp_path)
  assert 'scratch' not in found.text
