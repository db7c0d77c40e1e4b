"""Which utterances a finished run keeps, and what of them."""

import itertools
import json

import h5py
import numpy as np
import pytest
import soundfile
import untrained_run

from fedjax_asr import config, run_files, saved_run
from fedjax_asr.corpora import datasets
from fedjax_asr.decoding import scores
from fedjax_asr.jobs import heldout, run_examples
from fedjax_asr.models import model

_SAID = ('one two', 'two three four', 'four', 'one', 'six six two')


@pytest.fixture(scope='module')
def place(tmp_path_factory):
  return tmp_path_factory.mktemp('examples')


@pytest.fixture(scope='module')
def data(place):
  """Held out: one of three speakers with five recordings, of up to 1.1 s."""
  rng = np.random.default_rng(0)
  lines = []
  for speaker, (index, text) in itertools.product(range(3), enumerate(_SAID)):
    samples = rng.normal(0, 0.1, 16000 + 333 * index)
    name = f'{speaker}_{index}.wav'
    soundfile.write(place / name, samples, 16000)
    line = {'audio_filepath': name, 'text': text, 'speaker': f's{speaker}'}
    lines.append(json.dumps(line) + '\n')
  (place / 'manifest.jsonl').write_text(''.join(lines))
  source = config.DataConfig(
    corpus=config.Corpus.MANIFEST,
    path=str(place / 'manifest.jsonl'),
    cache_dir=str(place / 'cache'),
    num_workers=1,
    num_heldout_speakers=1,
    heldout_utterance_fraction=0.0,
  )
  cfg = untrained_run.small_config()
  outputs = model.num_output_frames(cfg.model)
  return datasets.prepare(source, cfg.features, outputs, 0, lambda *_: None)


@pytest.fixture(scope='module')
def saved(place):
  untrained_run.write(place / 'run', untrained_run.small_config())
  return saved_run.load(place / 'run', 'report.run')


def heard(data, hypotheses):
  examples = data.heldout_speakers
  return heldout.Heard(
    config.Subset.HELDOUT_SPEAKERS,
    examples,
    [
      scores.Transcript(*row)
      for row in zip(
        examples.ids,
        examples.speakers,
        examples.texts,
        hypotheses(examples.texts),
        strict=True,
      )
    ],
  )


def chosen(heard, count):
  found = run_examples.choose([heard], count)
  return [(item.role, item.said.reference, item.wer) for item in found]


def badly(texts):
  """Nothing of 'six six two', one of three of 'two three four', all else."""
  wrong = {'six six two': '', 'two three four': 'two tree four'}
  return [wrong.get(text, text) for text in texts]


def test_best_median_and_worst_come_first_ties_by_name(data):
  found = chosen(heard(data, badly), 24)
  assert [role for role, *_ in found] == ['best', 'median', 'worst', '', '']
  # Of three without an error, the names decide.
  assert found[0] == ('best', 'one two', 0.0)
  assert found[1] == ('median', 'one', 0.0)
  assert found[2] == ('worst', 'six six two', 1.0)
  assert found[4] == ('', 'two three four', pytest.approx(1 / 3))


def test_no_more_are_kept_than_asked_for_and_none_twice(data):
  for count in range(7):
    found = chosen(heard(data, badly), count)
    assert len(found) == min(count, 5)
    assert len({text for _, text, _ in found}) == len(found)


def test_a_single_utterance_is_the_best(data):
  single = heard(data, badly)._replace(
    transcripts=heard(data, badly).transcripts[:1]
  )
  assert [role for role, *_ in chosen(single, 24)] == ['best']


@pytest.fixture(scope='module')
def left(place, data, saved):
  files = run_files.RunFiles(place / 'run')
  run_examples.write(saved, [heard(data, badly)], files)
  return files


def test_what_is_heard_is_the_greedy_path_of_the_posteriors_kept(left, saved):
  records = json.loads(left.example_records.read_text())
  with h5py.File(left.example_arrays) as file:
    assert set(file) == {'best', 'median', 'worst'}
    for record in records[:3]:
      rows = file[record['role']]['log_posteriors'][()]
      np.testing.assert_allclose(np.exp(rows).sum(1), 1, atol=1e-5)
      spelled = ''.join(
        saved.alphabet.symbols[label]
        for label, _ in itertools.groupby(rows.argmax(1))
        if label
      )
      assert record['hypothesis'] == spelled
      # An untrained model hears something else than was told to be heard.
      assert spelled not in _SAID


def test_arrays_are_what_the_model_sees_and_the_recording(left, data, saved):
  records = json.loads(left.example_records.read_text())
  examples = data.heldout_speakers
  with h5py.File(left.example_arrays) as file:
    for record in records[:3]:
      group = file[record['role']]
      place = examples.ids.index(record['utterance'])
      features = examples.features(place)
      np.testing.assert_array_equal(group['features'], features)
      samples, _ = soundfile.read(examples.sources[place].path)
      np.testing.assert_allclose(group['waveform'], samples, atol=1e-6)
      assert group['waveform'].attrs['sample_rate'] == 16000
      outputs = group['log_posteriors']
      assert len(outputs) == saved.acoustic.num_output_frames(len(features))
      assert outputs.attrs['seconds'] == pytest.approx(0.04)


def test_each_sound_plays_as_long_as_its_record_says(left):
  records = json.loads(left.example_records.read_text())
  assert len(records) == 5
  for record in records:
    samples, rate = soundfile.read(left.examples / record['audio'])
    assert len(samples) / rate == pytest.approx(record['seconds'], abs=1 / rate)
    assert record['group'] == 'heldout_speakers'


def test_what_fails_leaves_the_examples_before(left, data, saved, monkeypatch):
  before = {file: file.read_bytes() for file in left.examples.iterdir()}

  def full(samples, rate):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(run_examples.compressed, 'mp3', full)
  with pytest.raises(OSError, match='No space'):
    run_examples.write(saved, [heard(data, badly)], left)
  assert before == {file: file.read_bytes() for file in left.examples.iterdir()}
  assert not [*left.path.glob('.examples*')]
