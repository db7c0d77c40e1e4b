"""How what sums give up is counted against what was said."""

import importlib

import numpy as np
import pytest


@pytest.fixture
def module(monkeypatch, request):
  monkeypatch.syspath_prepend(str(request.config.rootpath / 'benchmarks'))
  return importlib.import_module


def test_an_utterance_is_matched_by_its_frames_and_not_by_its_length(module):
  sums = module('sums')
  rng = np.random.default_rng(0)
  spoken = {name: rng.standard_normal((20, 3)) for name in 'ab'}
  padded = np.pad(spoken['b'], ((0, 1), (0, 0)))
  assert sums.match(padded, spoken) == 'b'
  assert sums.match(-0.1 * spoken['a'], spoken) == 'a'
  assert sums.match(spoken['a'][::-1], spoken) is None


def test_frames_that_two_pieces_hold_count_once(module):
  imprint = module('imprint')
  rng = np.random.default_rng(0)
  truths = [rng.standard_normal((length, 3)) for length in (30, 20)]
  pieces = [
    (truths[0][:15], False),
    (truths[0][10:22] + 1e-4, False),
    (truths[1], True),
    (rng.standard_normal((8, 3)), False),
  ]
  found = imprint.covered(truths, pieces)
  assert found['frames_found'] == 22 + 20
  assert found['utterances_whole'] == 1
  assert found['num_false'] == 1


def test_settings_that_are_no_numbers_are_said(module, capsys, tmp_path):
  result = str(tmp_path / 'result.json')
  assert module('sums').main(['sums.py', result, '--rounds=two']) == 2
  assert '--rounds=two; want numbers' in capsys.readouterr().err
  assert module('imprint').main(['imprint.py', result, '--hidden=1']) == 2
  assert '--hidden=1; want values' in capsys.readouterr().err


def test_halves_of_a_manifest_are_apart_and_make_up_the_whole(module, tmp_path):
  cut = module('cut_manifest')
  path = tmp_path / 'manifest.jsonl'
  path.write_text('\n'.join(f'{{"id": "{name}"}}' for name in 'dbeac'))
  names = {
    which: [row['id'] for row in cut.half(path, which)]
    for which in ('first', 'second', 'all')
  }
  assert names['first'] + names['second'] == names['all'] == list('abcde')
