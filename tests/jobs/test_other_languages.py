"""Jobs on runs of German and of Mandarin: each goes by the run's alphabet."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tiny_run
import untrained_run

from fedjax_asr import run_alphabet, saved_run
from fedjax_asr.decoding import ngram
from fedjax_asr.speech import alphabets, spelling

_ROOT = pathlib.Path(__file__).parents[2]
_GERMAN = ('öl', 'zwei', 'fünf', 'ä ß')
_MANDARIN = ('打开', '关掉灯', '一二', '门')


def _spoken(path, texts):
  lines = tiny_run.write_corpus(path)
  for index, line in enumerate(lines):
    line['text'] = texts[index % len(texts)]
  tiny_run.write_manifest(path / 'manifest.jsonl', lines)


def _main(*flags):
  from fedjax_asr import main

  return main.main(['fedjax_asr', *map(str, flags)])


def _trained(path, texts, *flags):
  _spoken(path, texts)
  source = tiny_run.write_config(path / 'tiny.py')
  own = (source, '--config.federated.num_rounds=2', f'--workdir={path / "run"}')
  assert _main(*own, '--config.data.alphabet=corpus', *flags) == 0
  return path / 'run'


@pytest.fixture(scope='module')
def german(tmp_path_factory, cached_throughout):
  return _trained(tmp_path_factory.mktemp('german'), _GERMAN)


@pytest.fixture(scope='module')
def mandarin(tmp_path_factory):
  """A run that has learnt nothing."""
  path = tmp_path_factory.mktemp('mandarin')
  _spoken(path, _MANDARIN)
  alphabet, _ = alphabets.of_texts(_MANDARIN, spelling.Rules())
  untrained_run.write(path / 'run', untrained_run.small_config(), alphabet)
  return path / 'run'


def _job(name, run, workdir, *flags):
  return _main(
    f'--config={_ROOT / "configs" / name}.py',
    f'--config.{name}.run={run}',
    f'--workdir={workdir}',
    *flags,
  )


def _json(folder, name):
  (file,) = folder.glob(f'**/{name}.json')
  return json.loads(file.read_text(encoding='utf-8'))


def test_the_run_knows_its_alphabet(german):
  saved = saved_run.load(german, 'evaluate.run')
  assert saved.alphabet.symbols == ('_', ' ', *'efilnwzßäöü')
  assert np.shape(saved.params['output']['bias']) == (13,)
  assert saved.alphabet == run_alphabet.read(german / 'alphabet.json')


def test_it_is_evaluated_on_its_own_speech(german, tmp_path):
  assert _job('evaluate', german, tmp_path) == 0
  report = _json(tmp_path, 'evaluation')
  assert report['words'] == 'between_spaces'
  assert report['num_words'] == 5
  said = {
    each['reference'] for each in _json(tmp_path, 'transcripts')['transcripts']
  }
  assert said == set(_GERMAN)
  # Read by people, too.
  (file,) = tmp_path.glob('**/transcripts.json')
  assert 'fünf' in file.read_text(encoding='utf-8')


def test_an_english_corpus_is_counted_and_named(german, tmp_path, capsys):
  (tmp_path / 'english').mkdir()
  _spoken(tmp_path / 'english', ('one', 'nine', 'fine', 'will'))
  flags = (
    '--config.evaluate.subset=corpus',
    '--config.data.corpus=manifest',
    f'--config.data.path={tmp_path / "english" / "manifest.jsonl"}',
    f'--config.data.cache_dir={tmp_path / "cache"}',
  )
  assert _job('evaluate', german, tmp_path / 'out', *flags) == 0
  # The run has no o.
  assert 'bad utterances by kind: 5 unspelled' in capsys.readouterr().out
  (file,) = tmp_path.glob('out/**/skipped_utterances.jsonl')
  assert "has 'o', not in the alphabet" in file.read_text(encoding='utf-8')
  _spoken(tmp_path / 'english', ('два', 'три', 'два', 'три'))
  assert _job('evaluate', german, tmp_path / 'none', *flags) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert 'no usable utterance; 20 problems' in line
  assert 'most of the transcript is outside the alphabet' in line
  assert line.endswith('The alphabet is that of the run.')


def test_it_is_exported_and_read_without_the_package(
  german, tmp_path, environment
):
  # In a process of its own: shapes are symbols, which the hook does not know.
  done = tiny_run.start(
    f'--config={_ROOT / "configs" / "export"}.py',
    f'--config.export.run={german}',
    f'--workdir={tmp_path / "export"}',
    **environment,
  )
  assert done.returncode == 0, done.stderr
  described = _json(tmp_path / 'export', 'forward')
  saved = saved_run.load(german, 'evaluate.run')
  assert described['alphabet'] == list(saved.alphabet.symbols)
  assert described['alphabet'][described['blank']] == '_'
  rng = np.random.default_rng(0)
  soundfile.write(tmp_path / 'a.wav', rng.normal(0, 0.1, 16_000), 16_000)
  script = _ROOT / 'launch' / 'transcribe_wav.py'
  done = subprocess.run(
    [sys.executable, script, tmp_path / 'export', tmp_path / 'a.wav'],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert set(done.stdout.strip()) <= set(saved.alphabet.symbols)


def test_its_language_model_is_of_its_symbols(german, tmp_path, capsys):
  pytest.importorskip('flashlight.lib.text.decoder.kenlm')
  order = '--config.language_model.order=3'
  assert _job('language_model', german, tmp_path / 'model', order) == 0
  arpa = tmp_path / 'model' / 'language_model.arpa'
  unigrams = arpa.read_text(encoding='utf-8').split('\\2-grams:')[0]
  symbols = {
    line.split('\t')[1] for line in unigrams.splitlines() if '\t' in line
  }
  assert symbols - {ngram.START, ngram.END, ngram.UNKNOWN} == {*'|efilnwzßäöü'}
  flags = (
    '--config.decode.method=beam',
    f'--config.decode.language_model={arpa}',
  )
  assert _job('evaluate', german, tmp_path / 'beam', *flags) == 0
  lexicon = tmp_path / 'words'
  lexicon.write_text('fünf\nzwei\n', encoding='utf-8')
  flags = ('--config.decode.method=beam', f'--config.decode.lexicon={lexicon}')
  assert _job('evaluate', german, tmp_path / 'words_only', *flags) == 0
  lexicon.write_text('queen\n', encoding='utf-8')
  capsys.readouterr()
  assert _job('evaluate', german, tmp_path / 'other', *flags) == 2
  assert "'queen'; want one word spelled with" in capsys.readouterr().err


@pytest.mark.slow
def test_it_is_personalised(german, tmp_path):
  train = '--config.personalise.subset=train'
  assert _job('personalise', german, tmp_path, train) == 0
  assert _json(tmp_path, 'personalisation')['num_speakers'] == 4


@pytest.mark.slow
def test_it_goes_on_with_its_alphabet(german, tmp_path):
  run = shutil.copytree(german, tmp_path / 'run')
  own = (f'--config={german.parent / "tiny.py"}', f'--workdir={run}')
  more = (
    '--config.federated.num_rounds=3',
    '--allow_config_change',
    '--config.data.alphabet=corpus',
  )
  assert _main(*own, *more) == 0
  # A corpus of other characters is another corpus, not another alphabet.
  path = tmp_path / 'other'
  path.mkdir()
  _spoken(path, ('öl', 'zwei', 'fünf', 'drei'))
  more = (more[0].replace('3', '4'), *more[1:])
  flags = (f'--config.data.path={path / "manifest.jsonl"}',)
  assert _main(*own, *more, *flags) == 0
  assert run_alphabet.read(run / 'alphabet.json') == run_alphabet.read(
    german / 'alphabet.json'
  )


def test_it_does_not_go_on_with_another_alphabet(german, capsys):
  status = _main(
    f'--config={german.parent / "tiny.py"}',
    f'--workdir={german}',
    '--config.federated.num_rounds=5',
    '--allow_config_change',
  )
  assert status == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert (
    "' efilnwzßäöü' (corpus), and config.data.alphabet='english' is" in line
  )


def test_a_seed_of_another_alphabet_is_refused(german, tmp_path, capsys):
  status = _main(
    f'--config={german.parent / "tiny.py"}',
    f'--workdir={tmp_path / "run"}',
    f'--config.federated.init_from={german}',
  )
  assert status == 2
  assert 'has the alphabet' in capsys.readouterr().err


def _on_mandarin(mandarin, workdir, *flags):
  return _job(
    'evaluate',
    mandarin,
    workdir,
    '--config.evaluate.subset=corpus',
    '--config.data.corpus=manifest',
    f'--config.data.path={mandarin.parent / "manifest.jsonl"}',
    f'--config.data.cache_dir={mandarin.parent / "cache"}',
    *flags,
  )


def test_each_character_of_mandarin_is_a_word(mandarin, tmp_path, capsys):
  assert _on_mandarin(mandarin, tmp_path) == 0
  report = _json(tmp_path, 'evaluation')
  assert report['words'] == 'characters'
  assert report['wer'] == report['cer']
  assert report['num_words'] == 5 * len(''.join(_MANDARIN))
  assert 'each character counts as a word' in capsys.readouterr().out


def test_a_language_model_of_words_needs_a_space(mandarin, tmp_path, capsys):
  text = tmp_path / 'text'
  text.write_text('打开\n关掉灯\n', encoding='utf-8')
  flags = (
    f'--config={_ROOT / "configs" / "language_model"}.py:words',
    f'--config.language_model.text={text}',
    '--config.data.alphabet=corpus',
    f'--workdir={tmp_path / "model"}',
  )
  assert _main(*flags) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert 'unit=words needs an alphabet with a space' in line
  assert "want 'characters'" in line
  more = (
    '--config.language_model.unit=characters',
    '--config.language_model.order=2',
  )
  assert _main(*flags, *more) == 0


def test_words_of_a_lexicon_need_a_space(mandarin, tmp_path, capsys):
  pytest.importorskip('flashlight.lib.text.decoder.kenlm')
  (tmp_path / 'words').write_text('打开\n', encoding='utf-8')
  beam = '--config.decode.method=beam'
  lexicon = f'--config.decode.lexicon={tmp_path / "words"}'
  assert _on_mandarin(mandarin, tmp_path / 'out', beam, lexicon) == 2
  assert 'needs an alphabet with a space' in capsys.readouterr().err
  assert _on_mandarin(mandarin, tmp_path / 'free', beam) == 0
