"""Latency and real-time factor of a run's stream on one core.

  python benchmarks/streaming.py RESULT.json --run=runs/ds2_fedavg-streaming
      [--seconds=120] [--chunks=0.04,0.2,0.5]

Runs the job `transcribe` with config.transcribe.stream=true on held-out
sentences of the run, one after another in one WAV of `--seconds` on the
standard input, once for each of `--chunks` (config.transcribe.chunk_seconds),
each in a process of its own that may use one core alone. RESULT.json has what
the job said of each: the look-ahead of features, model, lookahead convolution
and chunk, milliseconds of computing for a chunk, and seconds of computing for
one of sound. Compilation is not part of them.
"""

import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import long_form
import main_job
import numpy as np
import soundfile

_CONFIG = pathlib.Path(__file__).parents[1] / 'configs' / 'transcribe.py'


def main(argv: list[str]) -> int:
  own = {'--run': '', '--seconds': '120', '--chunks': '0.04,0.2,0.5'}
  for flag in argv[2:]:
    name, _, value = flag.partition('=')
    own[name] = value
  if len(argv) < 2 or not own['--run'] or len(own) > 3:
    print(__doc__, file=sys.stderr)
    return 2
  chunks = [float(each) for each in own['--chunks'].split(',')]
  record = measured(own['--run'], float(own['--seconds']), chunks)
  flags = ' '.join(argv[2:])
  record = {'command': f'streaming.py RESULT.json {flags}', **record}
  pathlib.Path(argv[1]).write_text(json.dumps(record, indent=2) + '\n')
  print(json.dumps(record, indent=2))
  return 0


def measured(run: str, seconds: float, chunks: list[float]) -> dict:
  from fedjax_asr import environment, saved_run

  saved = saved_run.load(run, 'transcribe.run')
  rate = saved.config.features.sample_rate
  rng = np.random.default_rng(0)
  spoken = long_form.drawn(saved, int(seconds), rng)
  waveform = long_form.joined([each for each, _ in spoken], rate, rng)
  file = io.BytesIO()
  soundfile.write(file, waveform[: int(seconds * rate)], rate, format='WAV')
  # Of this thread, which starts the others' processes.
  os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
  return {
    'machine': main_job.machine(),
    'versions': environment.versions(),
    'load_average': os.getloadavg()[0],
    'seconds': seconds,
    'chunks': {
      str(chunk): streamed(run, file.getvalue(), chunk) for chunk in chunks
    },
  }


def streamed(run: str, recording: bytes, chunk: float) -> dict:
  """What the job says."""
  with tempfile.TemporaryDirectory() as scratch:
    result = pathlib.Path(scratch) / 'text.json'
    subprocess.run(
      [
        *(sys.executable, '-m', 'fedjax_asr.main', f'--config={_CONFIG}'),
        f'--config.transcribe.run={run}',
        '--config.transcribe.input=-',
        '--config.transcribe.stream=true',
        f'--config.transcribe.chunk_seconds={chunk}',
        f'--config.transcribe.json={result}',
      ],
      input=recording,
      stdout=subprocess.DEVNULL,
      check=True,
    )
    return json.loads(result.read_text())['stream']


if __name__ == '__main__':
  sys.exit(main(sys.argv))
