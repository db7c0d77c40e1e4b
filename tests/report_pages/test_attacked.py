"""An attack: what was reconstructed, beside what was said."""

import json

import numpy as np
import pytest

from fedjax_asr import config, run_files
from fedjax_asr.report_pages import blocks, html_page
from fedjax_asr.speech import inversion

FOUND = {
  'victim': 'c',
  'utterance': 'u/1',
  'speaker': 's',
  'round': 3,
  'method': 'span',
  'certificate': {'residual': 1e-9, 'scale_is_free': 0.0},
  'is_certified': True,
  'is_whole': True,
  'undetermined': [],
  'refused': '',
  'seconds': 4.0,
  'ledger': {'knows_length': False, 'layers': ['a/kernel', 'b'], 'prior': ''},
  'snr_db': 40.0,
  'shape_snr_db': 41.0,
  'correlation': 0.99,
  'mcd_db': 0.5,
  'num_frames': 20,
  'num_frames_found': 20,
  'determined_snr_db': 40.0,
  'reference': 'four five',
  'heard': 'four nine',
  'cer': 0.3,
}
REFUSED = FOUND | {
  'utterance': 'u/2',
  'refused': 'too many utterances',
  'num_frames_found': 0,
  'is_certified': False,
  'is_whole': False,
  'certificate': {},
}


@pytest.fixture
def attack(tmp_path):
  files = run_files.RunFiles(tmp_path / 'attack')
  files.path.mkdir()
  cfg = config.Config(job=config.Job.ATTACK, name='attack')
  files.config_json.write_text(json.dumps(config.as_dict(cfg)))
  files.versions_json.write_text('[{"devices": ["cpu"], "jax": "1"}]')
  files.attack.write_text(json.dumps([FOUND, REFUSED]))
  files.audio.mkdir()
  for path in (
    files.recording('u/1'),
    files.resynthesis('u/1', 'original'),
    files.resynthesis('u/1', 'span'),
  ):
    inversion.write(path, np.zeros(1600, np.float32), 16_000)
  return files


def section(report, name):
  return next(each for each in report.sections if each.name == name).blocks


def test_original_and_reconstruction_are_heard_side_by_side(attack, report_of):
  found, refused = section(report_of(attack.path), 'reconstructions')
  (clips,) = [each for each in found.blocks if isinstance(each, blocks.Clips)]
  assert [clip.label for clip in clips.clips] == [
    'recording',
    'original features',
    'reconstruction',
  ]
  assert not [each for each in refused.blocks if isinstance(each, blocks.Clips)]
  assert 'Refused: too many utterances' in refused.blocks[0].text
  page = html_page.text(report_of(attack.path), attack.path / 'report.html')
  assert page.count('<audio') == 3
  assert '<ins>nine</ins>' in page


def test_each_has_its_certificate_and_its_ledger(attack, report_of):
  found, refused = section(report_of(attack.path), 'reconstructions')
  facts = {
    each.title: dict(each.blocks[0].rows)
    for each in found.blocks
    if isinstance(each, blocks.Group)
  }
  assert facts['Certificate'] == {'residual': '1e-09', 'scale is free': '0'}
  assert facts['Ledger'] == {
    'knows length': 'no',
    'layers': 'a/kernel, b',
    'prior': 'none',
  }
  (absent,) = [
    block
    for block in blocks.inside(refused.blocks)
    if isinstance(block, blocks.Absent)
  ]
  assert 'no reconstruction' in absent.reason


def test_a_refusal_counts_in_the_medians(attack, report_of):
  (table,) = section(report_of(attack.path), 'methods')
  (row,) = table.rows
  texts = [cell.text for cell in row]
  assert texts[:4] == ['span', '1 of 2', '1 of 2', '1 of 2']
  # Half of them failed: no number is the median.
  assert texts[4:6] == ['–', '–']


@pytest.mark.parametrize('content', ['[]', '{"a": 1}', '[{"a": 1}]', '[{'])
def test_scores_of_another_version_are_named(content, attack, report_of):
  attack.attack.write_text(content)
  report = report_of(attack.path)
  for name in ('methods', 'reconstructions'):
    (reason,) = [each.reason for each in section(report, name)]
    assert 'attack.json' in reason
  assert html_page.text(report, attack.path / 'report.html')


def test_figures_that_stand_above_are_not_shown_twice(attack, report_of):
  own = attack.figures
  own.mkdir(exist_ok=True)
  names = ('reconstruction_scores', 'singular_values')
  for name in names:
    (own / f'{name}.png').write_bytes(b'')
  pictures = [blocks.Picture(name, name, own / f'{name}.png') for name in names]
  (gallery,) = [
    section
    for section in report_of(attack.path, pictures).sections
    if section.name == 'gallery'
  ]
  assert [each.name for each in gallery.blocks] == ['singular_values']


def test_without_other_figures_nothing_is_said_to_be_missing(attack, report_of):
  own = attack.figures
  own.mkdir(exist_ok=True)
  (own / 'reconstruction_scores.png').write_bytes(b'')
  pictures = [
    blocks.Picture('reconstruction_scores', 'Scores', own / 'a.png'),
    blocks.Picture('singular_values', 'Values', own / 'b.png', None, 'none.'),
  ]
  section = report_of(attack.path, pictures).sections
  (gallery,) = [each for each in section if each.name == 'gallery']
  (group,) = gallery.blocks
  assert group.is_folded
  assert [each.reason for each in group.blocks] == ['Values: none.']
