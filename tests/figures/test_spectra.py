"""Singular values, the rank among them, and the speakers' ranks."""

import json

import numpy as np
import pytest

from fedjax_asr import config, run_error
from fedjax_asr.attacks import observation, subspace
from fedjax_asr.figures import (
  drawn_attack,
  drawn_run,
  speaker_identification,
  spectra,
)
from fedjax_asr.jobs import attack_methods, attack_spectra


def noisy(rank, size=500):
  rng = np.random.default_rng(rank)
  matrix = rng.normal(size=(size, rank)) @ rng.normal(size=(rank, size))
  return matrix + 1e-6 * rng.normal(size=(size, size))


def written(path, *found):
  attempts = [
    attack_methods.Attempt(
      config.AttackMethod.SPAN, None, 'why', 1.0, (spectrum,)
    )
    for spectrum in found
  ]
  records = attack_spectra.records('v/1', attempts)
  drawn = drawn_attack.DrawnAttack(path)
  attack_spectra.write(drawn.files, records)
  return drawn, records


def test_what_is_kept_has_the_rank_the_noise_and_few_values(tmp_path):
  matrix = noisy(40)
  space = subspace.column_space(matrix)
  drawn, (record,) = written(tmp_path, space.spectrum('dense_0/kernel'))
  assert record['rank'] == 40
  assert record['of'] == 500
  assert len(record['values']) <= attack_spectra.MAX_VALUES
  kept = dict(zip(record['places'], record['values'], strict=True))
  whole = np.linalg.svd(matrix, compute_uv=False)
  for place in (1, 39, 40, 41, 500):
    np.testing.assert_allclose(kept[place], whole[place - 1], rtol=1e-3)
  # Of such noise alone, the largest is near twice the root of the size.
  assert 0.5 < record['noise'] / (1e-6 * 2 * np.sqrt(500)) < 1.5
  assert record['noise'] < record['threshold'] < kept[40]
  (axes,) = spectra.draw(drawn).axes
  assert axes.get_yscale() == 'log'
  assert axes.get_title('left') == 'span: dense_0/kernel'
  marked = [line for line in axes.lines if line.get_marker() == 'o']
  assert [line.get_xdata()[0] for line in marked] == [40]
  (text,) = axes.get_legend().get_texts()
  assert text.get_text() == 'v/1: rank 40 of 500'


def test_a_spectrum_without_a_drop_has_no_mark(tmp_path):
  noise = np.random.default_rng(0).normal(size=(300, 200))
  space = subspace.column_space(noise)
  drawn, (record,) = written(tmp_path, space.spectrum('a'))
  assert record['noise'] is None
  (axes,) = spectra.draw(drawn).axes
  assert [line.get_marker() for line in axes.lines] == ['None']
  (text,) = axes.get_legend().get_texts()
  assert text.get_text() == 'v/1: no drop in 200'


def test_a_refusal_says_what_was_seen_before():
  spectrum = subspace.column_space(noisy(3, 50)).spectrum('a')
  with (
    pytest.raises(observation.Refused, match='why') as refused,
    observation.having_seen(spectrum),
  ):
    raise observation.Refused('why')
  assert refused.value.spectra == (spectrum,)


def test_old_attacks_have_none_and_damaged_ones_are_named(tmp_path):
  drawn = drawn_attack.DrawnAttack(tmp_path)
  with pytest.raises(drawn_run.Missing, match='no spectra'):
    spectra.draw(drawn)
  for text in ('{', '[3]', '[{"method": "span"}]', '{"a": 1}'):
    drawn.files.spectra.write_text(text)
    with pytest.raises(run_error.RunError, match=r'spectra\.json'):
      spectra.draw(drawn_attack.DrawnAttack(tmp_path))
  drawn.files.spectra.write_text('[{"victim": "a"}, {"victim": "b"}]')
  assert attack_spectra.resumed(drawn.files, {'b'}) == [{'victim': 'b'}]


def test_speakers_stand_beside_chance_and_ceiling(tmp_path):
  ranks = {
    'original': {'ranks': [1, 1, 1, 2], 'num_candidates': 4},
    'span': {'ranks': [1, 4, 4, 4], 'num_candidates': 4},
  }
  content = json.dumps({'training_accuracy': 1.0} | ranks)
  (tmp_path / 'speakers.json').write_text(content)
  drawn = drawn_attack.DrawnAttack(tmp_path)
  first, placed = speaker_identification.draw([drawn]).axes
  lines = [
    each.get_segments()[0]
    for each in first.collections
    if len(each.get_segments()) == 1
  ]
  levels = {
    float(start[1])
    for start, stop in lines
    if stop[0] - start[0] == pytest.approx(1)
  }
  assert levels == {0.75, 0.25}
  texts = [each.get_text() for each in first.texts]
  assert texts == ['3 of 4', '1 of 4']
  # Wilson's interval of 1 of 4, as whiskers.
  whisker = first.containers[1].lines[2][0].get_segments()[0][:, 1]
  np.testing.assert_allclose(whisker, (0.0456, 0.6994), atol=1e-3)
  assert placed.get_ylim()[0] > placed.get_ylim()[1]
  with pytest.raises(drawn_run.Missing, match='speaker_id'):
    speaker_identification.draw([drawn_attack.DrawnAttack(tmp_path / 'no')])
