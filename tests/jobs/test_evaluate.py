import json
import pathlib
import shutil

import numpy as np
import pytest
import tiny_run

from fedjax_asr import config, run_error, saved_run
from fedjax_asr.decoding import scores
from fedjax_asr.jobs import evaluated_set, evaluation_summary

_CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'evaluate.py'


@pytest.fixture
def evaluate(cached, finished, tmp_path, capsys):
  """`evaluate(*flags)`: status, standard output, lines of errors."""
  from fedjax_asr import main

  def run(*flags, of=finished[0]):
    capsys.readouterr()
    status = main.main(
      [
        'fedjax_asr',
        f'--config={_CONFIG}',
        f'--config.evaluate.run={of}',
        f'--workdir={tmp_path / "evaluation"}',
        *flags,
      ]
    )
    output, errors = capsys.readouterr()
    return status, output, errors.splitlines()

  return run


@pytest.fixture
def copy(finished, tmp_path):
  """The run, free to be damaged."""
  return pathlib.Path(shutil.copytree(finished[0], tmp_path / 'copy'))


def _written(tmp_path, name='evaluation'):
  """Of the evaluation that was written last."""
  files = (tmp_path / 'evaluation').glob(f'*/{name}.json')
  return json.loads(
    max(files, key=lambda file: file.stat().st_mtime_ns).read_text()
  )


def test_finished_run_scores_as_it_did_in_training(
  evaluate, finished, tmp_path
):
  status, output, errors = evaluate()
  assert (status, errors) == (0, [])
  assert 'round 6 of' in output
  report, last = _written(tmp_path), tiny_run.metrics(finished[0])[-1]
  assert report['wer']['rate'] == last['eval/wer']
  assert report['cer']['rate'] == last['eval/cer']
  assert report['loss'] == pytest.approx(last['eval/loss'], rel=1e-6)
  assert _written(tmp_path, 'transcripts') == json.loads(
    (finished[0] / 'transcripts.json').read_text()
  )
  speakers = json.loads((finished[0] / 'speakers.json').read_text())
  assert report['speakers'] == speakers['speakers']
  assert report['worst_decile']['speakers'] == list(report['speakers'])


def test_report_holds_what_it_says(evaluate, tmp_path):
  assert evaluate('--config.evaluate.subset=train')[0] == 0
  report = _written(tmp_path)
  assert (report['subset'], report['round']) == ('train', 6)
  assert report['num_utterances'] == 14
  assert report['num_speakers'] == 4
  # One word in each transcript but 'a b'.
  said = [
    item['reference']
    for item in _written(tmp_path, 'transcripts')['transcripts']
  ]
  assert report['num_words'] == sum(len(text.split()) for text in said)
  for rate in (report['wer'], report['cer']):
    for name in ('by_utterance', 'by_speaker'):
      assert rate[name]['low'] <= rate['rate'] <= rate[name]['high']


def test_errors_are_counted_by_kind(evaluate, tmp_path):
  status, output, _ = evaluate()
  assert status == 0
  report = _written(tmp_path)
  edits = report['edits']['words']
  assert sum(edits.values()) == pytest.approx(
    report['wer']['rate'] * report['num_words']
  )
  for kind in ('substitutions', 'deletions', 'insertions'):
    assert f'{edits[kind]} {kind}' in output


def test_no_empty_folder_is_left(evaluate, tmp_path):
  assert evaluate()[0] == 0
  folders = [path for path in tmp_path.rglob('*') if path.is_dir()]
  assert folders
  for path in folders:
    assert any(path.iterdir()), path


def test_one_speaker_has_no_interval_by_speaker(evaluate, tmp_path):
  status, output, _ = evaluate()
  assert status == 0
  assert _written(tmp_path)['wer']['by_speaker'] is None
  assert 'none: one speaker' in output


def test_report_is_a_function_of_the_seed(evaluate, tmp_path):
  flags = (
    '--config.evaluate.subset=train',
    '--config.evaluate.num_resamples=9',
  )
  reports = []
  for seed in (1, 1, 2):
    assert evaluate(*flags, f'--config.seed={seed}')[0] == 0
    (file,) = (tmp_path / 'evaluation').glob('*/evaluation.json')
    reports.append(file.read_bytes())
  assert reports[0] == reports[1]
  one, other = json.loads(reports[0]), json.loads(reports[2])
  assert one['cer']['by_utterance'] != other['cer']['by_utterance']
  assert one['cer']['rate'] == other['cer']['rate']


def test_other_speech_decoder_or_round_replaces_no_evaluation(
  evaluate, tmp_path, folder, copy
):
  corpus = (
    '--config.evaluate.subset=corpus',
    '--config.data.corpus=manifest',
    f'--config.data.path={folder / "manifest.jsonl"}',
    f'--config.data.cache_dir={tmp_path / "cache"}',
  )
  asked = [
    (),
    ('--config.evaluate.subset=train',),
    ('--config.evaluate.subset=train', '--config.evaluation.max_utterances=3'),
    ('--config.evaluate.round=4',),
    corpus,
    (),
  ]
  outputs = []
  for flags in asked:
    status, output, errors = evaluate(*flags)
    assert (status, errors) == (0, [])
    outputs.append(output)
  path = tmp_path / 'evaluation'
  rows = json.loads((path / 'summary.json').read_text())
  # The last is the first again.
  assert len(rows) == len(list(path.glob('*/transcripts.json'))) == 5
  for row in rows:
    report = json.loads((path / row['folder'] / 'evaluation.json').read_text())
    assert row['wer'] == report['wer']
    assert row['num_utterances'] == report['num_utterances']
    assert row['folder'] in outputs[-1]
  assert {row['num_utterances'] for row in rows} > {3, 14}
  # Nor does another run.
  assert evaluate(of=copy)[0] == 0
  assert len(list(path.glob('*/evaluation.json'))) == 6


def test_folder_is_one_for_each_decoder_and_speech():
  def folder(subset='corpus', text='six', **decode):
    report = {
      'run': '/runs/a',
      'subset': subset,
      'max_utterances': 0,
      'round': 3,
      'decode': config.as_dict(config.DecodeConfig(**decode)),
    }
    said = [scores.Transcript('u1', 's', text, 'whatever')]
    path = pathlib.Path('/runs/a/evaluation')
    return evaluation_summary.folder(path, report, said).name

  beam = config.Decoder.BEAM
  names = [
    folder(),
    folder(text='seven'),
    folder('train'),
    folder('train', method=beam),
    folder('train', method=beam, beam_size=8),
    folder('train', method=beam, language_model='x.arpa'),
  ]
  assert len(set(names)) == len(names)
  assert names[2:4] == ['train-greedy-round_3', 'train-beam-round_3']


def test_damaged_evaluation_is_named(tmp_path):
  (tmp_path / 'x').mkdir()
  (tmp_path / 'x' / 'evaluation.json').write_text('{}')
  with pytest.raises(run_error.RunError, match=r'x/evaluation\.json: Key'):
    evaluation_summary.update(tmp_path)


def test_an_earlier_round_can_be_asked_for(evaluate, tmp_path, finished):
  assert evaluate('--config.evaluate.round=4')[0] == 0
  lines = tiny_run.metrics(finished[0])
  assert _written(tmp_path)['loss'] == pytest.approx(
    lines[3]['eval/loss'], rel=1e-6
  )
  status, _, errors = evaluate('--config.evaluate.round=5')
  assert status == 2
  assert 'no checkpoint of round 5; want one of: ' in errors[0]


def test_other_corpus_is_normalised_by_the_statistics_of_the_run(
  finished, tmp_path
):
  frames = np.random.default_rng(0).normal(50.0, 9.0, (40, 8))
  np.save(tmp_path / 'loud.npy', frames.astype(np.float32))
  line = {'features_filepath': 'loud.npy', 'text': 'six', 'speaker': 'new'}
  tiny_run.write_manifest(tmp_path / 'other.jsonl', [line])
  run = saved_run.load(finished[0], 'evaluate.run')
  assert run.statistics is not None
  cfg = config.Config()
  cfg.data.corpus = config.Corpus.MANIFEST
  cfg.data.path = str(tmp_path / 'other.jsonl')
  cfg.data.cache_dir = str(tmp_path / 'cache')
  examples, problems = evaluated_set.load(
    config.Subset.CORPUS, 'evaluate.subset', cfg.data, run, lambda *_: None
  )
  assert (examples.ids, problems) == (['loud'], [])
  mean, std = run.statistics
  np.testing.assert_allclose(
    examples.features(0), (frames - mean) / std, rtol=1e-4
  )


def test_corpus_of_other_features_is_one_line(evaluate, tmp_path):
  np.save(tmp_path / 'wide.npy', np.ones((40, 13), np.float32))
  line = {'features_filepath': 'wide.npy', 'text': 'six', 'speaker': 'new'}
  tiny_run.write_manifest(tmp_path / 'other.jsonl', [line])
  status, _, errors = evaluate(
    '--config.evaluate.subset=corpus',
    '--config.data.corpus=manifest',
    f'--config.data.path={tmp_path / "other.jsonl"}',
    f'--config.data.cache_dir={tmp_path / "cache"}',
  )
  assert status == 2
  assert len(errors) == 1
  assert 'config.features.num_features=8, but 1 of 1 feature files' in errors[0]


def test_corpus_that_has_changed_is_not_evaluated_as_held_out(
  evaluate, copy, folder, tmp_path
):
  lines = (folder / 'manifest.jsonl').read_text().replace('"s1"', '"s9"')
  (tmp_path / 'other.jsonl').write_text(lines)
  for file in folder.glob('*.npy'):
    (tmp_path / file.name).symlink_to(file)
  path = f'--config.data.path={tmp_path / "other.jsonl"}'
  status, _, errors = evaluate(path, of=copy)
  assert status == 2
  (error,) = errors
  assert 'its corpus has changed: ' in error
  assert 'changed speaker, client, length or transcript, such as' in error
  # The same speech is the same wherever it lies.
  lines = (folder / 'manifest.jsonl').read_text()
  (tmp_path / 'other.jsonl').write_text(lines)
  assert evaluate(path, of=copy)[::2] == (0, [])


def test_relative_path_is_found_from_another_folder(
  evaluate, copy, tmp_path, monkeypatch
):
  file = copy / 'config.json'
  content = json.loads(file.read_text())
  content['data'] |= {'path': 'manifest.jsonl', 'cache_dir': 'cache'}
  file.write_text(json.dumps(content))
  monkeypatch.chdir(tmp_path)
  assert evaluate(of=copy)[::2] == (0, [])
  assert not (tmp_path / 'cache').exists()


def test_run_whose_speech_has_moved_says_how_to_find_it(evaluate, copy):
  file = copy / 'config.json'
  content = json.loads(file.read_text())
  content['data']['path'] = '/nowhere/manifest.jsonl'
  file.write_text(json.dumps(content))
  status, _, errors = evaluate(of=copy)
  assert (status, len(errors)) == (2, 1)
  assert "config.data.path='/nowhere/manifest.jsonl', is not there" in errors[0]
  assert 'want --config.data.path= where it lies now' in errors[0]


def test_corpus_of_a_run_without_a_record_is_told_by_its_transcripts(
  evaluate, copy
):
  (copy / 'corpus.json').unlink()
  status, _, (warning,) = evaluate(of=copy)
  assert status == 0
  assert warning.startswith('warning: ')
  assert 'corpus.json is missing, as in runs of earlier versions' in warning
  file = copy / 'transcripts.json'
  content = json.loads(file.read_text())
  content['transcripts'][0]['reference'] = 'nine'
  file.write_text(json.dumps(content))
  status, _, errors = evaluate(of=copy)
  assert status == 2
  assert len(errors) == 2
  assert 'its corpus has changed' in errors[1]


def test_run_is_not_written_to(evaluate, finished):
  status, _, errors = evaluate(
    f'--workdir={finished[0]}', '--allow_config_change'
  )
  assert status == 2
  assert len(errors) == 1
  assert 'is the run itself' in errors[0]
  saved = json.loads((finished[0] / 'config.json').read_text())
  assert saved['job'] == 'train'


def test_mistyped_run_leaves_no_directory(evaluate, tmp_path):
  status, _, errors = evaluate(of=tmp_path / 'nonesuch')
  assert status == 2
  assert len(errors) == 1
  assert 'config.evaluate.run=' in errors[0]
  assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--config.model.ds2.recurrent_size=9', 'goes by that of the run'),
    ('--config.data.max_seconds=9', 'is for evaluate.subset=corpus'),
    ('--config.evaluate.run=', 'the directory of a run'),
  ],
)
def test_flag_that_would_not_be_read_is_refused(evaluate, flag, message):
  status, _, errors = evaluate(flag)
  assert status == 2
  assert len(errors) == 1
  assert message in errors[0]
