"""One point of a training, attacked: a row for each utterance.

A part of `trained.py`, which starts a process for it.
"""

import dataclasses
import itertools
import pathlib
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fedjax_asr import (
  checkpoint,
  command_line,
  compilation_cache,
  config,
  run_files,
  saved_run,
  streams,
)
from fedjax_asr.attacks import observation, precision
from fedjax_asr.attacks.measure import score_summary
from fedjax_asr.federated import partition
from fedjax_asr.jobs import (
  attack_methods,
  attack_results,
  attack_transcriber,
  attack_victims,
  attacked_run,
)
from fedjax_asr.models import ctc, model

OUT_OF_DOMAIN = 'out_of_domain'
FIRST, SECOND = 'first', 'second'
# Numbers, of which a reason is the same reason with others.
_NUMBER = re.compile(r'[-+]?\d[\d.]*(e[-+]?\d+)?')
_QUANTUM = 64
# How JAX names products of float32 arrays; of bfloat16, the model's dtype does.
_PRODUCTS = {
  config.Precision.FLOAT32: 'highest',
  config.Precision.TF32: 'tensorfloat32',
  config.Precision.BFLOAT16: 'highest',
}


class Point(NamedTuple):
  """What is attacked.

  run: directory; training: the config and seed that made it.
  part: of its corpus, a `config.Subset`, or `OUT_OF_DOMAIN`.
  precision: of the client's products, a `config.Precision`.
  """

  run: str
  training: str
  seed: int
  round: int
  part: str
  precision: str

  def names(self) -> dict[str, Any]:
    """Columns by which its rows are known."""
    named = self._asdict()
    del named['run']
    return named


class OutOfTime(observation.Refused):
  """The benchmark gave the attack up."""


def rounds(run: str | pathlib.Path, count: int) -> list[int]:
  """So many kept rounds, each nearest to half of the one after it; the last of
  the run among them, ascending. Fewer where fewer are kept."""
  kept = config.CheckpointConfig()
  directory = run_files.RunFiles(run).checkpoints
  saved = checkpoint.Checkpoints(directory, kept, read_only=True)
  try:
    known = saved.rounds
  finally:
    saved.close()
  return halved(known, count)


def halved(known: Sequence[int], count: int) -> list[int]:
  """`rounds` of the rounds that there are."""
  left, chosen = sorted(known), []
  while left and len(chosen) < count:
    wanted = chosen[-1] / 2 if chosen else left[-1]
    nearest = min(left, key=lambda each: (abs(each - wanted), each))
    chosen.append(nearest)
    left = [each for each in left if each < nearest]
  return chosen[::-1]


def attack(
  point: Point,
  flags: Sequence[str],
  num_victims: int,
  seconds: float,
  had: Collection[str],
  tell: Callable[[dict[str, Any]], None],
) -> None:
  """Tells a row of each of the point's victims that are not among those `had`.

  Args:
    flags: of main, such as those of `config.attack`.
    seconds: after which an attack is given up, at its next report.
  """
  with tempfile.TemporaryDirectory() as scratch:
    cfg = _config(point, flags, scratch)
    compilation_cache.enable(cfg.data.cache_dir)
    jax.config.update(
      'jax_default_matmul_precision',
      _PRODUCTS[config.Precision(point.precision)],
    )
    attacked = attacked_run.load(cfg, scratch, lambda *_: None)
    attacked = _in_precision(attacked, point)
    attacked = one_each(
      attacked,
      cfg.attack,
      num_victims,
      SECOND if point.part == OUT_OF_DOMAIN else '',
    )
    progress = pathlib.Path(scratch) / 'progress'
    for row in _rows(attacked, cfg, seconds, had, progress):
      tell(point.names() | row)
  jax.clear_caches()


def _config(point, flags, scratch) -> config.Config:
  subset = point.part
  if subset == OUT_OF_DOMAIN:
    subset = config.Subset.CORPUS.value
  parsed = command_line.parse(
    [
      'trained.py',
      '--config=configs/attack.py',
      f'--config.attack.run={point.run}',
      f'--config.attack.round={point.round}',
      f'--config.attack.subset={subset}',
      f'--workdir={scratch}/attack',
      *flags,
    ]
  )
  return parsed.config


def _in_precision(attacked, point) -> attacked_run.AttackedRun:
  """With the products of the client's model in the point's precision.

  Raises:
    ConfigError: this machine has none of that kind.
  """
  wanted = config.Precision(point.precision)
  saved = attacked.saved
  cfg = config.from_dict(config.Config, config.as_dict(saved.config))
  if wanted is config.Precision.BFLOAT16:
    cfg.model.chosen.dtype = config.Dtype.BFLOAT16
  else:
    cfg.model.chosen.dtype = config.Dtype.FLOAT32
  got = precision.of_products(cfg.model)
  if got is not wanted:
    raise config.ConfigError(
      f'--precisions={wanted.value}: products are {got.value} here; want a GPU '
      'that has it.'
    )
  acoustic = model.acoustic(
    cfg.model, cfg.features.num_features, saved.alphabet
  )
  return attacked._replace(saved=saved._replace(config=cfg, acoustic=acoustic))


def one_each(
  attacked: attacked_run.AttackedRun,
  attack: config.AttackConfig,
  count: int,
  half: str = '',
) -> attacked_run.AttackedRun:
  """With clients of one utterance each, `count` of them, speakers in turn.

  The same at every round. Of the `FIRST` or `SECOND` half by id only, where
  settings are chosen on the first and reported on the second.

  Raises:
    ConfigError: there are fewer that are neither too long nor too short.
  """
  saved, examples = attacked.saved, attacked.examples
  rng = streams.rng(saved.config.seed, streams.Stream.VICTIMS, 0)
  lengths = examples.num_frames * saved.config.features.hop_ms / 1000
  shortest = max(attack.min_seconds, attack.stretch_seconds)
  allowed = (lengths >= shortest) & (lengths <= attack.max_seconds)
  if half:
    allowed &= np.array(in_half(examples.ids, half))
  order = [
    index for index in rng.permutation(len(lengths)).tolist() if allowed[index]
  ]
  turns: dict[str, int] = {}
  keys = {}
  for index in order:
    speaker = examples.speakers[index]
    turns[speaker] = keys[index] = turns.get(speaker, 0) + 1
  chosen = sorted(order, key=lambda index: keys[index])[:count]
  if len(chosen) < count:
    raise config.ConfigError(
      f'--victims={count}: {len(chosen)} utterances of {shortest:g} to '
      f'{attack.max_seconds:g} seconds; want as many.'
    )
  clients = [
    partition.Client(examples.ids[index], np.array([index])) for index in chosen
  ]
  settings = dataclasses.replace(
    attacked.settings,
    cohort_size=min(attacked.settings.cohort_size or count, count),
    systems=config.SystemsConfig(),
  )
  return attacked._replace(settings=settings, clients=clients)


def in_half(ids: Sequence[str], half: str) -> list[bool]:
  """Whether each is in that half of all in their order."""
  first = set(sorted(ids)[: len(ids) // 2])
  return [(each in first) == (half == FIRST) for each in ids]


def _rows(attacked, cfg, seconds, had, progress) -> Iterator[dict[str, Any]]:
  saved = attacked.saved
  attack = dataclasses.replace(
    attack_methods.settled(cfg.attack, saved.config.model.architecture),
    num_victims=len(attacked.clients),
  )
  victims = attack_victims.victims(attacked, attack)
  speech = attack_victims.public_speech(attacked, victims)
  public = attack_victims.public_units(attacked, victims)
  transcriber = attack_transcriber.chosen(attack, attacked)
  measure = _loss_and_norm(saved)
  left = [each for each in victims if each.spoken[0].utterance not in had]
  seen = attack_victims.observations(attacked, attack, left, speech)
  for victim, observed in zip(left, seen, strict=True):
    attempts = attack_methods.attempts(
      observed,
      attack,
      streams.key(
        saved.config.seed, streams.Stream.ATTACKER, victim.clients[0]
      ),
      _deadline(seconds),
      progress,
    )
    records = attack_results.records(
      victim, observed, attempts, transcriber, public
    )
    (spoken,) = victim.spoken
    loss, norm = measure(spoken.features, spoken.labels)
    progress.unlink(missing_ok=True)
    yield row(records, attempts) | {
      'loss': loss,
      'gradient_norm': norm,
      'longest_silence': longest_repeat(spoken.features),
    }


def _deadline(seconds: float) -> Callable[[str], None]:
  """A report that raises once time is up; a method is refused by it.

  Not where one begins: what came before it would be lost.
  """
  ends = time.monotonic() + seconds

  def report(line: str) -> None:
    if time.monotonic() > ends and not line.endswith(': begins'):
      raise OutOfTime(f'out of time after {seconds:g} s, while: {line}')

  return report


def row(
  records: Sequence[dict[str, Any]],
  attempts: Sequence[attack_methods.Attempt],
) -> dict[str, Any]:
  """What an attacker goes by after all methods, and why others refused."""
  (best,) = score_summary.believed(records)
  kept = (
    'utterance',
    'speaker',
    'method',
    'is_certified',
    'is_whole',
    'num_frames',
    'num_frames_found',
    'snr_db',
    'determined_snr_db',
    'public_snr_db',
    'correlation',
    'undetermined',
    'certificate',
  )
  return {
    **{name: best[name] for name in kept},
    'missing': best['num_frames'] - best['num_frames_found'],
    'outcome': outcome(best),
    'refused': {each['method']: each['refused'] for each in records},
    'ranks': [
      {
        'layer': seen.layer,
        'rank': seen.rank,
        'of': len(seen.values),
        'noise': seen.noise,
        'largest': float(seen.values[0]),
      }
      for attempt in attempts
      for seen in attempt.spectra
    ],
    'wer': best['original_wer'],
    'wer_of_found': best['wer'],
    'seconds': round(sum(each['seconds'] for each in records), 2),
  }


def outcome(record: dict[str, Any]) -> str:
  """The class of what became of an utterance."""
  if record['refused']:
    return f'refused: {reason(record["refused"])}'
  if not record['is_certified']:
    return 'not certified'
  if record['is_whole']:
    return 'whole'
  if record['num_frames_found'] < record['num_frames']:
    return 'in part: frames missing'
  if any(record['undetermined']):
    return 'in part: silence'
  return 'in part: more is sent than is explained'


def reason(refused: str) -> str:
  """What a refusal says, without its numbers."""
  first = refused.split('; ')[0].split(', while: ')[0].rstrip('.')
  return _NUMBER.sub('N', first)


def _loss_and_norm(
  saved: saved_run.SavedRun,
) -> Callable[[np.ndarray, np.ndarray], tuple[float, float]]:
  """CTC loss in nats, and the norm of its gradient before any clipping.

  Of one utterance, by the model as it evaluates.
  """

  def loss(params, features, num_frames, labels, num_labels):
    logits, num_outputs, _ = saved.acoustic.apply(
      params, saved.norm_state, features, num_frames, train=False
    )
    return ctc.loss(logits, num_outputs, labels, num_labels)[0]

  @jax.jit
  def both(*arrays):
    value, gradient = jax.value_and_grad(loss)(*arrays)
    squares = jax.tree.map(lambda leaf: jnp.sum(leaf**2), gradient)
    return value, jnp.sqrt(sum(jax.tree.leaves(squares)))

  def of(features, labels):
    frames, symbols = -len(features) % _QUANTUM, -len(labels) % _QUANTUM
    value, norm = both(
      saved.params,
      np.pad(features, ((0, frames), (0, 0)))[None],
      jnp.array([len(features)], jnp.int32),
      np.pad(labels, (0, symbols))[None],
      jnp.array([len(labels)], jnp.int32),
    )
    return float(value), float(norm)

  return of


def longest_repeat(features: Float[np.ndarray, 'frames features']) -> int:
  """Frames of the longest run of equal ones, such as digital silence."""
  longest = run = 1
  for before, after in itertools.pairwise(features):
    run = run + 1 if np.array_equal(before, after) else 1
    longest = max(longest, run)
  return longest
