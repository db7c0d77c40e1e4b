"""Corpora as people have them, from files to a trained round."""

import json

import layouts
import pytest
import tiny_run


@pytest.mark.slow
def test_common_voice_is_trained_on_without_a_clip_that_is_missing(
  main, tmp_path
):
  pytest.importorskip('espeakng_loader')
  path = layouts.common_voice(tmp_path / 'corpus')
  (path / 'clips' / 'common_voice_en_s0000-u0001.mp3').unlink()
  status, output, errors = main(
    tmp_path / 'run',
    '--config.data.corpus=common_voice',
    f'--config.data.path={path}',
    f'--config.data.cache_dir={tmp_path}',
    '--config.federated.num_rounds=1',
    '--config.features.kind=log_mel',
    '--config.data.heldout_utterance_fraction=0',
  )
  assert (status, errors) == (0, [])
  assert 'of 4 clients; held out: ' in output
  assert 'bad utterances by kind: 1 missing_file' in output
  (record,) = tiny_run.metrics(tmp_path / 'run')
  assert record['eval/wer'] > 0


def test_a_table_without_a_column_is_one_line(main, tmp_path):
  table = tmp_path / 'validated.tsv'
  table.write_text('path\tsentence\nx.mp3\tone\n')
  status, _, errors = main(
    tmp_path / 'run',
    '--config.data.corpus=common_voice',
    f'--config.data.path={tmp_path}',
  )
  assert status == 2
  assert errors == [
    f'error: {table}: no column client_id; want client_id, path, sentence, '
    'separated by tabs.'
  ]


def test_who_holds_the_speech_is_the_client_and_who_speaks_is_evaluated(
  main, tmp_path
):
  """Five speakers, of whom each but the first has a phone for half of it."""
  lines = tiny_run.write_corpus(tmp_path)
  rows = [
    line if line['speaker'] == 's0' or index % 4 > 1 else line | {'client': who}
    for index, line in enumerate(lines)
    for who in [f'phone of {line["speaker"]}']
  ]
  path = tmp_path / 'clients.jsonl'
  tiny_run.write_manifest(path, rows)
  status, output, errors = main(
    tmp_path / 'run',
    f'--config.data.path={path}',
    '--config.federated.num_rounds=2',
    '--config.data.heldout_utterance_fraction=0',
    '--config.data.num_heldout_speakers=1',
  )
  assert (status, errors) == (0, [])
  scores = json.loads((tmp_path / 'run' / 'speakers.json').read_text())
  (heldout,) = scores['speakers']
  num_clients = 8 if heldout == 's0' else 7
  assert f' of {num_clients} clients; held out: 4 of 1 other' in output
