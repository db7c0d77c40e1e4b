"""What is drawn of runs that lack something."""

import json
import shutil

import jax
import left_examples
import matplotlib.figure
import numpy as np
import pytest
import untrained_run
from described_population import POPULATION

from fedjax_asr import saved_run
from fedjax_asr.figures import architecture, drawn_run, gallery
from fedjax_asr.jobs import starting_point


@pytest.fixture
def run(tmp_path):
  untrained_run.write(tmp_path / 'run', untrained_run.small_config())
  record = {'round': 1, 'train/loss': 3.0}
  (tmp_path / 'run' / 'metrics.jsonl').write_text(json.dumps(record) + '\n')
  return tmp_path / 'run'


def texts(figure):
  return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def drawn(path):
  return {each.name: each for each in gallery.drawn(drawn_run.DrawnRun(path))}


def test_a_whole_run_lacks_nothing(run):
  content = json.dumps(POPULATION)
  (run / 'population.json').write_text(content)
  left_examples.write(run, [left_examples.example('best', 'one', 'two')])
  found = drawn(run)
  assert set(found) == set(gallery.FIGURES)
  assert not any(each.missing for each in found.values())


def test_the_model_is_drawn_stage_by_stage(run):
  said = texts(drawn(run)['model_architecture'].figure)
  for name in ('log-mel features', 'conv_0', 'recurrent_0', 'output'):
    assert name in said
  # Ten seconds, of which convolutions keep every fourth frame.
  assert '1,000 x 8' in said
  assert '250 x 29' in said
  assert any('an output every 40 ms' in each for each in said)
  assert 'round 2' in said


@pytest.mark.parametrize(
  ('name', 'damage', 'figure'),
  [
    ('metrics.jsonl', None, 'training_progress'),
    ('metrics.jsonl', '', 'training_progress'),
    ('metrics.jsonl', '{"round": 1}\n{}\n{"round": 2}\n', 'training_progress'),
    ('config.json', '{"job"', 'model_architecture'),
    ('config.json', '{"job": "train", "never": 1}', 'model_architecture'),
    ('alphabet.json', None, 'model_architecture'),
  ],
)
def test_what_is_missing_is_said_in_the_place_of_the_figure(
  run, name, damage, figure
):
  if damage is None:
    (run / name).unlink()
  else:
    (run / name).write_text(damage)
  found = drawn(run)[figure]
  assert found.missing
  said = ' '.join(texts(found.figure)).replace('\n', '')
  assert found.missing.replace(' ', '')[:40] in said.replace(' ', '')


@pytest.mark.parametrize(
  ('name', 'content', 'figure'),
  [
    ('population.json', '[1]', 'data_flow'),
    (
      'transcripts.json',
      '{"transcripts": [{"utterance": "u", "speaker": "s", "reference": null,'
      ' "hypothesis": 3}]}',
      'performance_dashboard',
    ),
  ],
)
def test_values_of_another_type_are_said_in_the_place_of_the_figure(
  name, content, figure, run
):
  (run / name).write_text(content)
  found = drawn(run)
  assert set(found) == set(gallery.FIGURES)
  assert 'of another version (' in found[figure].missing


def test_an_example_outside_of_the_alphabet_ends_nothing(run):
  said = '<script>alert(1)</script>'
  left_examples.write(run, [left_examples.example('best', said, 'two')])
  assert set(drawn(run)) == set(gallery.FIGURES)


def test_values_before_training_are_those_that_the_run_began_with(run):
  saved = saved_run.load(run, 'report.run')
  begun = starting_point.fresh(saved.config, saved.acoustic, 4)
  jax.tree.map(
    np.testing.assert_array_equal, architecture.initial(saved), begun.params
  )


def test_a_cut_off_line_is_passed_over(run):
  with (run / 'metrics.jsonl').open('a') as file:
    file.write('{"round": 2, "train/lo')
  assert not drawn(run)['training_progress'].missing


def test_without_a_checkpoint_the_rest_is_drawn(run):
  shutil.rmtree(run / 'checkpoints')
  found = drawn(run)['model_architecture']
  assert not found.missing
  said = texts(found.figure)
  assert 'conv_0' in said
  assert 'round 2' not in said
  assert any('checkpoint' in each for each in said)
