"""What an active server reads out of a sum, and whether clients would see it.

  python benchmarks/imprint.py RESULT.json [--clients=1,4,16,32] [--seeds=0,1,2]
      [--hidden=0:1,0:0.1,...] [--runs=RUN,RUN] [flags of main]

RESULT.json gets rows of three kinds, and a row that it has is not measured
again:
  sum     of so many clients with an utterance each: the share of all frames
          that were sent that lie in a believed stretch within 20 dB, the
          utterances that are whole, stretches that are believed and are not
          within 20 dB of anything that was said (`num_false`), and what an
          honest server's `span` finds of the same sum.
  hidden  the imprint weakened, as NOISE:FRACTION of the units, at the second of
          the numbers of clients: the same, and what a client's check says.
  honest  that check on parameters that nobody tampered with: freshly
          initialised ones of several seeds and sizes, and every round that was
          kept of --runs, directories of trained DeepSpeech 1.

  python benchmarks/imprint.py RESULT.json --table

prints them in Markdown. Any corpus: --config.data.corpus=manifest
--config.data.path=<manifest>; other widths: --config.model.ds1.dense_sizes.
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
  '--config.data.synthetic.num_speakers=44',
  '--config.data.synthetic.utterances_per_speaker=2',
  '--config.attack.subset=corpus',
  '--config.attack.num_victims=1',
  '--config.attack.methods=()',
  '--config.attack.span.max_utterances=16',
)
HIDDEN = '0:1,0:0.5,0:0.1,0:0.02,0:0.01,0.0001:1,0.001:1,0.01:1,0.5:1,0.9:1'
HONEST_SEEDS = 10
MIN_SNR_DB = 20.0


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  result = pathlib.Path(argv[1])
  if '--table' in argv:
    print(table(json.loads(result.read_text())['rows']))
    return 0
  try:
    tasks = list(_tasks(argv))
  except ValueError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  flags = [flag for flag in argv[2:] if flag.startswith('--config')]
  record = sweep.opened(
    result, ['imprint.py', 'RESULT.json', *argv[2:]], rows='rows'
  )
  for measure, names in tasks:
    if any(names.items() <= row.items() for row in record['rows']):
      continue
    row = names | measure(flags, **names)
    record['rows'].append(row)
    result.write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(row), flush=True)
  return 0


def _tasks(argv):
  """(what measures a row, the names that tell it)."""
  clients, seeds = (
    _values(argv, f'--{name}=', default, int)
    for name, default in (('clients', '1,4,16,32'), ('seeds', '0,1,2'))
  )
  for count in clients:
    for seed in seeds:
      yield of_sum, {'kind': 'sum', 'num_clients': count, 'seed': seed}
  weakened = _values(argv, '--hidden=', HIDDEN, _weakened)
  for noise, fraction in weakened:
    for seed in seeds:
      names = {'num_clients': clients[min(1, len(clients) - 1)], 'seed': seed}
      shape = {'noise': noise, 'fraction': fraction}
      yield of_hidden, {'kind': 'hidden', **names, **shape}
  for size in ('tiny', 'attacked', 'privacy'):
    for seed in range(HONEST_SEEDS):
      yield (
        of_fresh,
        {'kind': 'honest', 'model': size, 'seed': seed, 'round': 0},
      )
  for run in _values(argv, '--runs=', '', str):
    for number in _kept(run) if run else ():
      yield of_run, {'kind': 'honest', 'model': run, 'seed': 0, 'round': number}


def _values(argv, name, default, kind):
  text = next((f[len(name) :] for f in argv if f.startswith(name)), default)
  try:
    return [kind(part) for part in text.split(',')]
  except ValueError:
    raise ValueError(
      f'{name}{text}; want values with commas between, such as {default}.'
    ) from None


def _weakened(text):
  noise, fraction = text.split(':')
  return float(noise), float(fraction)


def _kept(run) -> list[int]:
  folder = pathlib.Path(run) / 'checkpoints'
  return sorted(int(each.name) for each in folder.iterdir() if each.is_dir())


def of_sum(flags, kind, num_clients, seed) -> dict:
  """An active server, and beside it an honest one."""
  active = observed(flags, num_clients, seed, 'active')
  found = leaked(*active)
  honest = observed(flags, num_clients, seed, 'honest')
  return found | {'honest': leaked(*honest)}


def of_hidden(flags, kind, num_clients, seed, noise, fraction) -> dict:
  from fedjax_asr.federated import imprint_alarm

  cfg, victim, seen = observed(
    [
      *flags,
      f'--config.attack.imprint.noise={noise}',
      f'--config.attack.imprint.fraction={fraction}',
    ],
    num_clients,
    seed,
    'active',
  )
  alarm = imprint_alarm.of_params(seen.params)
  return leaked(cfg, victim, seen) | {'alarm': alarm._asdict()}


def observed(flags, num_clients, seed, server):
  """(config, the clients and the truth, what the server sees of their sum)."""
  from fedjax_asr import command_line
  from fedjax_asr.jobs import active_server, attack_victims, attacked_run

  cfg = command_line.parse(
    [
      'imprint.py',
      *BASE,
      *flags,
      f'--config.attack.server={server}',
      f'--config.attack.num_aggregated={num_clients}',
      f'--config.seed={seed}',
    ]
  ).config
  with tempfile.TemporaryDirectory() as scratch:
    attacked = attacked_run.load(cfg, scratch, lambda *_: None)
  victims = attack_victims.victims(attacked, cfg.attack)
  speech = attack_victims.public_speech(attacked, victims)
  if server == 'active':
    attacked, _ = active_server.imprinted(attacked, cfg.attack, victims)
  (seen,) = attack_victims.observations(attacked, cfg.attack, victims, speech)
  return cfg, victims[0], seen


def leaked(cfg, victim, seen) -> dict:
  """What the server that fits finds, beside what was said."""
  import jax

  from fedjax_asr import config
  from fedjax_asr.attacks import observation
  from fedjax_asr.attacks.ds1 import span
  from fedjax_asr.attacks.sums import imprint_attack

  truths = [item.features.astype(np.float64) for item in victim.spoken]
  num_frames = sum(map(len, truths))
  started = time.perf_counter()
  row = {'num_frames': num_frames, 'num_utterances': len(truths), 'refused': ''}
  key = jax.random.key(cfg.seed)
  try:
    if seen.server is config.Server.ACTIVE:
      found = imprint_attack.reconstruct(seen, cfg.attack.imprint, key)
    else:
      found = span.every_utterance(seen, cfg.attack.span, key)
  except observation.Refused as error:
    return row | {
      'refused': str(error),
      'frames_found': 0,
      'utterances_whole': 0,
      'num_false': 0,
      'median_snr_db': None,
    }
  pieces = []
  if found.is_certified:
    pieces = [
      (each[_real(each, unclear)], not unclear)
      for each, unclear in zip(found.features, found.undetermined, strict=True)
    ]
  return (
    row
    | covered(truths, pieces)
    | {'seconds': round(time.perf_counter() - started, 1)}
  )


def _real(features, unclear) -> slice:
  """Without the frames of zeros that stand for a missing end."""
  start = int(bool(unclear) and unclear[0].start == 0)
  stop = len(features) - int(
    bool(unclear) and unclear[-1].stop == len(features)
  )
  return slice(start, stop)


def covered(truths, pieces) -> dict:
  """Frames of the truth that a piece has within 20 dB, each once."""
  seen = [np.zeros(len(truth), bool) for truth in truths]
  whole, false, values = set(), 0, []
  for piece, has_ends in pieces:
    value, index, offset = max(
      place(truth, piece.astype(np.float64), index)
      for index, truth in enumerate(truths)
    )
    values.append(value)
    if value < MIN_SNR_DB:
      false += 1
      continue
    seen[index][offset : offset + len(piece)] = True
    if has_ends and len(piece) == len(truths[index]):
      whole.add(index)
  return {
    'frames_found': int(sum(each.sum() for each in seen)),
    'utterances_whole': len(whole),
    'num_false': false,
    'median_snr_db': round(float(np.median(values)), 1) if values else None,
  }


def place(truth, piece, index) -> tuple[float, int, int]:
  """(SNR in dB where the piece fits best, the utterance, where)."""
  best = (-np.inf, index, 0)
  for offset in range(len(truth) - len(piece) + 1):
    there = truth[offset : offset + len(piece)]
    error = max(float(np.sum((there - piece) ** 2)), 1e-300)
    value = 10 * np.log10(max(float(np.sum(there**2)), 1e-300) / error)
    best = max(best, (value, index, offset))
  return best


def of_fresh(flags, kind, model, seed, round) -> dict:
  """The check on a model of this size as it is initialised."""
  import jax

  from fedjax_asr import config_file
  from fedjax_asr.federated import imprint_alarm
  from fedjax_asr.models import model as model_lib
  from fedjax_asr.presets import models

  if model == 'attacked':
    cfg = config_file.read('ds1_attack').model
  else:
    cfg = models.ds1(model)
  acoustic = model_lib.acoustic(cfg, 26 if model != 'tiny' else 80)
  params, _ = jax.jit(acoustic.init)(jax.random.key(seed))
  return {'alarm': imprint_alarm.of_params(params)._asdict()}


def of_run(flags, kind, model, seed, round) -> dict:
  """The check on a trained model."""
  from fedjax_asr import saved_run
  from fedjax_asr.federated import imprint_alarm

  saved = saved_run.load(model, 'runs', round)
  return {'alarm': imprint_alarm.of_params(saved.params)._asdict()}


def table(rows: list[dict]) -> str:
  return '\n\n'.join([_sums(rows), _hidden(rows), _honest(rows)])


def _sums(rows) -> str:
  lines = [
    '| clients | sums | frames sent | active: frames found | utterances whole '
    '| false | honest: frames found |',
    '|---|---|---|---|---|---|---|',
  ]
  rows = [row for row in rows if row['kind'] == 'sum']
  for count in sorted({row['num_clients'] for row in rows}):
    of_count = [row for row in rows if row['num_clients'] == count]
    honest = [row['honest'] for row in of_count]
    cells = [
      count,
      len(of_count),
      sum(row['num_frames'] for row in of_count),
      _share(of_count),
      _of(of_count, 'utterances_whole', 'num_utterances'),
      sum(row['num_false'] for row in of_count),
      _share(honest),
    ]
    lines.append(f'| {" | ".join(map(str, cells))} |')
  return '\n'.join(lines)


def _share(rows) -> str:
  """Of all frames, and the least and the greatest of a sum."""
  shares = [row['frames_found'] / row['num_frames'] for row in rows]
  total = sum(row['frames_found'] for row in rows)
  mean = total / sum(row['num_frames'] for row in rows)
  return f'{mean:.0%} ({min(shares):.0%} to {max(shares):.0%})'


def _of(rows, part, whole) -> str:
  return (
    f'{sum(row[part] for row in rows)} of {sum(row[whole] for row in rows)}'
  )


def _hidden(rows) -> str:
  lines = [
    '| noise | units | clients | frames found | parallel units | alarm |',
    '|---|---|---|---|---|---|',
  ]
  rows = [row for row in rows if row['kind'] == 'hidden']
  for noise, fraction in sorted({(r['noise'], r['fraction']) for r in rows}):
    chosen = [
      r for r in rows if (r['noise'], r['fraction']) == (noise, fraction)
    ]
    parallel = [row['alarm']['parallel'] for row in chosen]
    raised = sum(row['alarm']['is_raised'] for row in chosen)
    lines.append(
      f'| {noise:g} | {fraction:.0%} | {chosen[0]["num_clients"]} '
      f'| {_share(chosen)} | {np.mean(parallel):.1%} '
      f'| {raised} of {len(chosen)} |'
    )
  return '\n'.join(lines)


def _honest(rows) -> str:
  from fedjax_asr.audits import proportion

  rows = [row for row in rows if row['kind'] == 'honest']
  lines = [
    '| honest models | checked | most parallel units | least effective rank '
    '| false alarms (95% interval) |',
    '|---|---|---|---|---|',
  ]
  groups = {
    'freshly initialised': [row for row in rows if not row['round']],
    'trained': [row for row in rows if row['round']],
  }
  for name, chosen in groups.items():
    if not chosen:
      continue
    alarms = [row['alarm'] for row in chosen]
    raised = sum(alarm['is_raised'] for alarm in alarms)
    interval = proportion.clopper_pearson(raised, len(alarms), 0.95)
    lines.append(
      f'| {name} | {len(alarms)} '
      f'| {max(alarm["parallel"] for alarm in alarms):.1%} '
      f'| {min(alarm["effective_rank"] for alarm in alarms):.2f} '
      f'| {raised} ({interval.low:.0%} to {interval.high:.0%}) |'
    )
  return '\n'.join(lines)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
