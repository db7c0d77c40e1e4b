"""The scores of a run on its held-out sets, reported as it goes."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np

from fedjax_asr import config, json_file, run_files
from fedjax_asr.corpora import dataset, datasets
from fedjax_asr.decoding import evaluation, scores
from fedjax_asr.federated import server
from fedjax_asr.models import model

# What is counted -> what is called with (done, all).
Counted = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]

_SUBSETS = config.Subset.HELDOUT_SPEAKERS, config.Subset.HELDOUT_UTTERANCES


class Heard(NamedTuple):
  """A held-out set, and what was heard of it."""

  subset: config.Subset
  examples: dataset.Dataset
  transcripts: list[scores.Transcript]


@contextlib.contextmanager
def _uncounted(what: str) -> Iterator[Callable[[int, int], None]]:
  del what
  yield lambda done, total: None


class HeldOut:
  """Evaluates both held-out sets; each of them may be empty.

  The main set is the held-out speakers, or the held-out utterances where no
  speaker is held out. Each evaluation replaces `speakers.json` (scores of each
  speaker of the main set) and `transcripts.json` in the run directory.

  heard: by the last evaluation, in each set that has utterances.
  """

  def __init__(
    self,
    acoustic: model.Model,
    data: datasets.Datasets,
    cfg: config.EvaluationConfig,
    path: pathlib.Path,
  ):
    self.heard: list[Heard] = []
    self._cfg = cfg
    self._sets = data.heldout_speakers, data.heldout_utterances
    self._files = run_files.RunFiles(path)
    recognizer = evaluation.decoded_greedily(acoustic)
    self._speakers, self._utterances = (
      evaluation.Evaluator(recognizer, examples, cfg) for examples in self._sets
    )

  def is_due(self, round_index: int) -> bool:
    """Whether the config asks for an evaluation after so many rounds."""
    return round_index % self._cfg.every_rounds == 0

  def hear(
    self,
    params: model.Params,
    norm_state: model.NormState,
    counted: Counted = _uncounted,
  ) -> tuple[evaluation.Evaluation | None, evaluation.Evaluation | None]:
    """Of the speakers, and of the utterances; writes nothing."""
    with counted('speakers') as report:
      speakers = self._speakers(params, norm_state, report)
    with counted('utterances') as report:
      utterances = self._utterances(params, norm_state, report)
    self.heard = [
      Heard(subset, examples, result.transcripts)
      for subset, examples, result in zip(
        _SUBSETS, self._sets, (speakers, utterances), strict=True
      )
      if result
    ]
    return speakers, utterances

  def evaluate(
    self,
    state: server.ServerState,
    show: Callable[[str], None],
    counted: Counted = _uncounted,
  ) -> dict[str, float]:
    """Scores by metric name, none for an empty set.

    `show` prints a line; `counted` shows how many batches of a set are done.
    """
    values = server.evaluated(state)
    speakers, utterances = self.hear(values.params, values.norm_state, counted)
    record = {}
    if utterances:
      record['eval/utterance_wer'] = utterances.total.wer
      record['eval/utterance_cer'] = utterances.total.cer
    main = speakers or utterances
    if main:
      record['eval/wer'] = main.total.wer
      record['eval/cer'] = main.total.cer
      record['eval/loss'] = main.loss
      self._report(main, int(state.round), show)
    return record

  def _report(
    self,
    result: evaluation.Evaluation,
    round_index: int,
    show: Callable[[str], None],
  ) -> None:
    by_speaker = result.by_speaker.items()
    speakers = {name: score._asdict() for name, score in by_speaker}
    json_file.write(
      self._files.speakers, {'round': round_index, 'speakers': speakers}
    )
    transcripts = [item._asdict() for item in result.transcripts]
    json_file.write(
      self._files.transcripts,
      {'round': round_index, 'transcripts': transcripts},
    )
    total = result.total
    show(f'after round {round_index}: WER {total.wer:.1%}, CER {total.cer:.1%}')
    for item in _examples(result.transcripts, self._cfg.num_examples):
      show(f'  said  {item.reference}\n  heard {item.hypothesis}')


def _examples(
  transcripts: Sequence[scores.Transcript], count: int
) -> list[scores.Transcript]:
  """So many at even distances; the first and last are extreme in length."""
  count = min(count, len(transcripts))
  places = np.linspace(0, len(transcripts) - 1, count + 2)[1:-1]
  return [transcripts[int(place)] for place in places]
