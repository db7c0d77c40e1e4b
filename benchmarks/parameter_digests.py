"""Digests of the parameters that training ends with, to compare two versions.

  python benchmarks/parameter_digests.py RESULT.json [--rounds=2] [flags]

A redesign may change no number: run this before and after, and compare
(`--against=OTHER.json` does, and fails where a digest differs). The cases are
the default runs of both architectures, cut to so many rounds, and `smoke` runs
with each compression and each privacy setting. Digests are of every array of
the server's last parameters, bit for bit; they hold for one machine, one number
of cores and one version of JAX.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

PRIVATE = (
  '--config.federated.weighting=uniform',
  '--config.federated.privacy.clip_norm=0.05',
)
COMPRESSION = '--config.federated.compression.'
SETTINGS = {
  'plain': (),
  'float16': (f'{COMPRESSION}method=float16',),
  'bfloat16': (f'{COMPRESSION}method=bfloat16',),
  'int8': (f'{COMPRESSION}method=int8',),
  'int8_nearest': (
    f'{COMPRESSION}method=int8',
    f'{COMPRESSION}rounding=nearest',
  ),
  'sign': (f'{COMPRESSION}method=sign',),
  'top_k': (f'{COMPRESSION}method=top_k',),
  'clipped': PRIVATE,
  'noise_local': (
    *PRIVATE,
    '--config.federated.privacy.local_noise_multiplier=0.01',
  ),
  'noise_central': (
    *PRIVATE,
    '--config.federated.privacy.central_noise_multiplier=0.1',
  ),
}


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  import main_job

  from fedjax_asr import environment

  rounds, against, flags = '2', None, []
  for flag in argv[2:]:
    name, _, value = flag.partition('=')
    match name:
      case '--rounds':
        rounds = value
      case '--against':
        against = json.loads(pathlib.Path(value).read_text())['digests']
      case _:
        flags.append(flag)
  path = pathlib.Path(argv[1])
  found: dict[str, str] = {}
  for name, config, settings in cases():
    cut = [f'--config.federated.num_rounds={rounds}', *settings, *flags]
    found[name] = digest_after(config, cut)
    record = {
      'command': ' '.join(['parameter_digests.py', 'RESULT.json', *argv[2:]]),
      'machine': main_job.machine(),
      'versions': environment.versions(),
      'digests': found,
    }
    path.write_text(json.dumps(record, indent=1) + '\n')
    same = '' if against is None else against.get(name) == found[name]
    print(name, found[name][:16], same, flush=True)
  return int(against is not None and against != found)


def cases():
  """(name, config file, flags) of each."""
  for architecture in ('ds1', 'ds2'):
    config = f'configs/{architecture}_fedavg.py'
    yield f'{architecture} default', config, SETTINGS['plain']
    for name, settings in SETTINGS.items():
      yield f'{architecture} {name}', f'{config}:smoke', settings


def digest_after(config: str, flags: list[str]) -> str:
  """Trains in a process of its own."""
  from fedjax_asr import saved_run

  with tempfile.TemporaryDirectory() as scratch:
    command = [sys.executable, '-m', 'fedjax_asr.main', f'--config={config}']
    command += [
      f'--workdir={scratch}/run',
      '--config.federated.server.warmup_rounds=0',
      '--config.evaluation.every_rounds=1000',
      '--config.checkpoint.every_rounds=1000',
      '--config.checkpoint.keep_best=0',
      *flags,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    saved = saved_run.load(f'{scratch}/run', 'run')
  return digest((saved.params, saved.norm_state))


def digest(tree) -> str:
  """Of all arrays, in the tree's order."""
  import jax
  import numpy as np

  found = hashlib.sha256()
  for leaf in jax.tree.leaves(tree):
    found.update(np.ascontiguousarray(leaf).tobytes())
  return found.hexdigest()


if __name__ == '__main__':
  sys.exit(main(sys.argv))
