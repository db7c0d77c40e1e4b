"""Writes the directory of a run that was never trained, of any size.

All that the job `train` leaves but its checkpoints and the alphabet of its
corpus, made up from a seed: metrics, speakers, transcripts, clients and
utterances to listen to.
"""

import json
import pathlib

import numpy as np

_WORDS = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven')
_ROLES = ('best', 'median', 'worst')
_RATE = 16_000


def write(
  path: pathlib.Path,
  *,
  num_rounds: int = 40,
  num_utterances: int = 24,
  num_speakers: int = 4,
  num_clips: int = 5,
  seconds: float = 1.0,
) -> None:
  """A finished run with an evaluation every tenth round.

  The first `num_clips` utterances have sound of so many `seconds`, and the
  first six of these a role.
  """
  rng = np.random.default_rng(0)
  path.mkdir(parents=True)
  _write_config(path, num_rounds)
  spoken = [
    _spoken(rng, index, num_speakers) for index in range(num_utterances)
  ]
  _write(
    path / 'transcripts.json', {'round': num_rounds, 'transcripts': spoken}
  )
  _write(path / 'speakers.json', _scored(spoken, num_rounds))
  lines = [
    json.dumps(_round(rng, each, num_rounds)) for each in _up(num_rounds)
  ]
  (path / 'metrics.jsonl').write_text('\n'.join(lines) + '\n')
  clients = [json.dumps(_clients(rng, each)) for each in _up(num_rounds)]
  (path / 'clients.jsonl').write_text('\n'.join(clients) + '\n')
  _write(path / 'population.json', _population(num_utterances))
  _write_examples(path / 'examples', rng, spoken[:num_clips], seconds)


def _up(num_rounds: int) -> range:
  return range(1, num_rounds + 1)


def _write(file: pathlib.Path, values) -> None:
  file.write_text(json.dumps(values, ensure_ascii=False), encoding='utf-8')


def _write_config(path: pathlib.Path, num_rounds: int) -> None:
  from fedjax_asr import config, environment, run_alphabet
  from fedjax_asr.speech import alphabets

  cfg = config.Config(name='generated')
  cfg.federated.num_rounds = num_rounds
  _write(path / 'config.json', config.as_dict(cfg))
  content = run_alphabet.content(alphabets.ENGLISH)
  (path / 'alphabet.json').write_text(content)
  environment.record(path / 'versions.json')


def _spoken(rng, index: int, num_speakers: int) -> dict[str, str]:
  """A word in seven is heard as another, or not at all."""
  words = [str(each) for each in rng.choice(_WORDS, rng.integers(3, 13))]
  heard = [
    each if rng.random() > 1 / 7 else str(rng.choice([*_WORDS, '']))
    for each in words
  ]
  return {
    'utterance': f'u{index:05d}',
    'speaker': f's{index % num_speakers:04d}',
    'reference': ' '.join(words),
    'hypothesis': ' '.join(filter(None, heard)),
  }


def _scored(spoken: list[dict[str, str]], num_rounds: int):
  from fedjax_asr.decoding import scores

  found = scores.score_speakers([scores.Transcript(**each) for each in spoken])
  rates = {name: each._asdict() for name, each in found.items()}
  return {'round': num_rounds, 'speakers': rates}


def _round(rng, index: int, num_rounds: int) -> dict[str, float]:
  loss = 100 / (1 + 20 * index / num_rounds)
  noise = rng.lognormal(0, 0.2, 4)
  record = {
    'round': index,
    'train/loss': loss * noise[0],
    'train/gradient_norm': 50 * noise[1],
    'train/delta_norm': 0.2 * noise[2],
    'learning_rate': 0.3,
    'server_learning_rate': 0.005 * (1 - index / (num_rounds + 1)),
    'clients_per_second': 3 * noise[3],
    'times_real_time': 40 * noise[3],
    'padding_waste': 0.3,
    'round_seconds': 1 / noise[3],
    'computing_seconds': 0.9 / noise[3],
    'waiting_seconds': 0.1 / noise[3],
  }
  if index % 10 == 0 or index == num_rounds:
    rate = min(1.0, 0.13 + 2 ** (-8 * index / num_rounds))
    record |= {'eval/wer': rate, 'eval/cer': rate / 3, 'eval/loss': loss}
  return record


def _clients(rng, index: int):
  names = [f'c{each:03d}' for each in rng.choice(50, 8, replace=False)]
  fields = ('num_steps', 'num_utterances', 'num_frames', 'num_infeasible')
  return {
    'round': index,
    'client': names,
    **{name: rng.integers(1, 9, 8).tolist() for name in fields},
    'first_loss': rng.random(8).round(3).tolist(),
    'last_loss': rng.random(8).round(3).tolist(),
    'delta_norm': rng.random(8).round(3).tolist(),
    'cosine': rng.random(8).round(3).tolist(),
    'weight': [8] * 8,
    'was_clipped': [False] * 8,
    'is_broken': [False] * 8,
  }


def _population(num_utterances: int):
  clients = [
    {
      'name': f'c{index:03d}',
      'utterances': 20,
      'seconds': 55.0,
      'labels': [200, 100],
    }
    for index in range(50)
  ]
  return {
    'utterances': {
      'train': 1000,
      'heldout_speakers': num_utterances,
      'heldout_utterances': 0,
    },
    'speakers': {'train': 50, 'heldout_speakers': 4, 'heldout_utterances': 0},
    'dropped_transcripts': 0,
    'problems': {},
    'durations': {'edges': [0.0, 2.0, 4.0], 'counts': [500, 500]},
    'num_clients': 50,
    'symbols': [' ', 'e'],
    'labels': [10_000, 5_000],
    'clients': clients,
    'layout': {
      'num_devices': 1,
      'num_blocks': 2,
      'block_size': 4,
      'num_steps': 3,
      'batch_size': 8,
      'num_utterances': 24,
      'frame_buckets': [100, 200],
      'num_labels': 60,
    },
  }


def _write_examples(folder: pathlib.Path, rng, spoken, seconds: float) -> None:
  """A tone in noise each, as Ogg Vorbis."""
  import soundfile

  from fedjax_asr.decoding import scores

  folder.mkdir()
  records = []
  times = np.arange(round(_RATE * seconds)) / _RATE
  for index, item in enumerate(spoken):
    name = f'{item["utterance"]}.ogg'
    noise = rng.normal(0, 0.02, len(times))
    tone = 0.2 * np.sin(2 * np.pi * (220 + 20 * (index % 20)) * times)
    soundfile.write(folder / name, tone + noise, _RATE)
    scored = scores.score([scores.Transcript(**item)])
    records.append(
      item
      | {
        'group': '',
        'wer': scored.wer,
        'cer': scored.cer,
        'seconds': seconds,
        'audio': name,
        'role': _ROLES[index % 3] if index < 6 else '',
      }
    )
  _write(folder / 'examples.json', records)
