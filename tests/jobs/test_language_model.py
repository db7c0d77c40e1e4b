import json
import pathlib

import arpa_reader
import numpy as np
import pytest
import tiny_run

from fedjax_asr import config, config_file
from fedjax_asr.corpora import datasets
from fedjax_asr.decoding import beam
from fedjax_asr.jobs import language_model
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_SPECIAL = {'<s>', '</s>', '<unk>'}
_LETTERS = 'abcdefgh'


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
  """A manifest in which no two utterances share a word; one is too short."""
  path = tmp_path_factory.mktemp('corpus')
  lines = []
  for speaker in _LETTERS:
    for utterance in _LETTERS:
      word = f'{speaker}{utterance}'
      frames = 2 if word == 'aa' else 60
      np.save(path / f'{word}.npy', np.ones((frames, 8), np.float32))
      spoken = f'{word}x {word}y {word}z'
      lines.append(
        {
          'features_filepath': f'{word}.npy',
          'text': spoken,
          'speaker': speaker,
        }
      )
  tiny_run.write_manifest(path / 'manifest.jsonl', lines)
  return path


def words_config(corpus, **fields):
  loaded = config_file.read(tiny_run.write_config(corpus / 'c.py')[9:])
  loaded.job = config.Job.LANGUAGE_MODEL
  loaded.data.num_heldout_speakers = 2
  settings = {'unit': config.LanguageUnit.WORDS, 'order': 2}
  loaded.language_model = config.LanguageModelConfig(**settings | fields)
  return loaded


def words_of(sentences):
  return {word for line in sentences for word in line.split()}


def test_held_out_transcripts_leave_no_trace(corpus, tmp_path, capsys):
  cfg = words_config(corpus)
  language_model.run(cfg, tmp_path)
  acoustic = model.acoustic(cfg.model, cfg.features.num_features)
  data = datasets.prepare(
    cfg.data,
    cfg.features,
    acoustic.num_output_frames,
    cfg.seed,
    lambda done, total: None,
  )
  heldout = [*data.heldout_speakers.texts, *data.heldout_utterances.texts]
  trained = words_of(data.train.texts)
  assert len(data.train.texts) + len(heldout) == 63
  assert len(heldout) > 16
  lexicon = set((tmp_path / 'lexicon.txt').read_text().split())
  assert lexicon == trained
  assert not lexicon & words_of(heldout)
  arpa, _ = arpa_reader.read((tmp_path / 'language_model.arpa').read_text())
  assert {ngram[0] for ngram in arpa if len(ngram) == 1} == trained | _SPECIAL
  output = capsys.readouterr().out
  # Three words that are all new, and an end.
  speakers = len(data.heldout_speakers.texts)
  assert (
    f'({speakers} sentences, {4 * speakers} words with the ends, '
    f'{3 * speakers} unknown)'
  ) in output


@pytest.mark.parametrize('unit', config.LanguageUnit)
def test_beam_search_takes_what_the_job_writes(unit, tmp_path, capsys):
  (tmp_path / 'text').write_text('Go left, now!\n\nGo up\n--\n')
  cfg = config.Config(
    job=config.Job.LANGUAGE_MODEL,
    language_model=config.LanguageModelConfig(
      unit=unit, order=3, text=str(tmp_path / 'text')
    ),
  )
  language_model.run(cfg, tmp_path / 'run')
  flags = dict(
    flag.removeprefix('--config.decode.').split('=')
    for flag in capsys.readouterr().out.splitlines()[-1].split()[1:]
  )
  flags['method'] = config.Decoder(flags['method'])
  pytest.importorskip('flashlight.lib.text')
  beam.BeamDecoder(config.DecodeConfig(**flags), alphabets.ENGLISH)
  arpa = arpa_reader.read(
    (tmp_path / 'run/language_model.arpa').read_text(encoding='utf-8')
  )
  after = {'words': ('go', 'left'), 'characters': ('o', '|')}[unit]
  assert arpa_reader.score(arpa, after[:1], after[1]) > np.log(0.2)


def test_a_run_names_its_transcripts(finished, tmp_path, capsys):
  path, _ = finished
  cfg = config.Config(
    job=config.Job.LANGUAGE_MODEL,
    language_model=config.LanguageModelConfig(
      unit=config.LanguageUnit.WORDS, order=2, run=str(path)
    ),
  )
  language_model.run(cfg, tmp_path)
  lexicon = (tmp_path / 'lexicon.txt').read_text().split()
  assert lexicon == ['a', 'b', 'one', 'six', 'two']
  recorded = json.loads((path / 'transcripts.json').read_text())
  count = len(recorded['transcripts'])
  output = capsys.readouterr().out
  assert 'perplexity on held-out speakers: ' in output
  assert f'({count} sentences' in output


@pytest.mark.parametrize(
  ('content', 'why'),
  [(b'', 'no line with'), (b'12 34\n', 'no line with'), (b'\xff', 'UTF-8')],
)
def test_text_that_is_none_is_one_line(tmp_path, content, why):
  (tmp_path / 'text').write_bytes(content)
  cfg = config.Config(
    language_model=config.LanguageModelConfig(text=str(tmp_path / 'text'))
  )
  with pytest.raises(config.UserError, match=why):
    language_model.run(cfg, tmp_path / 'run')
  assert not (tmp_path / 'run/language_model.arpa').exists()


def _text_job(folder, content, **data):
  (folder / 'text').write_text(content)
  return config.Config(
    data=config.DataConfig(**data),
    language_model=config.LanguageModelConfig(
      unit=config.LanguageUnit.WORDS, order=2, text=str(folder / 'text')
    ),
  )


def test_a_line_that_would_lose_a_digit_is_left_out_and_listed(
  tmp_path, capsys
):
  cfg = _text_job(tmp_path, 'go up\n\ngo 25 steps\n[noise] go on\n')
  language_model.run(cfg, tmp_path / 'run')
  assert (tmp_path / 'run/lexicon.txt').read_text().split() == ['go', 'up']
  assert 'left out: 2 bad lines' in capsys.readouterr().out
  listed = (tmp_path / 'run/skipped_utterances.jsonl').read_text()
  assert f'{tmp_path}/text:3' in listed
  assert f'{tmp_path}/text:4' in listed


def test_a_line_that_would_lose_a_digit_is_fatal_where_asked(tmp_path):
  bad = config.OnBadUtterance.ERROR
  cfg = _text_job(tmp_path, 'go 25 steps\n', on_bad_utterance=bad)
  with pytest.raises(config.UserError, match=r'text:1: .*numbers=spell'):
    language_model.run(cfg, tmp_path / 'run')


def test_lines_are_read_as_transcripts_are(tmp_path):
  pytest.importorskip('num2words')
  cfg = _text_job(
    tmp_path,
    '[noise] go 25\n',
    numbers=config.Numbers.SPELL,
    drop_tags=('[noise]',),
  )
  language_model.run(cfg, tmp_path / 'run')
  lexicon = (tmp_path / 'run/lexicon.txt').read_text().split()
  assert lexicon == ['five', 'go', 'twenty']


def test_order_longer_than_every_sentence_is_refused(tmp_path):
  (tmp_path / 'text').write_text('no\n')
  cfg = config.Config(
    language_model=config.LanguageModelConfig(
      text=str(tmp_path / 'text'), order=5
    )
  )
  with pytest.raises(config.ConfigError, match='order=5; want at most 4'):
    language_model.run(cfg, tmp_path / 'run')


def test_committed_config_has_the_data_of_the_default_run():
  ours, theirs = (
    config_file.read(str(_ROOT / 'configs' / name))
    for name in ('language_model.py', 'ds2_fedavg.py')
  )
  assert ours.seed == theirs.seed
  assert ours.data == theirs.data
  assert ours.features == theirs.features
  assert ours.model == theirs.model
