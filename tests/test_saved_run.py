"""What is restored of a run, and what is said of one that cannot be."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
import untrained_run

from fedjax_asr import (
  checkpoint,
  config,
  run_directory,
  run_error,
  run_files,
  run_rollbacks,
  saved_run,
)


@pytest.fixture(scope='module')
def original(tmp_path_factory):
  path = tmp_path_factory.mktemp('run') / 'run'
  untrained_run.write(path, untrained_run.small_config())
  return path


@pytest.fixture
def run(original, tmp_path):
  """A copy, free to be damaged."""
  return pathlib.Path(shutil.copytree(original, tmp_path / 'copy'))


def _refused(path, *wanted, **options):
  with pytest.raises(config.UserError) as caught:
    saved_run.load(path, 'evaluate.run', **options)
  message = str(caught.value)
  assert '\n' not in message
  for text in wanted:
    assert text in message


@pytest.mark.parametrize(('asked', 'given'), [(saved_run.LAST, 2), (1, 1)])
def test_round_is_restored_as_it_was(original, asked, given):
  saved = saved_run.load(original, 'evaluate.run', asked)
  assert saved.round == given
  want = untrained_run.state(untrained_run.small_config(), given)
  for got, wanted in (
    (saved.params, want.params),
    (saved.norm_state, want.norm_state),
  ):
    jax.tree.map(np.testing.assert_array_equal, got, wanted)
  assert config.as_dict(saved.config) == config.as_dict(
    untrained_run.small_config()
  )
  assert saved.statistics is not None
  assert saved.statistics.mean.tolist() == [0.5] * 8
  assert saved.statistics.std.tolist() == [2.0] * 8


def test_reading_leaves_a_run_as_it_is(original):
  def listing():
    return {
      path: (path.stat().st_mtime_ns, path.stat().st_size)
      for path in [original, *original.rglob('*')]
    }

  before = listing()
  saved_run.load(original, 'evaluate.run')
  assert listing() == before


def test_run_under_way_is_read_and_goes_on(run):
  """While it holds its lock, has half a checkpoint on disk, and saves more."""
  cfg = untrained_run.small_config()
  with run_directory.open_run(run, cfg) as directory:
    writer = checkpoint.Checkpoints(directory.checkpoints, cfg.checkpoint)
    unfinished = directory.checkpoints / '3.orbax-checkpoint-tmp-7'
    unfinished.mkdir()
    assert saved_run.load(run, 'evaluate.run').round == 2
    assert unfinished.is_dir()
    for round_index in (3, 4, 5):
      writer.save(round_index, untrained_run.state(cfg, round_index), None)
    writer.wait()
    assert saved_run.load(run, 'evaluate.run').round == 5
    writer.close()


def test_last_round_that_was_dropped_meanwhile_is_read_anew(run, monkeypatch):
  """The run saves two more, and drops what was the last, after the listing."""
  restore, calls = checkpoint.Checkpoints.restore, []

  def overtaken(self, round_index, like, **how):
    calls.append(round_index)
    if len(calls) == 1:
      (run / 'checkpoints' / '2').rename(run / 'checkpoints' / '3')
      (run / 'checkpoints' / '1').rename(run / 'checkpoints' / '4')
    return restore(self, round_index, like, **how)

  monkeypatch.setattr(checkpoint.Checkpoints, 'restore', overtaken)
  saved = saved_run.load(run, 'evaluate.run')
  assert calls == [2, 4]
  assert saved.round == 1  # What round 1 held, under the name 4.


def test_missing_run_is_named(tmp_path):
  _refused(tmp_path / 'none', 'config.evaluate.run=', 'has no config.json')


@pytest.mark.parametrize('leave_folder', [True, False])
def test_run_without_checkpoints_is_named(run, leave_folder):
  shutil.rmtree(run / 'checkpoints')
  if leave_folder:
    (run / 'checkpoints').mkdir()
  _refused(run, 'config.evaluate.run=', 'has no checkpoints')


def test_round_that_was_not_saved_is_named(run):
  _refused(run, 'round 7', 'want one of: 1, 2', round_index=7)


def test_other_alphabet_is_refused(run):
  (run / 'alphabet.json').write_text(json.dumps("_ abc'"))
  _refused(run, 'alphabet.json', '"_ abc\'"', 'want "_ \'abcdef')


@pytest.mark.parametrize('content', ['', '{"job": "tr', '\xff'])
def test_damaged_config_is_named(run, content):
  (run / 'config.json').write_text(content, encoding='latin-1')
  _refused(run, 'config.json is not JSON')


def _edited(run, edit):
  file = run / 'config.json'
  values = json.loads(file.read_text())
  edit(values)
  file.write_text(json.dumps(values))


@pytest.mark.parametrize(
  ('edit', 'wanted'),
  [
    (lambda values: values.update(sed=1), 'config.sed: no such field'),
    (lambda values: values.update(model=3), 'config.model=3; want a section'),
    (lambda values: values.update(seed=-1), 'config.seed=-1; want >= 0'),
    (
      lambda values: values['features'].update(kind='mel'),
      "config.features.kind='mel'; want one of log_mel",
    ),
  ],
)
def test_config_of_another_version_is_named(run, edit, wanted):
  _edited(run, edit)
  _refused(run, 'config.json', wanted, 'Another version wrote it?')


def test_fields_and_sections_that_came_later_have_their_defaults(run):
  """Whole sections, sections of sections, single fields; at any depth."""

  def edit(values):
    for section in ('augment', 'evaluation', 'checkpoint', *config.Job):
      values.pop(section, None)
    del values['seed'], values['job'], values['model']['ds1']
    del values['model']['ds2']['frozen_norm']
    del values['data']['numbers'], values['data']['synthetic']
    del values['federated']['privacy'], values['federated']['client']

  _edited(run, edit)
  saved = saved_run.load(run, 'evaluate.run')
  defaults, wanted = config.Config(), untrained_run.small_config()
  for name in ('augment', 'evaluation', 'checkpoint', 'seed', 'job'):
    setattr(wanted, name, getattr(defaults, name))
  wanted.model.ds1 = defaults.model.ds1
  wanted.federated.client = defaults.federated.client
  wanted.data.synthetic = defaults.data.synthetic
  # What is still there is the run's.
  assert wanted.model.ds2 != defaults.model.ds2
  assert wanted.features != defaults.features
  assert config.as_dict(saved.config) == config.as_dict(wanted)


def test_field_that_there_is_no_more_is_named_beside_those_that_are_new(run):
  def edit(values):
    del values['federated']['privacy']
    values['federated']['max_shapes'] = 3

  _edited(run, edit)
  _refused(run, 'config.federated.max_shapes: no such field')


def test_section_that_came_later_is_not_taken_from_no_section(run):
  _edited(run, lambda values: values.update(federated=3))
  _refused(run, 'config.federated=3; want a section')


def test_config_that_is_no_section_is_named(run):
  (run / 'config.json').write_text('[1]')
  _refused(run, 'config.json is not a JSON object')


def test_what_other_jobs_go_by_does_not_matter(run):
  def edit(values):
    values['evaluate'] = {'from_another': 'version'}
    del values['transcribe']

  _edited(run, edit)
  assert saved_run.load(run, 'evaluate.run').round == 2


def test_directory_of_another_job_is_no_run(run):
  _edited(run, lambda values: values.update(job='evaluate'))
  _refused(run, 'of the job evaluate; want a run of the job train')


def test_checkpoint_of_another_model_is_named(run):
  _edited(run, lambda values: values['model']['ds2'].update(recurrent_size=4))
  _refused(run, 'of another model', 'params.output.kernel is float32[3, 29]')


@pytest.mark.parametrize(
  'content', [None, '{', '{"mean": [1]}', '{"mean": [1], "std": [1]}']
)
def test_statistics_that_do_not_fit_are_named(run, content):
  file = run_files.RunFiles(run).statistics
  file.unlink() if content is None else file.write_text(content)
  _refused(run, file.name)


def test_statistics_are_for_global_normalisation_alone(run):
  run_files.RunFiles(run).statistics.unlink()
  _edited(
    run, lambda values: values['features'].update(normalization='utterance')
  )
  assert saved_run.load(run, 'evaluate.run').statistics is None


def test_run_is_no_work_directory(run):
  saved = saved_run.load(run, 'evaluate.run')
  for name in (str(run), f'{run}/figures/..'):
    with pytest.raises(run_error.RunError, match='is the run itself'):
      saved_run.check_apart(saved, name)
  saved_run.check_apart(saved, run / 'evaluation')


def test_the_scale_is_that_of_the_round_that_follows(run):
  assert saved_run.load(run, 'evaluate.run').scale == 1
  back = run_rollbacks.Rollback(diverged=5, why='poison', round=2, scale=0.5)
  run_rollbacks.write(run_files.RunFiles(run), [back])
  assert saved_run.load(run, 'evaluate.run').scale == 0.5
  assert saved_run.load(run, 'evaluate.run', 1).scale == 1


@pytest.mark.parametrize('as_sent', [False, True])
def test_an_average_is_what_is_made_use_of(tmp_path, as_sent):
  cfg = untrained_run.small_config()
  cfg.federated.server.ema_decay = 0.9
  untrained_run.write(tmp_path, cfg)
  state = untrained_run.state(cfg, 2)
  want = state if as_sent else state.average
  got = saved_run.load(tmp_path, 'evaluate.run', as_sent=as_sent)
  for name in ('params', 'norm_state'):
    jax.tree.map(
      np.testing.assert_array_equal, getattr(got, name), getattr(want, name)
    )
