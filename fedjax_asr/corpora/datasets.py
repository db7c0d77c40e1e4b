"""From `config.data` to the sets that a model is trained and measured on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fedjax_asr import config
from fedjax_asr.corpora import (
  audit,
  characters,
  corpus,
  dataset,
  feature_files,
  problem,
  split,
  store,
  utterance,
)
from fedjax_asr.speech import alphabets, features, transcript


class Datasets(NamedTuple):
  """Disjoint sets of usable utterances, and what was found on the way."""

  train: dataset.Dataset
  heldout_speakers: dataset.Dataset
  heldout_utterances: dataset.Dataset
  # Of the training set, for global normalisation; None otherwise.
  statistics: features.Statistics | None
  problems: list[problem.Problem]
  num_dropped_transcripts: int
  # In the split; of one, no utterance may be left in `heldout_speakers`.
  num_heldout_speakers: int
  was_cached: bool
  # Of the texts of all sets.
  alphabet: alphabets.Alphabet


class Usable(NamedTuple):
  """A corpus with its features, and which of its utterances can be used."""

  # Their texts are what was said, in the alphabet, of those in `kept`.
  utterances: list[utterance.Utterance]
  store: store.FeatureStore
  kept: list[int]  # Indices into `utterances` and `store`; never none.
  problems: list[problem.Problem]
  heldout_speakers: frozenset[str]
  alphabet: alphabets.Alphabet


def prepare(
  data: config.DataConfig,
  cfg: config.FeaturesConfig,
  num_output_frames: Callable[[int], int],
  seed: int,
  report: store.Report,
  alphabet: alphabets.Alphabet | None = None,
) -> Datasets:
  """Loads, computes features (once), audits and splits the corpus.

  Args:
    data: where utterances come from.
    cfg: the features.
    num_output_frames: the model's output frames for so many input frames.
    seed: decides the split.
    report: called with (utterances done, all) while features are computed.
    alphabet: of a run that has one; None: what `data.alphabet` names.

  Raises:
    UserError: as `usable`.
  """
  is_of_corpus = data.alphabet == alphabets.CORPUS_NAME
  given = None if is_of_corpus else alphabet
  found = usable(data, cfg, num_output_frames, report, given)
  kept = [found.utterances[index] for index in found.kept]
  parts = split.split(kept, data, seed, found.heldout_speakers)
  heldout = {kept[index].speaker for index in parts.heldout_speakers}
  problems, known = found.problems, found.alphabet
  if is_of_corpus:
    spelled = characters.of_training(kept, parts, data, alphabet)
    audit.settle(spelled.problems, data.on_bad_utterance)
    parts, known = spelled.parts, spelled.alphabet
    problems = problems + spelled.problems

  def subset(positions, statistics=None):
    indices = [found.kept[position] for position in positions]
    return dataset.Dataset(
      found.utterances,
      found.store,
      indices,
      known,
      cfg.normalization,
      statistics,
    )

  statistics = None
  if cfg.normalization.has_statistics:
    indices = (found.kept[position] for position in parts.train)
    statistics = features.statistics(map(found.store.features, indices))
  return Datasets(
    train=subset(parts.train, statistics),
    heldout_speakers=subset(parts.heldout_speakers, statistics),
    heldout_utterances=subset(parts.heldout_utterances, statistics),
    statistics=statistics,
    problems=problems,
    num_dropped_transcripts=parts.num_dropped_transcripts,
    num_heldout_speakers=len(heldout),
    was_cached=not found.store.was_built,
    alphabet=known,
  )


def usable(
  data: config.DataConfig,
  cfg: config.FeaturesConfig,
  num_output_frames: Callable[[int], int],
  report: store.Report,
  alphabet: alphabets.Alphabet | None = None,
) -> Usable:
  """All of a corpus that can be used; arguments as of `prepare`.

  For `data.alphabet=corpus`, unless an alphabet is given, it is all of its
  characters.

  Raises:
    CorpusError: there is nothing to use, an utterance is bad and
      `data.on_bad_utterance` is `error`, or there are spaces and the alphabet
      has none.
    ConfigError: feature files are not what `cfg` says.
    MissingPackageError: `data.numbers` is `spell`, by a missing package.
  """
  transcript.check(data)
  is_chosen = alphabet is None
  alphabet = alphabet or alphabets.of_config(data)
  loaded = corpus.load(data)
  feature_files.check_sources(loaded.utterances, cfg)
  feature_store = store.open_or_build(loaded.utterances, data, cfg, report)
  odd = feature_files.check(loaded.utterances, feature_store, cfg)
  transcripts, alphabet = _spelled(loaded.utterances, data, alphabet)
  audited = audit.audit(
    loaded.utterances,
    transcripts,
    feature_store.num_frames,
    feature_store.failures,
    num_output_frames,
    alphabet,
  )
  # A warning is about an utterance that is kept.
  kept_ids = {loaded.utterances[index].id for index in audited.kept}
  odd = [each for each in odd if each.utterance in kept_ids]
  problems = loaded.problems + odd + audited.problems
  rates = audit.rate_problem(
    feature_store.sample_rates, cfg.sample_rate, data.path
  )
  problems += [rates] if rates else []
  audit.settle(problems, data.on_bad_utterance)
  if not audited.kept:
    raise _nothing_usable(data, problems, is_chosen)
  return Usable(
    utterances=[
      item._replace(text=spelled.text)
      for item, spelled in zip(loaded.utterances, transcripts, strict=True)
    ],
    store=feature_store,
    kept=audited.kept,
    problems=problems,
    heldout_speakers=loaded.heldout_speakers,
    alphabet=alphabet,
  )


def _nothing_usable(
  data: config.DataConfig,
  problems: Sequence[problem.Problem],
  is_chosen: bool,
) -> utterance.CorpusError:
  """`is_chosen`: by `data.alphabet`, which may be another."""
  first = next(each for each in problems if not each.is_warning)
  hint = ''
  if first.kind is problem.Kind.OTHER_ALPHABET:
    hint = ' The alphabet is that of the run.'
    if is_chosen:
      hint = (
        f' The alphabet is config.data.alphabet={data.alphabet!r}; want '
        'corpus, for the characters of its transcripts, or a file.'
      )
  return utterance.CorpusError(
    f'{data.path or data.corpus}: no usable utterance; {len(problems)} '
    f'problems, the first: {first.source}: {first.reason}{hint}'
  )


def _spelled(
  utterances: Sequence[utterance.Utterance],
  data: config.DataConfig,
  alphabet: alphabets.Alphabet,
) -> tuple[list[transcript.Transcript], alphabets.Alphabet]:
  """What was said, and in which symbols: of an open alphabet, those there."""
  transcripts = [
    transcript.spelled(item.text, data, alphabet) for item in utterances
  ]
  if alphabet.is_open:
    texts = (said.text for said in transcripts)
    alphabet, _ = alphabets.of_texts(texts, alphabet.rules)
  _check_spaces(utterances, transcripts, data, alphabet)
  return transcripts, alphabet


def _check_spaces(
  utterances: Sequence[utterance.Utterance],
  transcripts: Sequence[transcript.Transcript],
  data: config.DataConfig,
  alphabet: alphabets.Alphabet,
) -> None:
  """An alphabet needs a space where transcripts have one, and only there."""
  if alphabet.has_words:
    return
  spaced = [
    item.id
    for item, said in zip(utterances, transcripts, strict=True)
    if ' ' in said.text
  ]
  if spaced:
    raise utterance.CorpusError(
      f'config.data.alphabet={data.alphabet!r} has no space, and '
      f'{len(spaced)} of {len(utterances)} transcripts do, such as that of '
      f'{spaced[0]!r}; want a line <space> in the file, or none in transcripts.'
    )
