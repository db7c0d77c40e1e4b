"""Speakers behind reconstructions, as the job leaves them."""

import json

import pytest
import tiny_attack

from fedjax_asr import config, main
from fedjax_asr.attacks.measure import speaker_id


@pytest.fixture(scope='module', autouse=True)
def place(cached_throughout, tmp_path_factory):
  return tmp_path_factory.mktemp('speakers')


@pytest.fixture
def cfg(place):
  cfg = tiny_attack.fresh(place)
  cfg.attack.num_victims = 1
  cfg.attack.speaker_id = config.SpeakerIdConfig(
    enabled=True,
    num_iterations=2,
    batch_size=2,
    embedding_size=4,
    num_enrolment=1,
  )
  return cfg


def test_speakers_are_ranked_on_originals_and_by_method(
  cfg, tmp_path, monkeypatch
):
  trained_on, probes, enrolled = [], {}, {}
  train, identify = speaker_id.train, speaker_id.identify

  def watched(utterances, *arguments):
    trained_on.extend(utterances)
    return train(utterances, *arguments)

  def asked(identifier, known, given):
    probes[len(probes)] = given
    enrolled.update(known)
    return identify(identifier, known, given)

  monkeypatch.setattr(speaker_id, 'train', watched)
  monkeypatch.setattr(speaker_id, 'identify', asked)
  (record,) = tiny_attack.records(cfg, tmp_path)
  report = json.loads((tmp_path / 'speakers.json').read_text())
  # Methods that were not tried have no entry.
  assert list(report) == ['training_accuracy', 'original', 'span']
  for name in ('original', 'span'):
    assert report[name]['num_candidates'] == 1
    # Of one candidate, the first is right.
    assert [report[name][each] for each in ('top1', 'top5', 'mrr')] == [1, 1, 1]
  speaker = record['speaker']
  assert speaker not in {item.speaker for item in trained_on}
  assert list(enrolled) == [speaker]
  assert len(enrolled[speaker]) == 1
  ((original,), (found,)) = probes.values()
  assert len(original.features) == len(found.features) == record['num_frames']
  assert enrolled[speaker][0].tolist() != original.features.tolist()


def test_victim_without_another_utterance_is_one_line(place, tmp_path, capsys):
  status = main.main(
    [
      'fedjax_asr',
      tiny_attack.write_config(place),
      f'--workdir={tmp_path}',
      '--config.data.synthetic.utterances_per_speaker=1',
      '--config.attack.max_seconds=20',
      '--config.attack.stretch_seconds=0.5',
      '--config.attack.speaker_id.enabled=true',
    ]
  )
  (line,) = capsys.readouterr().err.splitlines()
  assert status == 2
  assert 'has no utterance beside the attacked one' in line
