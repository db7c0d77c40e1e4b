"""How many utterances come out of a client's real rounds of DeepSpeech 1.

  python benchmarks/real_rounds.py RESULT.json
      --config=configs/ds1_attack.py:privacy
      [--utterances=2,4,8,16,24] [--batch=0,8] [--rounds=1,2,3]
      [--methods=client_rounds,seed_and_grow] [--jobs=N] [flags]

Clients have so many utterances each (`partition=iid`) and send the delta of one
epoch of SGD, in steps of --batch utterances, or the gradient of all of them
where that is 0, as FedSGD's clients do. After each of --rounds rounds the
server steps by the mean of what the victims sent (of gradients, times the
client's rate), and the attack is given what a victim sent in all of them. A row
is one combination with --config.attack.num_victims clients, of which each gives
the seconds of speech in its update and, for each utterance, whether it was
recovered: certified, of its length, and over 20 dB. What RESULT.json has
already is not measured again. N rows are measured at once, each in a process of
its own, on the GPUs there are in turn. Other flags go to every row, such as
--config.data.corpus=manifest --config.data.path=... and, so that more of them
fit, --config.attack.stretch_seconds=1.5 (no shorter utterances then).
`gradient_matching` is told transcripts and lengths, and takes all steps to be
on all utterances: give it rows of a single step.

  python benchmarks/real_rounds.py RESULT.json --table

prints the share of utterances by seconds of speech, failures inside.
"""

import concurrent.futures
import dataclasses
import itertools
import json
import pathlib
import statistics
import sys
import tempfile
import time

import sweep

_RECOVERED_DB = 20.0
_OWN = ('--utterances=', '--batch=', '--rounds=', '--methods=')
_JOBS = {'--jobs': 1}


def main(argv: list[str]) -> int:
  if len(argv) < 3 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  if '--table' in argv:
    print(table(json.loads(result.read_text())['rows']))
    return 0
  own, flags = sweep.split(
    [flag for flag in argv[2:] if not flag.startswith(_OWN)], _JOBS
  )
  record = sweep.opened(
    result, ['real_rounds.py', 'RESULT.json', *argv[2:]], rows='rows'
  )
  done = [row['point'] for row in record['rows']]
  left = [point for point in _points(argv) if point not in done]
  failed = 0
  with sweep._processes(own['--jobs'], record['machine']['devices']) as pool:
    running = {pool.submit(measured, point, flags): point for point in left}
    for each in concurrent.futures.as_completed(running):
      if error := each.exception():
        failed = 1
        name = f'{running[each]}: {type(error).__name__}'
        print(f'{name}: {error}', file=sys.stderr)
        continue
      record['rows'].append({'point': running[each], **each.result()})
      result.write_text(json.dumps(record, indent=1) + '\n')
      print(json.dumps(record['rows'][-1]), flush=True)
  return failed


def _points(argv: list[str]) -> list[dict]:
  def values(name, default):
    given = [flag[len(name) :] for flag in argv if flag.startswith(name)]
    return (given or [default])[-1].split(',')

  axes = {
    'utterances': [
      int(each) for each in values('--utterances=', '2,4,8,16,24')
    ],
    'batch': [int(each) for each in values('--batch=', '0,8')],
    'rounds': [int(each) for each in values('--rounds=', '1')],
    'method': values('--methods=', 'client_rounds'),
  }
  points = [
    dict(zip(axes, each, strict=True))
    for each in itertools.product(*axes.values())
  ]
  # A batch of all or more is the single step.
  return [each for each in points if each['batch'] < each['utterances']]


def measured(point: dict, flags: list[str]) -> dict:
  """What the attack finds of each victim at this point."""
  with tempfile.TemporaryDirectory() as scratch:
    return _attacked(point, flags, scratch)


def _attacked(point: dict, flags: list[str], scratch: str) -> dict:
  import jax

  from fedjax_asr import command_line, config, streams
  from fedjax_asr.jobs import attack_methods, attack_victims, attacked_run

  command = command_line.parse(
    ['real_rounds.py', *flags[:1], f'--workdir={scratch}/attack', *flags[1:]]
  )
  cfg = _client(command.config, point)
  matching = point['method'] == config.AttackMethod.GRADIENT_MATCHING
  cfg.attack.knows_transcript = cfg.attack.knows_length = matching
  cfg.attack.methods = (point['method'],)
  attacked = attacked_run.load(cfg, command.workdir, lambda *_: None)
  _partitioned(cfg, attacked, point)
  attacked = attacked_run.load(cfg, command.workdir, lambda *_: None)
  victims = attack_victims.victims(attacked, cfg.attack)
  found = []
  for index, (each, observed) in enumerate(
    zip(victims, _rounds(attacked, cfg, victims, point), strict=True)
  ):
    started = time.perf_counter()
    (attempt,) = attack_methods.attempts(
      observed,
      cfg.attack,
      streams.key(cfg.seed, streams.Stream.ATTACKER, index),
      lambda line: print(f'  {line}', file=sys.stderr, flush=True),
      pathlib.Path(scratch) / f'progress_{index}.npz',
    )
    seconds = time.perf_counter() - started
    found.append(_scored(cfg, each, observed, attempt) | {'seconds': seconds})
  return {
    'victims': found,
    'attack_config': dataclasses.asdict(getattr(cfg.attack, point['method'])),
    'device': str(jax.devices()[0]),
  }


def _client(cfg, point):
  """The config of a client that takes one epoch over its utterances."""
  from fedjax_asr import config

  client = cfg.federated.client
  client.optimizer = config.ClientOptimizer.SGD
  client.local_epochs, client.local_steps = 1, 0
  client.max_utterances = point['utterances']
  client.batch_size = point['batch'] or point['utterances']
  cfg.attack.observed = config.Observed.DELTA
  if not point['batch']:
    cfg.attack.observed = config.Observed.GRADIENT
  cfg.attack.batch_size = cfg.attack.local_steps = 0
  cfg.federated.partition = config.Partition.IID
  cfg.federated.num_clients = cfg.federated.cohort_size = 1
  return cfg


def _partitioned(cfg, attacked, point):
  """As many clients as have so many utterances each."""
  count = len(attacked.examples.ids) // point['utterances']
  if count < cfg.attack.num_victims:
    raise ValueError(
      f'--utterances={point["utterances"]}: {len(attacked.examples.ids)} in '
      f'the corpus; want them for {cfg.attack.num_victims} clients '
      '(--config.attack.num_victims).'
    )
  cfg.federated.num_clients = count
  cfg.federated.cohort_size = cfg.attack.num_victims


def _rounds(attacked, cfg, victims, point):
  """What is observed of each victim in the last round, the others beside it."""
  import jax

  from fedjax_asr.jobs import attack_victims

  speech = attack_victims.public_speech(attacked, victims)
  by_round = []
  for _ in range(point['rounds']):
    seen = list(
      attack_victims.observations(attacked, cfg.attack, victims, speech)
    )
    by_round.append(seen)
    mean = jax.tree.map(
      lambda *leaves: sum(leaves) / len(leaves),
      *(each.update for each in seen),
    )
    saved = attacked.saved
    rate = 1.0 if point['batch'] else seen[0].learning_rate
    params = jax.tree.map(
      lambda old, step, rate=rate: old - rate * step, saved.params, mean
    )
    attacked = attacked._replace(saved=saved._replace(params=params))
  return [
    seen[-1]._replace(others=tuple(seen[:-1]))
    for seen in zip(*by_round, strict=True)
  ]


def _scored(cfg, victim, observed, attempt) -> dict:
  from fedjax_asr.attacks.measure import score
  from fedjax_asr.jobs import attack_victims

  truths = [attack_victims.truth(each) for each in victim.spoken]
  features = attempt.found.features if attempt.found else ()
  certified = bool(attempt.found and attempt.found.is_certified)
  scores = [
    score.score(truth, values, observed.features)
    for truth, values in zip(
      truths, score.paired(truths, features), strict=True
    )
  ]
  hop = cfg.features.hop_ms / 1000
  return {
    'name': victim.name,
    'num_steps': observed.num_steps,
    'seconds_of_speech': sum(each.num_frames for each in scores) * hop,
    'refused': attempt.refused,
    'certificate': attempt.found.certificate if attempt.found else {},
    'snr_db': [each.snr_db for each in scores],
    'num_frames': [each.num_frames for each in scores],
    'is_certified': [
      certified and each.num_frames_found > 0 for each in scores
    ],
    'is_recovered': [
      certified
      and each.num_frames == each.num_frames_found
      and each.snr_db is not None
      and each.snr_db > _RECOVERED_DB
      for each in scores
    ],
  }


def table(rows: list[dict]) -> str:
  """Markdown, a line a row; the median SNR is of all utterances."""
  lines = [
    '| method | utterances | steps | rounds | seconds of speech | recovered '
    '| certified, wrong | refused | median SNR | seconds |',
    '|---|---|---|---|---|---|---|---|---|---|',
  ]
  for row in sorted(rows, key=_seconds):
    victims, point = row['victims'], row['point']
    recovered = [each for victim in victims for each in victim['is_recovered']]
    certified = [each for victim in victims for each in victim['is_certified']]
    wrong = sum(a and not b for a, b in zip(certified, recovered, strict=True))
    steps = max(victim['num_steps'] for victim in victims)
    cells = [
      point['method'],
      str(point['utterances']),
      str(steps),
      str(point['rounds']),
      f'{_seconds(row):.1f}',
      f'{sum(recovered)} of {len(recovered)}',
      str(wrong),
      f'{sum(bool(each["refused"]) for each in victims)} of {len(victims)}',
      _median_snr(victims),
      f'{statistics.median(each["seconds"] for each in victims):.0f}',
    ]
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines)


def _median_snr(victims):
  from fedjax_asr.attacks.measure import score_summary

  values = [each for victim in victims for each in victim['snr_db']]
  return score_summary.shown(score_summary.median(values), '{:.1f} dB')


def _seconds(row: dict) -> float:
  """Of speech in an update, the median over victims."""
  return statistics.median(each['seconds_of_speech'] for each in row['victims'])


if __name__ == '__main__':
  sys.exit(main(sys.argv))
