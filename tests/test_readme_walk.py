"""The walk through the README: what it finds, runs, leaves out and tells."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

from benchmarks import readme_blocks, readme_walk, speech_manifest
from fedjax_asr import config
from fedjax_asr.corpora import datasets
from fedjax_asr.models import model
from fedjax_asr.presets import models

_README = pathlib.Path(__file__).resolve().parents[1] / 'README.md'

_PAGE = """# A page

<!-- needs: network -->
```sh
pip install x
```

```json
{"a": "not a command"}
```

```sh
# A comment.
one --flag \\
  --other=2

two
```
<!-- needs: gpu -->
A marker that belongs to no block.

```sh
three
```
"""


def test_commands_of_a_page_are_found_in_order_with_their_needs():
  assert readme_blocks.commands(_PAGE) == [
    readme_blocks.Command(1, 4, 'network', 'pip install x'),
    readme_blocks.Command(2, 12, '', 'one --flag --other=2'),
    readme_blocks.Command(3, 12, '', 'two'),
    readme_blocks.Command(4, 22, '', 'three'),
  ]


@pytest.mark.parametrize(
  ('page', 'message'),
  [
    ('<!-- needs: luck -->\n```sh\na\n```\n', "line 1: needs 'luck'"),
    ('\n```sh\na\n', 'line 2: a block that is not closed'),
  ],
)
def test_what_cannot_be_read_names_its_line(page, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    readme_blocks.commands(page)


def test_every_block_of_the_readme_is_found():
  text = _README.read_text(encoding='utf-8')
  found = readme_blocks.commands(text)
  starts = [
    text[: match.start()].count('\n') + 1
    for match in re.finditer(r'^```sh$', text, re.MULTILINE)
  ]
  assert sorted({command.line for command in found}) == starts
  assert {command.needs for command in found} - {''} == set(readme_blocks.NEEDS)


def test_speech_that_the_readme_takes_from_its_reader_is_made():
  text = _README.read_text(encoding='utf-8')
  taken = [
    word.rpartition('=')[2]
    for command in readme_blocks.commands(text)
    if command.needs in ('manifest', 'recording')
    for word in command.text.split()
    if re.search(r'(path|input)=|\.wav$', word)
  ]
  assert taken
  made = ' '.join(readme_walk.PREPARED)
  for path in taken:
    folder, _, name = path.rpartition('/')
    assert (folder if name == 'manifest.jsonl' else path) in made.split()


@pytest.fixture
def walk(tmp_path, monkeypatch):
  """Walks a page of its own; the exit status, the record and the log."""

  def walked(page, *flags):
    checkout = tmp_path / 'checkout'
    checkout.mkdir()
    (checkout / 'README.md').write_text(page)
    git = ['git', '-c', 'user.name=a', '-c', 'user.email=a@b.c']
    for arguments in (['init', '-q'], ['add', '-A'], ['commit', '-qm', 'a']):
      subprocess.run([*git, *arguments], cwd=checkout, check=True)
    # Not committed, so not walked.
    (checkout / 'README.md').write_text(_page(('', 'exit 1')) * 9)
    programs = tmp_path / 'environment' / 'bin'
    programs.mkdir(parents=True)
    (programs / 'python').symlink_to(sys.executable)
    (programs / 'tool').write_text('#!/bin/sh\necho of the environment\n')
    (programs / 'tool').chmod(0o755)
    monkeypatch.setattr(readme_walk, 'CHECKOUT', checkout)
    result = tmp_path / 'result.json'
    environment = f'--environment={programs.parent}'
    status = readme_walk.main(['', str(result), environment, *flags])
    log = result.with_suffix('.log').read_text().splitlines()
    return status, json.loads(result.read_text()), log

  return walked


def _page(*blocks):
  return ''.join(
    f'<!-- needs: {needs} -->\n```sh\n{text}\n```\n'
    if needs
    else f'text\n```sh\n{text}\n```\n'
    for needs, text in blocks
  )


def test_a_command_that_fails_is_told_and_the_next_ones_run(walk):
  status, record, log = walk(
    _page(('', 'touch a'), ('', 'ls a b; exit 3'), ('', 'ls a'))
  )
  assert status == 1
  ended = [(each['status'], each['exit_status']) for each in record['commands']]
  assert ended == [('passed', 0), ('failed', 3), ('passed', 0)]
  # The third sees what the first left in the clone.
  assert record['commands'][2]['output'] == ['a']
  assert [line.split()[:2] for line in log] == [
    ['1', 'passed'],
    ['2', 'failed'],
    ['3', 'passed'],
  ]


def test_commands_without_what_they_need_are_skipped_with_the_reason(walk):
  page = _page(
    ('gpu', 'exit 1'), ('librispeech', 'exit 1'), ('network', 'pip install x')
  )
  status, record, _ = walk(page)
  assert status == 0
  assert {each['status'] for each in record['commands']} == {'skipped'}
  assert '--gpu runs it' in record['commands'][0]['output'][0]


def test_librispeech_is_where_the_readme_has_it(walk, tmp_path):
  (tmp_path / 'speech' / 'dev-clean').mkdir(parents=True)
  page = _page(('librispeech', 'ls LibriSpeech'))
  _, record, _ = walk(page, f'--librispeech={tmp_path / "speech"}')
  assert record['commands'][0]['output'] == ['dev-clean']


def test_only_the_commands_that_are_named_run(walk):
  _, record, _ = walk(
    _page(('', 'exit 1'), ('', 'echo 2'), ('', 'exit 1')), '--only=2'
  )
  assert [each['number'] for each in record['commands']] == [2]


def test_a_number_that_no_command_has_is_refused(walk, capsys):
  with pytest.raises(SystemExit, match='2'):
    walk(_page(('', 'exit 1')), '--only=2')
  assert '--only=2; want 1 to 1' in capsys.readouterr().err


def test_a_command_over_its_limit_ends_with_what_it_started(walk, tmp_path):
  late = tmp_path / 'late'
  page = _page(('', f'(sleep 2; touch {late}) & wait'))
  status, record, _ = walk(page, '--limit=0.3')
  assert status == 1
  assert record['commands'][0]['status'] == 'timed out'
  assert record['commands'][0]['exit_status'] is None
  time.sleep(2.2)
  assert not late.exists()


def test_programs_are_the_environments_and_home_is_empty(walk, monkeypatch):
  monkeypatch.setenv('JAX_PLATFORMS', 'tpu')
  page = _page(('', 'tool'), ('', 'echo "$JAX_PLATFORMS$(ls -A ~)."'))
  _, record, _ = walk(page)
  said = [each['output'] for each in record['commands']]
  assert said == [['of the environment'], ['.']]


def test_a_record_names_no_folder_of_the_machine(walk, tmp_path):
  page = _page(
    ('', f'pwd; mktemp -u; echo ~ $0 $PATH {os.path.expanduser("~")}/a')
  )
  _, record, _ = walk(page)
  where, temporary, _ = record['commands'][0]['output']
  assert where == '<clone>'
  assert temporary.startswith('<scratch>/')
  assert str(tmp_path / 'environment') not in json.dumps(record)
  assert os.path.expanduser('~') + '/' not in json.dumps(
    record['commands'][0]['output']
  )


def test_a_failed_preparation_fails_the_walk(walk):
  # The page's own repository has no speech_manifest.py.
  status, record, _ = walk(_page(('recording', 'echo')))
  assert status == 1
  assert record['prepared'][0]['status'] == 'failed'


def test_the_stand_in_for_the_readers_speech_is_a_corpus(tmp_path):
  pytest.importorskip('espeakng_loader', reason='the synthetic extra is absent')
  speech = config.SyntheticConfig(num_speakers=3, utterances_per_speaker=2)
  rows = speech_manifest.write(speech, tmp_path / 'my')
  data = config.DataConfig(
    corpus=config.Corpus.MANIFEST,
    path=str(tmp_path / 'my' / 'manifest.jsonl'),
    cache_dir=str(tmp_path),
    num_workers=1,
  )
  features = config.FeaturesConfig(hop_ms=20.0)
  acoustic = model.acoustic(models.ds2('small'), features.num_features)
  found = datasets.usable(
    data, features, acoustic.num_output_frames, lambda *_: None
  )
  assert len(found.kept) == len(rows) == 6
  assert found.problems == []


@pytest.mark.slow
def test_every_command_of_the_readme_runs_in_a_fresh_clone(tmp_path):
  """About as long as its trainings take; downloads what the package needs."""
  result = tmp_path / 'walk.json'
  status = readme_walk.main(['readme_walk.py', str(result)])
  failed = [
    each
    for each in json.loads(result.read_text())['commands']
    if each['status'] in ('failed', 'timed out')
  ]
  assert (status, failed) == (0, [])
