"""What sums of clients' updates over several rounds tell of single clients.

  python benchmarks/sums.py RESULT.json [--rounds=10,20,40] [--seeds=0,1,2]
      [flags of main]

A population of speakers trains DeepSpeech 1 by the code of the round (layers of
512, a window every second frame, 26 MFCC; every client two utterances in one
step, four clients a round); the attacker has the sum of each round. RESULT.json
gets a row for each seed and number of rounds: of the utterances that were sent,
how many were found (at a correlation of 0.999 and more),
how many that were found were never sent, and the pairs of utterances that were
rightly linked to one client, by when they recur, by voice and by both, beside
chance. Another seed is another draw of who is in the population, of cohorts,
batches and parameters; speakers outside of it are public speech. A row that
RESULT.json has is not measured again.

  python benchmarks/sums.py RESULT.json --table

prints it in Markdown: means over seeds with the least and the greatest.
Any corpus: --config.data.corpus=manifest --config.data.path=<manifest>.
"""

import json
import pathlib
import sys
import tempfile
import time

import numpy as np
import sweep

BASE = (
  '--config=configs/ds1_attack.py',
  '--config.data.synthetic.grammar=digits',
  '--config.data.synthetic.num_speakers=24',
  '--config.data.synthetic.utterances_per_speaker=6',
  '--config.data.num_heldout_speakers=12',
  '--config.data.heldout_utterance_fraction=0',
  '--config.model.ds1.time_stride=2',
  '--config.federated.algorithm=fedsgd',
  '--config.federated.cohort_size=4',
  '--config.federated.client.batch_size=2',
  '--config.federated.client.local_steps=1',
  '--config.federated.weighting=uniform',
  '--config.federated.server.learning_rate=0.001',
  '--config.attack.num_aggregated=4',
  '--config.attack.num_victims=1',
  '--config.attack.batch_size=0',
  '--config.attack.span.max_utterances=16',
)
KINDS = ('rounds', 'voice', 'both')
MIN_SNR_DB = 20.0
MIN_CORRELATION = 0.999


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  if '--table' in argv:
    print(table(json.loads(result.read_text())['rows']))
    return 0
  flags = [flag for flag in argv[2:] if flag.startswith('--config')]
  try:
    seeds, numbers = (
      _numbers(argv, f'--{name}=', default)
      for name, default in (('seeds', '0,1,2'), ('rounds', '10,20,40'))
    )
  except ValueError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  record = sweep.opened(
    result, ['sums.py', 'RESULT.json', *argv[2:]], rows='rows'
  )
  done = {(row['seed'], row['num_rounds']) for row in record['rows']}
  for seed in seeds:
    left = [number for number in numbers if (seed, number) not in done]
    if not left:
      continue
    for row in measured(seed, left, flags):
      record['rows'].append(row)
      result.write_text(json.dumps(record, indent=1) + '\n')
      print(json.dumps(row), flush=True)
  return 0


def _numbers(argv, name, default) -> list[int]:
  text = next((f[len(name) :] for f in argv if f.startswith(name)), default)
  if not all(part.isdecimal() for part in text.split(',')):
    raise ValueError(f'{name}{text}; want numbers with commas between.')
  return [int(part) for part in text.split(',')]


def measured(seed: int, numbers: list[int], flags: list[str]):
  """A row for each number of rounds, the fewest first."""
  from fedjax_asr import command_line
  from fedjax_asr.jobs import attacked_run, summed_rounds

  parsed = command_line.parse(
    ['sums.py', *BASE, *flags, f'--config.seed={seed}']
  )
  cfg = parsed.config
  with tempfile.TemporaryDirectory() as scratch:
    attacked = attacked_run.load(cfg, scratch, lambda *_: None)
  public = _public(cfg, attacked)
  seen, known = [], ()
  stream = summed_rounds.rounds(attacked, cfg.attack, max(numbers))
  for each in stream:
    # What is not needed is large.
    seen.append(each)
    if len(seen) in numbers:
      row, known = attack(cfg, attacked, seen, public, known)
      yield {
        'seed': seed,
        'num_rounds': len(seen),
        'num_clients': len(attacked.clients),
        'cohort_size': attacked.settings.cohort_size,
        **row,
      }


def _public(cfg, attacked):
  """Means and covariances of voices that are not in the population."""
  from fedjax_asr.attacks.sums import voice_evidence
  from fedjax_asr.corpora import datasets

  parts = datasets.prepare(
    cfg.data,
    cfg.features,
    attacked.saved.acoustic.num_output_frames,
    cfg.seed,
    lambda *_: None,
  )
  others = parts.heldout_speakers
  return voice_evidence.fitted(
    [others.features(index) for index in range(len(others))], others.speakers
  )


def attack(cfg, attacked, seen, voices, known):
  """(what these rounds give up, beside what was said in them; utterances).

  `known`: what the first of these rounds gave up, which is not solved again.
  """
  import jax

  from fedjax_asr.attacks.sums import (
    cooccurrence,
    linked_clients,
    rounds_of_sums,
    voice_evidence,
  )

  started = time.perf_counter()
  sums = rounds_of_sums.found(
    [each.observed for each in seen],
    cfg.attack.span,
    jax.random.key(cfg.seed),
    before=known,
  )
  seconds = time.perf_counter() - started
  spoken, owners = said(seen, attacked.clients)
  matched = [match(each, spoken) for each in sums.utterances]
  true = [index for index, name in enumerate(matched) if name is not None]
  row = {
    'num_sent': len(spoken),
    'num_found': len({matched[index] for index in true}),
    'num_false': len(matched) - len(true),
    'median_snr_db': _median_snr(sums, matched, spoken),
    'rounds_explained': int(sums.is_explained.sum()),
    'rounds_refused': sum(bool(reason) for reason in sums.refused),
    'median_windows': float(np.median(sums.ranks)),
    'presence_wrong': _wrong(sums, matched, seen),
    'seconds': round(seconds, 1),
  }
  size = cfg.federated.client.batch_size * cfg.federated.client.local_steps
  sampling = cooccurrence.Sampling(
    len(attacked.clients), attacked.settings.cohort_size, size
  )
  evidence = {
    'rounds': cooccurrence.log_likelihood_ratios(sums.presence, sampling)
  }
  if voices is not None and len(sums.utterances):
    evidence['voice'] = voice_evidence.log_likelihood_ratios(
      voices, sums.utterances
    )
    evidence['both'] = evidence['rounds'] + evidence['voice']
  # What was never sent is nobody's, and every link to it is wrong.
  truth = [
    owners[name] if name is not None else -1 - index
    for index, name in enumerate(matched)
  ]
  for kind, ratios in evidence.items():
    groups = linked_clients.clients(ratios, len(attacked.clients))
    linked = linked_clients.compared(groups, truth, list(owners.values()))
    row[kind] = linked._asdict() | {
      'precision': linked.precision,
      'recall': linked.recall,
      'chance': linked.chance,
    }
  return row, sums.utterances


def said(seen, clients):
  """(features of each utterance that was sent, the client of each)."""
  spoken, owners = {}, {}
  for each in seen:
    for client, steps in zip(
      each.victim.clients, each.victim.steps, strict=True
    ):
      for place in np.unique(steps[steps >= 0]):
        item = each.victim.spoken[int(place)]
        spoken[item.utterance] = item.features.astype(np.float64)
        owners[item.utterance] = client
  return spoken, owners


def match(found: np.ndarray, spoken: dict) -> str | None:
  """Which utterance it is; None: none that was sent."""
  best, name = 0.0, None
  for candidate, truth in spoken.items():
    # A last frame that the last stride adds is of zeros.
    if abs(len(truth) - len(found)) > 1:
      continue
    frames = min(len(truth), len(found))
    a, b = truth[:frames], found[:frames]
    cosine = abs(np.vdot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b))
    if cosine > best:
      best, name = cosine, candidate
  return name if best >= MIN_CORRELATION else None


def _median_snr(sums, matched, spoken) -> float | None:
  values = []
  for features, name in zip(sums.utterances, matched, strict=True):
    if name is None:
      continue
    truth = spoken[name]
    frames = min(len(truth), len(features))
    error = np.sum((truth[:frames] - features[:frames]) ** 2)
    values.append(10 * np.log10(np.sum(truth**2) / max(error, 1e-300)))
  return round(float(np.median(values)), 1) if values else None


def _wrong(sums, matched, seen) -> int:
  """Of (round, utterance found): held to be there or not, and it is not so."""
  inside = np.array(
    [
      [
        name in {item.utterance for item in each.victim.spoken}
        for name in matched
      ]
      for each in seen
    ]
  ).reshape(sums.presence.shape)
  return int((inside != sums.presence).sum())


def table(rows: list[dict]) -> str:
  """Markdown, a line for each number of rounds."""
  lines = [
    '| rounds | populations | found of sent | never sent | linked by | '
    'precision | recall | chance |',
    '|---|---|---|---|---|---|---|---|',
  ]
  for number in sorted({row['num_rounds'] for row in rows}):
    of_number = [row for row in rows if row['num_rounds'] == number]
    found = sum(row['num_found'] for row in of_number)
    sent = sum(row['num_sent'] for row in of_number)
    false = sum(row['num_false'] for row in of_number)
    start = f'| {number} | {len(of_number)} | {found} of {sent} | {false} |'
    for kind in KINDS:
      cells = [
        _spread([row[kind][name] for row in of_number if kind in row])
        for name in ('precision', 'recall', 'chance')
      ]
      lines.append(f'{start} {kind} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def _spread(values: list) -> str:
  """Mean, least and greatest; where nothing was linked there is none."""
  there = [value for value in values if value is not None]
  if not there:
    return '-'
  return f'{np.mean(there):.0%} ({min(there):.0%} to {max(there):.0%})'


if __name__ == '__main__':
  sys.exit(main(sys.argv))
