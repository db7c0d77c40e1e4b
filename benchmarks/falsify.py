"""Updates that were destroyed, masked, reversed, padded or summed, and what
the certificates of the attacks on DeepSpeech 1 say of them.

  python benchmarks/falsify.py RESULT.json [--draws=N] [--seed=N] [--jobs=N]

A certificate is false where a result is called whole and is not every
utterance behind the update, each within 20 dB; or where it is certified, and
what it says is determined is not a beginning of an utterance within 20 dB, of
the best size where it says that `scale_is_free`.
Every draw makes each kind of update once, from the gradient of a small
DeepSpeech 1 (windows of 7 frames of 13 features, 160 units, biases drawn) on
one utterance of smooth noise with the level and the spectrum of speech.
RESULT.json gets, by kind, how many were made, refused, certified, certified as
whole, and false, each false one with its seed, and the rate of false ones with
the upper end of its one-sided 95% interval (Clopper and Pearson 1934).
"""

import collections
import concurrent.futures
import json
import multiprocessing
import pathlib
import sys
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import falsified
import jax
import numpy as np

from fedjax_asr import config
from fedjax_asr.attacks import observation
from fedjax_asr.attacks.ds1 import span
from fedjax_asr.attacks.measure import determined, score

# Less than this is wrong.
MIN_SNR_DB = 20.0
# What a certificate takes for granted, as the ledger says: that no tensor is
# scaled by itself. Where units moved and biases are small, nothing tells.
ASSUMED = ('steps_kernel_scaled',)


class Verdict(NamedTuple):
  """What a certificate said of a case, and whether that is true.

  claim: 'refused', 'not certified', 'certified' or 'whole'.
  snr_db: of the worst that is claimed; None where nothing is.
  """

  claim: str
  snr_db: float | None

  @property
  def is_false(self) -> bool:
    return self.snr_db is not None and self.snr_db < MIN_SNR_DB


def observed(
  who: falsified.Victim, case: falsified.Case, precision: config.Precision
) -> observation.Observation:
  return observation.Observation(
    update=case.update,
    params=who.params,
    norm_state={},
    acoustic=falsified.acoustic(),
    model=falsified.model_config(),
    features=config.FeaturesConfig(),
    client=config.ClientConfig(),
    observed=config.Observed.DELTA
    if case.num_steps
    else config.Observed.GRADIENT,
    num_steps=max(case.num_steps, 1),
    learning_rate=falsified.RATE,
    round=0,
    declared=observation.Declared(),
    precision=precision,
  )


def verdict(kind: str, seed: int, draw: int) -> Verdict:
  """Of one case, which is a function of these."""
  name = zlib.crc32(kind.encode())
  rng = np.random.default_rng([seed, draw, name])
  who = falsified.victim(rng)
  case = falsified.KINDS[kind](who, rng)
  precision = config.Precision.FLOAT32
  if kind == 'bfloat16_products':
    precision = config.Precision.BFLOAT16
  try:
    found = span.reconstruct(
      observed(who, case, precision), config.SpanConfig(), jax.random.key(draw)
    )
  except observation.Refused:
    return Verdict('refused', None)
  return judged(found, case.truths)


def judged(
  found: observation.Reconstruction, truths: tuple[np.ndarray, ...]
) -> Verdict:
  """Whether what is claimed holds; of the shape alone where no size is."""
  if not found.is_certified:
    return Verdict('not certified', None)
  of_size = _as_it_is
  if found.certificate['scale_is_free']:
    of_size = _of_best_size
  pairs = zip(found.features, found.undetermined, strict=True)
  # Each of what is returned is the beginning of an utterance, but for
  # stretches that are said to be undetermined.
  returned = [
    max(
      value
      for truth in truths
      if (
        value := determined.snr_db(
          truth, of_size(truth, features, unclear), unclear
        )
      )
      is not None
    )
    for features, unclear in pairs
  ]
  if not found.is_whole:
    return Verdict('certified', min(returned))
  # And each utterance is returned, from its beginning to its end.
  whole = [
    max(_snr_db(truth, features) for features in found.features)
    for truth in truths
  ]
  return Verdict('whole', min(*returned, *whole))


def _as_it_is(_, features, __):
  return features


def _of_best_size(truth, features, unclear):
  """By least squares of the longest piece that is determined.

  Where in the truth it fits best; the beginning fits the beginning.
  """
  starts = [0, *(each.stop for each in unclear)]
  stops = [*(each.start for each in unclear), len(features)]
  start, stop = max(
    zip(starts, stops, strict=True), key=lambda each: each[1] - each[0]
  )
  piece = features[start:stop].astype(float)
  places = max(len(truth) - len(piece), 0) if start else 0
  factors, cosines = [], []
  for offset in range(places + 1):
    there = truth[offset : offset + len(piece)].astype(float)
    product = np.vdot(piece[: len(there)], there)
    factors.append(product / max(np.sum(piece[: len(there)] ** 2), 1e-300))
    cosines.append(product**2 / max(np.sum(there**2), 1e-300))
  return features * factors[int(np.argmax(cosines))]


def _snr_db(truth, found) -> float:
  if len(truth) != len(found):
    return -score.MAX_SNR_DB
  error = truth.astype(np.float64) - found
  return score.ratio_db(
    float(np.sum(truth.astype(np.float64) ** 2)), float(np.sum(error**2))
  )


def counted(verdicts: list[Verdict], draws: list[int]) -> dict:
  """Of one kind of update."""
  claims = collections.Counter(each.claim for each in verdicts)
  snrs = [each.snr_db for each in verdicts if each.snr_db is not None]
  return {
    'made': len(verdicts),
    **{name: claims[name] for name in CLAIMS},
    'least_snr_db': round(min(snrs), 1) if snrs else None,
    'false': [
      {'draw': draw, 'claim': each.claim, 'snr_db': round(each.snr_db or 0, 1)}
      for draw, each in zip(draws, verdicts, strict=True)
      if each.is_false
    ],
  }


CLAIMS = ('refused', 'not certified', 'certified', 'whole')


def upper_bound(num_false: int, total: int) -> float:
  """Of the rate, one-sided 95% (Clopper and Pearson 1934)."""
  import scipy.stats

  if num_false == total:
    return 1.0
  return float(scipy.stats.beta.ppf(0.95, num_false + 1, total - num_false))


def of_kind(kind: str, seed: int, draws: list[int]) -> dict:
  return counted([verdict(kind, seed, draw) for draw in draws], draws)


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  options = {'draws': 20, 'seed': 0, 'jobs': 1}
  for flag in argv[2:]:
    name, _, value = flag.removeprefix('--').partition('=')
    if name not in options or not value.isdecimal():
      wanted = ', '.join(f'--{each}=N' for each in options)
      print(f'error: {flag}; want {wanted}', file=sys.stderr)
      return 2
    options[name] = int(value)
  kinds = {}
  for kind, of_kind in measured(**options):
    kinds[kind] = of_kind
    record = {'command': ' '.join(['falsify.py', *argv[1:]]), **summary(kinds)}
    # After each, so that what is stopped has left a record.
    pathlib.Path(argv[1]).write_text(json.dumps(record, indent=1) + '\n')
    print(kind, json.dumps(of_kind), flush=True)
  found = summary(kinds)
  bound = found['rate_at_most']
  print(f'{found["false"]} of {found["made"]} false; rate at most {bound:.1e}')
  return 0


def summary(kinds: dict) -> dict:
  """Over all but `ASSUMED`, whose false ones stand with their kind."""
  counted = [each for kind, each in kinds.items() if kind not in ASSUMED]
  made = sum(each['made'] for each in counted)
  num_false = sum(len(each['false']) for each in counted)
  return {
    'made': made,
    'certified': sum(each['certified'] + each['whole'] for each in counted),
    'false': num_false,
    'rate_at_most': upper_bound(num_false, made),
    'assumed': list(ASSUMED),
    'kinds': {kind: kinds[kind] for kind in falsified.KINDS if kind in kinds},
  }


def measured(draws: int, seed: int, jobs: int) -> Iterator[tuple[str, dict]]:
  """(kind, its counts), each when it is done."""
  with concurrent.futures.ProcessPoolExecutor(
    jobs, mp_context=multiprocessing.get_context('spawn')
  ) as pool:
    running = {
      pool.submit(of_kind, kind, seed, list(range(draws))): kind
      for kind in falsified.KINDS
    }
    for done in concurrent.futures.as_completed(running):
      yield running[done], done.result()


if __name__ == '__main__':
  sys.exit(main(sys.argv))
