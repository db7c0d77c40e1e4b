"""The corpus that `config.data` names."""

from collections.abc import Sequence
from typing import NamedTuple

from fedjax_asr import config, home
from fedjax_asr.corpora import (
  audiofolder,
  common_voice,
  fsdd,
  kaldi,
  librispeech,
  manifest,
  problem,
  shards,
  synthetic,
  utterance,
)

_LOADERS = {
  config.Corpus.MANIFEST: manifest.utterances,
  config.Corpus.LIBRISPEECH: librispeech.utterances,
  config.Corpus.FSDD: fsdd.utterances,
  config.Corpus.COMMON_VOICE: common_voice.utterances,
  config.Corpus.KALDI: kaldi.utterances,
  config.Corpus.AUDIOFOLDER: audiofolder.utterances,
  config.Corpus.SHARDS: shards.utterances,
}


class Corpus(NamedTuple):
  """Utterances, not yet read, with unique ids; what is wrong with others."""

  utterances: list[utterance.Utterance]
  problems: list[problem.Problem]
  # All speakers of `data.heldout_path`; empty where there is none.
  heldout_speakers: frozenset[str]


def load(data: config.DataConfig) -> Corpus:
  """The corpus of `data.path`, followed by that of `data.heldout_path`.

  A held-out utterance whose id is taken is called 'heldout/' and its id.

  Raises:
    CorpusError: if a corpus cannot be read, has no usable utterance, or the
      two share a speaker.
  """
  if data.corpus is config.Corpus.SYNTHETIC:
    return Corpus(synthetic.utterances(data.synthetic), [], frozenset())
  found, problems = _loaded(data.corpus, data.path, data.splits)
  if not data.heldout_path:
    return Corpus(found, problems, frozenset())
  heldout, heldout_problems = _loaded(data.corpus, data.heldout_path)
  names = frozenset(item.speaker for item in heldout)
  shared = names & {item.speaker for item in found}
  if shared:
    raise utterance.CorpusError(
      f'config.data.heldout_path={data.heldout_path!r}: its speaker '
      f'{min(shared)!r} is also in config.data.path; want other speakers.'
    )
  taken = {item.id for item in found}
  renamed = [
    item._replace(id=f'heldout/{item.id}') if item.id in taken else item
    for item in heldout
  ]
  return Corpus(found + renamed, problems + heldout_problems, names)


def _loaded(
  corpus: config.Corpus, path: str, splits: Sequence[str] = ()
) -> tuple[list[utterance.Utterance], list[problem.Problem]]:
  folder = home.expanded(path)
  if splits:
    # Validation lets no other corpus have any.
    found, problems = librispeech.utterances(folder, splits)
  else:
    found, problems = _LOADERS[corpus](folder)
  if not found:
    first = problems[0]
    raise utterance.CorpusError(
      f'{path}: no usable utterance; {len(problems)} problems, the first: '
      f'{first.source}: {first.reason}'
    )
  return found, problems
