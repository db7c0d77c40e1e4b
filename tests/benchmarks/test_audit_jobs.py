"""What benchmarks do with a trained run, and what they keep of it."""

import concurrent.futures
import json
import pathlib

import audit_jobs
import audit_record
import decision
import pytest

from fedjax_asr import command_line, config, run_files

_ROOT = pathlib.Path(__file__).parents[2]


def parsed(flags, monkeypatch):
  monkeypatch.chdir(_ROOT)
  return command_line.parse(['main', *flags]).config


@pytest.mark.parametrize('multiplier', [0.0, 0.008])
def test_a_training_without_noise_has_nothing_that_noise_reads(
  multiplier, monkeypatch
):
  cfg = parsed(
    ['--config=configs/privacy.py', *audit_jobs.of_noise(multiplier)],
    monkeypatch,
  )
  privacy = cfg.federated.privacy
  assert privacy.central_noise_multiplier == multiplier
  assert bool(privacy.population) == bool(multiplier)


def test_each_part_is_audited_by_itself_at_the_round(monkeypatch):
  run = pathlib.Path('runs/it')
  found = audit_jobs.audits(
    run, ('speakers',), ['--config.audit.speakers.num_speakers=60'], 30
  )
  own = parsed(found['speakers'], monkeypatch).audit
  assert (own.run, own.round, own.parts) == ('runs/it', 30, ('speakers',))
  assert own.speakers.num_speakers == 60
  cfg = parsed(audit_jobs.attack(run, round_index=30), monkeypatch)
  assert cfg.job is config.Job.ATTACK
  assert (cfg.attack.run, cfg.attack.round) == ('runs/it', 30)


def test_curves_are_left_out_and_scores_are_kept(tmp_path):
  audit_record.write(tmp_path)
  score = audit_jobs.audited(tmp_path, 'membership')['utterances']['scores'][
    'lira'
  ]
  whole = audit_record.membership()['utterances']['scores']['lira']
  assert 'roc' in whole
  assert score == {name: whole[name] for name in whole if name != 'roc'}
  linked = audit_jobs.audited(tmp_path, 'speakers')['linkage']['update']
  assert linked['trained']['num_genuine'] == 10
  assert 'genuine_scores' not in linked['trained']
  assert 'false_accepts' not in linked['trained']
  assert audit_jobs.audited(tmp_path / 'none', 'speakers') is None


def test_an_attack_is_kept_utterance_by_utterance(tmp_path):
  assert audit_jobs.attacked(tmp_path) == []
  record = {'utterance': 'u', 'method': 'span', 'snr_db': 3.0, 'wer': 0.5}
  run_files.RunFiles(tmp_path).attack.write_text(json.dumps([record]))
  (found,) = audit_jobs.attacked(tmp_path)
  assert found['snr_db'] == 3.0
  assert found['is_whole'] is None
  assert 'wer' not in found


def test_a_row_stays_where_it_is_when_more_is_known(tmp_path):
  path, rows = tmp_path / 'r.json', [{'round': 0}]
  record = audit_jobs.Record(path, {'points': rows})
  later = {'round': 10}
  record.keep(later)
  rows[0]['wer'] = 1.0
  record.keep(rows[0])
  assert json.loads(path.read_text())['points'] == [
    {'round': 0, 'wer': 1.0},
    {'round': 10},
  ]


def test_all_that_is_done_with_a_run_is_in_the_row_of_its_noise(
  tmp_path, monkeypatch
):
  def run_main(words):
    folder = pathlib.Path(words[-1].removeprefix('--workdir='))
    if folder.name == 'speakers':
      return 'it broke'
    folder.mkdir(parents=True)
    files = run_files.RunFiles(folder)
    files.metrics.write_text('{"round": 3, "eval/wer": 0.5}\n')
    files.attack.write_text('[{"utterance": "u"}]')
    files.audit.write_text(json.dumps(audit_record.record()))
    return ''

  monkeypatch.setattr(audit_jobs.sweep, 'run_main', run_main)
  kept = []
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    decision._Place(tmp_path, 8.0, 0).measure(
      pool, [], [], ['no_clipping'], kept.append
    )
  row = kept[-1]
  assert row['noise_multiplier'] == 0.064
  assert row['errors'] == {'speakers': 'it broke'}
  assert row['audit']['canaries']['proven'] == 1.25
  assert row['bugs']['no_clipping']['proven'] == 1.25
  assert row['attack'][0]['utterance'] == 'u'
  assert row['is_whole']
