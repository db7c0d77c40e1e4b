"""Some of the held-out utterances of a finished run, to be heard and drawn."""

from collections.abc import Sequence
from typing import NamedTuple

import h5py
import jax
import jax.numpy as jnp
import numpy as np

from fedjax_asr import (
  config,
  json_file,
  run_example,
  run_files,
  saved_run,
  whole_file,
)
from fedjax_asr.corpora import dataset
from fedjax_asr.decoding import greedy, long_form, scores
from fedjax_asr.jobs import heldout
from fedjax_asr.speech import compressed

# As the evaluation of a run pads its utterances.
_FRAME_QUANTUM = 64


class Example(NamedTuple):
  """A line of `examples.json`, but for what is read of the recording.

  group: the held-out set that it is of.
  position: in `examples`.
  role: 'best', 'median' or 'worst' of all that was heard; '' of others.
  """

  group: config.Subset
  examples: dataset.Dataset
  position: int
  said: scores.Transcript
  wer: float
  cer: float
  role: str = ''


def write(
  saved: saved_run.SavedRun,
  heard: Sequence[heldout.Heard],
  files: run_files.RunFiles,
) -> None:
  """Leaves `examples/`, whole or as it was before; of nothing heard, nothing.

  `examples.json` tells of each, the best, the median and the worst first;
  each has its sound beside, where the corpus has any. `examples.h5` has a
  group for each role with `features` [frames, features] as the model sees them,
  `log_posteriors` [outputs, symbols] in float32, and `waveform` [samples].
  What is told to be heard in these is the greedy path of just these posteriors:
  computed in another batch, they may differ from the evaluation's by rounding.

  Raises:
    Exception: whatever reading a recording or writing a file does.
  """
  cfg = saved.config
  chosen = choose(heard, cfg.evaluation.num_kept_examples)
  if not chosen:
    return
  has_role = [item for item in chosen if item.role]
  posteriors = dict(
    zip(
      [item.role for item in has_role],
      _log_posteriors(saved, has_role),
      strict=True,
    )
  )
  sample_rate = cfg.features.sample_rate
  records = []
  with (
    whole_file.replacing_folder(files.examples) as folder,
    h5py.File(folder / files.example_arrays.name, 'w') as arrays,
  ):
    arrays.attrs['round'] = saved.round
    for rank, item in enumerate(chosen):
      waveform = item.examples.sources[item.position].waveform(sample_rate)
      if item.role:
        log_posteriors = posteriors[item.role]
        item = _heard_in(log_posteriors, item)
        group = arrays.create_group(item.role)
        _write_arrays(group, saved, item, waveform, log_posteriors)
      name = None
      if waveform is not None:
        name = run_files.example_sound(rank, item.said.utterance)
        sound = compressed.mp3(waveform, sample_rate)
        (folder / name).write_bytes(sound)
      record = _record(item, waveform, name, cfg.features)
      records.append(record._asdict())
    json_file.write(folder / files.example_records.name, records)


def choose(heard: Sequence[heldout.Heard], count: int) -> list[Example]:
  """At most so many: best, median and worst by WER (ties by CER, then by
  name), then others at even distances in that order, as it goes."""
  ranked = sorted(
    (item for each in heard for item in _scored(each)),
    key=lambda item: (item.wer, item.cer, item.said.utterance, item.group),
  )
  if not ranked or not count:
    return []
  roles: dict[int, str] = {}
  last = len(ranked) - 1
  for place, role in ((0, 'best'), (last, 'worst'), (last // 2, 'median')):
    roles.setdefault(place, role)
  places = sorted(roles)[:count]
  others = [place for place in range(len(ranked)) if place not in roles]
  left = min(count - len(places), len(others))
  for index in range(left):
    places.append(others[(2 * index + 1) * len(others) // (2 * left)])
  return [ranked[place]._replace(role=roles.get(place, '')) for place in places]


def _scored(heard: heldout.Heard) -> list[Example]:
  """What was heard, in the order of evaluation, with its rates."""
  places = {name: index for index, name in enumerate(heard.examples.ids)}
  said = heard.transcripts
  counts = scores.errors(said, heard.examples.alphabet.has_words)
  return [
    Example(
      group=heard.subset,
      examples=heard.examples,
      position=places[item.utterance],
      said=item,
      wer=float(counts.words[index] / counts.num_words[index]),
      cer=float(counts.characters[index] / counts.num_characters[index]),
    )
    for index, item in enumerate(said)
  ]


def _log_posteriors(
  saved: saved_run.SavedRun, chosen: Sequence[Example]
) -> list[np.ndarray]:
  """[outputs, symbols] of each, computed in one batch."""
  features = [item.examples.features(item.position) for item in chosen]
  num_frames = np.array([len(each) for each in features], np.int32)
  longest = -(-int(num_frames.max()) // _FRAME_QUANTUM) * _FRAME_QUANTUM
  padded = np.stack(
    [np.pad(each, ((0, longest - len(each)), (0, 0))) for each in features]
  )

  def log_posteriors(params, norm_state, *batch):
    logits, num_outputs, _ = saved.acoustic.apply(
      params, norm_state, *batch, train=False
    )
    return jax.nn.log_softmax(logits.astype(jnp.float32)), num_outputs

  rows, num_outputs = jax.device_get(
    jax.jit(log_posteriors)(saved.params, saved.norm_state, padded, num_frames)
  )
  return [
    row[:count] for row, count in zip(rows, num_outputs.tolist(), strict=True)
  ]


def _heard_in(log_posteriors: np.ndarray, item: Example) -> Example:
  """With what these say, and its rates."""
  alphabet = item.examples.alphabet
  (hypothesis,) = greedy.texts(
    log_posteriors[None], np.array([len(log_posteriors)]), alphabet
  )
  said = item.said._replace(hypothesis=hypothesis)
  score = scores.score([said], alphabet.has_words)
  return item._replace(said=said, wer=score.wer, cer=score.cer)


def _write_arrays(
  group: h5py.Group,
  saved: saved_run.SavedRun,
  item: Example,
  waveform: np.ndarray | None,
  log_posteriors: np.ndarray,
) -> None:
  cfg = saved.config.features
  group.attrs['utterance'] = item.said.utterance.encode(
    errors='surrogateescape'
  )
  if waveform is not None:
    samples = group.create_dataset('waveform', data=waveform, dtype='f4')
    samples.attrs['sample_rate'] = cfg.sample_rate
  features = item.examples.features(item.position)
  frames = group.create_dataset('features', data=features, dtype='f4')
  frames.attrs['seconds'] = cfg.hop_ms / 1000
  outputs = group.create_dataset(
    'log_posteriors', data=log_posteriors, dtype='f4'
  )
  stride = long_form.time_stride(saved.acoustic)
  outputs.attrs['seconds'] = stride * cfg.hop_ms / 1000


def _record(
  item: Example,
  waveform: np.ndarray | None,
  sound: str | None,
  cfg: config.FeaturesConfig,
) -> run_example.RunExample:
  seconds = item.examples.num_frames[item.position] * cfg.hop_ms / 1000
  if waveform is not None:
    seconds = len(waveform) / cfg.sample_rate
  return run_example.RunExample(
    utterance=item.said.utterance,
    speaker=item.said.speaker,
    group=item.group.value,
    reference=item.said.reference,
    hypothesis=item.said.hypothesis,
    wer=item.wer,
    cer=item.cer,
    seconds=round(float(seconds), 6),
    audio=sound,
    role=item.role,
  )
