"""Speakers told from the updates of a run."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rich.console
import untrained_run

from fedjax_asr import config
from fedjax_asr.audits import update_features
from fedjax_asr.corpora import synthetic, voices
from fedjax_asr.jobs import (
  audited_run,
  speaker_attributes,
  speaker_updates,
)

_CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'audit.py'
_FLAGS = (
  "--config.audit.parts=('speakers',)",
  '--config.audit.speakers.num_utterances=1',
  '--config.audit.speakers.num_folds=2',
  '--config.audit.speakers.num_resamples=20',
)


@pytest.fixture(scope='module')
def audited_path(folder):
  """A run of two rounds that nothing was trained in, on the tiny corpus."""
  cfg = untrained_run.small_config()
  cfg.data.corpus = config.Corpus.MANIFEST
  cfg.data.path = str(folder / 'manifest.jsonl')
  cfg.data.cache_dir = str(folder / 'cache')
  cfg.data.num_workers = 1
  cfg.data.num_heldout_speakers = 1
  cfg.data.heldout_utterance_fraction = 0.0
  cfg.federated.cohort_size = 2
  cfg.federated.client.batch_size = 2
  untrained_run.write(folder / 'untrained', cfg)
  return folder / 'untrained'


@pytest.fixture
def audit(cached, audited_path, tmp_path, capsys):
  """`audit(*flags)`: status, output, the part's results."""
  from fedjax_asr import main

  def run(*flags, workdir=tmp_path / 'audit'):
    capsys.readouterr()
    status = main.main(
      [
        'fedjax_asr',
        f'--config={_CONFIG}',
        f'--config.audit.run={audited_path}',
        f'--workdir={workdir}',
        *_FLAGS,
        *flags,
      ]
    )
    output, _ = capsys.readouterr()
    file = workdir / 'audit.json'
    found = json.loads(file.read_text())['speakers'] if status == 0 else None
    return status, output, found

  return run


@pytest.fixture
def audited(audited_path, tmp_path):
  cfg = config.Config(job=config.Job.AUDIT)
  cfg.audit.run = str(audited_path)
  return audited_run.load(cfg, tmp_path, rich.console.Console(quiet=True))


def _own(**fields):
  return config.AuditSpeakersConfig(num_utterances=1, **fields)


def test_noise_is_linked_by_chance_and_what_is_missing_is_said(audit, tmp_path):
  status, output, found = audit()
  assert status == 0
  assert found['num_speakers'] + found['num_left_out'] == 5
  assert found['num_not_finite'] == 0
  assert found['attributes']['sex'] == {
    'missing': 'the corpus does not say the sex of its speakers'
  }
  assert found['unseen'] == {'missing': '1 speakers are held out of the run'}
  assert 'sex: the corpus does not say' in output
  for methods in found['linkage'].values():
    for each in methods.values():
      low, high = each['top1_interval']
      # Of five speakers of noise next to nothing is known.
      assert low < each['top1_chance'] < high
      assert 0 <= each['eer_interval'][0] <= each['eer_interval'][1] <= 1
      assert each['num_genuine'] == found['num_speakers']
      assert each['false_accepts'][0] == each['false_rejects'][-1] == 1.0
  drawn = {each.name for each in (tmp_path / 'audit' / 'figures').iterdir()}
  assert drawn == {'speakers.png', 'attributes.png'}


def test_too_few_speakers_are_a_line_and_no_failure(audit):
  status, output, found = audit(
    '--config.audit.speakers.num_utterances=2',
    '--config.audit.speakers.num_folds=3',
  )
  assert status == 0
  assert (
    'audit.speakers.num_utterances=2; want 6 for num_folds=3'
    in (found['missing'])
  )
  assert found['missing'] in output


def test_halves_share_no_utterance_and_are_of_one_size(audited):
  found = speaker_updates.speakers(audited, _own(), 3).found
  for speaker in found:
    first, second = speaker.halves
    assert len(first) == len(second) == 1
    assert not set(first) & set(second)
    spoken = {speaker.examples.speakers[i] for i in (*first, *second)}
    assert spoken == {speaker.name}
  assert sum(not each.was_trained_on for each in found) == 1
  again = speaker_updates.speakers(audited, _own(), 3).found
  assert [str(each.halves) for each in again] == [
    str(each.halves) for each in found
  ]


def test_padding_changes_no_feature(cached, audited, monkeypatch):
  found = speaker_updates.speakers(audited, _own(num_speakers=1), 0).found
  described = jax.jit(update_features.of_update)

  def features():
    return [
      described(update.params, update.norm_state)
      for _, update in speaker_updates.updates(audited, found)
    ]

  before = features()
  shape = speaker_updates._shape

  def padded(*arguments):
    made = shape(*arguments)
    return made._replace(
      num_steps=made.num_steps + 2, num_frames=made.num_frames + 100
    )

  monkeypatch.setattr(speaker_updates, '_shape', padded)
  for one, other in zip(before, features(), strict=True):
    for mine, theirs in zip(one, other, strict=True):
      np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)
  # The two halves are of other speech.
  assert np.abs(before[0].directions - before[1].directions).max() > 1e-2


def test_features_do_not_depend_on_an_updates_size(cached, audited):
  found = speaker_updates.speakers(audited, _own(num_speakers=1), 0).found
  _, update = next(speaker_updates.updates(audited, found))
  one = update_features.of_update(update.params, update.norm_state)
  larger = jax.tree.map(lambda leaf: 8 * leaf, update)
  other = update_features.of_update(larger.params, larger.norm_state)
  for mine, theirs in zip(one, other, strict=True):
    np.testing.assert_allclose(mine, theirs, atol=1e-4)
  nothing = jax.tree.map(jnp.zeros_like, update)
  for block in update_features.of_update(nothing.params, nothing.norm_state):
    np.testing.assert_allclose(block, np.zeros_like(block), atol=1e-5)


class _Examples:
  """Speakers of the synthetic corpus, nothing of which is rendered."""

  def __init__(self, count):
    self.sources = [
      synthetic.SyntheticSpeech(4, index, 0, 'go') for index in range(count)
    ]


def test_truth_of_synthetic_speakers_is_that_of_their_voices():
  examples = _Examples(12)
  found = [
    speaker_updates.Speaker(str(i), i, True, examples, (np.array([i]),))
    for i in range(12)
  ]
  drawn = [voices.speaker(4, index) for index in range(12)]
  sex = speaker_attributes.sex(found)
  is_female = ['gender female' in each.variant for each in drawn]
  assert not sex.missing
  assert (sex.values > 0).tolist() == is_female
  rate = speaker_attributes.rate(found, 10.0)
  assert rate.values.tolist() == [each.rate for each in drawn]
