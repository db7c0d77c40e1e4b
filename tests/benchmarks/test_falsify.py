"""No certificate lies of updates that were destroyed, masked or summed."""

import json

import falsified
import falsify
import numpy as np
import pytest

from fedjax_asr.attacks import observation

# Of each kind; what takes longer is `slow`.
FEW, MANY = 1, 12


def _found(features, *, is_whole):
  return observation.Reconstruction(
    features=tuple(features),
    certificate={'scale_is_free': 0.0},
    is_certified=True,
    ledger=None,  # pyright: ignore[reportArgumentType]
    is_whole=is_whole,
    undetermined=((),) * len(features),
  )


def _speech(num_frames, seed=0):
  return falsified.speech(np.random.default_rng(seed), num_frames)


def test_a_claim_is_false_by_what_is_missing_and_by_what_is_wrong():
  one, other = _speech(20), _speech(15, seed=1)
  both = (one, other)
  whole = falsify.judged(_found(both, is_whole=True), both)
  assert (whole.claim, whole.is_false) == ('whole', False)
  assert falsify.judged(_found([one], is_whole=True), both).is_false
  assert falsify.judged(_found([one[:12]], is_whole=True), (one,)).is_false
  part = falsify.judged(_found([one[:12]], is_whole=False), (one,))
  assert (part.claim, part.is_false) == ('certified', False)
  wrong = one[:12] + 0.3 * _speech(12, seed=2)
  assert falsify.judged(_found([wrong], is_whole=False), (one,)).is_false
  silent = _found(both, is_whole=False)._replace(is_certified=False)
  assert falsify.judged(silent, (one,)) == ('not certified', None)


def test_a_bound_is_that_of_clopper_and_pearson():
  # Of none in n: 1 - 0.05^(1/n).
  np.testing.assert_allclose(
    falsify.upper_bound(0, 1000), 1 - 0.05**1e-3, rtol=1e-6
  )
  assert falsify.upper_bound(1, 1000) > falsify.upper_bound(0, 1000)
  assert falsify.upper_bound(3, 3) == 1


def test_damage_is_damage():
  """A kind that changed nothing would prove nothing."""
  rng = np.random.default_rng(0)
  who = falsified.victim(rng)
  intact = who.update['dense_0']['kernel']
  for kind, made in falsified.KINDS.items():
    case = made(who, np.random.default_rng(1))
    kernel = case.update.get('dense_0', {}).get('kernel')
    changed = 'bias' in kind or not np.array_equal(kernel, intact)
    assert changed or kind == 'untouched', kind


@pytest.mark.parametrize('kind', falsified.KINDS)
def test_no_certificate_lies(kind):
  counts = falsify.of_kind(kind, 0, list(range(FEW)))
  assert counts['made'] == FEW
  assert kind in falsify.ASSUMED or not counts['false']


@pytest.mark.slow
@pytest.mark.parametrize('kind', falsified.KINDS)
def test_no_certificate_lies_in_many(kind):
  counts = falsify.of_kind(kind, 1, list(range(MANY)))
  assert kind in falsify.ASSUMED or not counts['false']


@pytest.mark.parametrize(
  'kind', ['untouched', 'batch', 'bfloat16_products', 'units_masked']
)
def test_what_is_intact_is_certified(kind):
  """Certificates that were never given would never lie either."""
  verdict = falsify.verdict(kind, 0, 0)
  assert verdict.claim in ('whole', 'certified')
  assert verdict.snr_db is not None
  assert verdict.snr_db > 40


def test_a_record_is_written_as_it_grows(tmp_path, monkeypatch):
  monkeypatch.setattr(
    falsify,
    'measured',
    lambda **_: iter(
      [('silence', falsify.counted([falsify.Verdict('whole', 3.0)], [4]))]
    ),
  )
  assert falsify.main(['falsify.py', str(tmp_path / 'r.json')]) == 0
  record = json.loads((tmp_path / 'r.json').read_text())
  assert (record['made'], record['false']) == (1, 1)
  assert record['kinds']['silence']['false'][0]['draw'] == 4
  assert falsify.main(['falsify.py', str(tmp_path / 'r.json'), '--draw=1']) == 2
