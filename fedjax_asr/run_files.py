"""The files of a run: every name that a job gives to what it leaves.

Whoever writes or reads a file of a run takes its path from here.
"""

import os
import pathlib
import re

# Characters of an utterance's name: any 60 are less than the 255 bytes that a
# file's name may have.
_STEM = 60


class RunFiles:
  """Paths in the directory of a run or of a job on one; none need be there.

  An evaluation's folder in such a directory has files of the same names.
  """

  def __init__(self, path: str | os.PathLike[str]):
    self.path = pathlib.Path(path)

  # Of every job.

  @property
  def config_json(self) -> pathlib.Path:
    """The resolved config."""
    return self.path / 'config.json'

  @property
  def versions_json(self) -> pathlib.Path:
    """A record of each environment that the run went on in."""
    return self.path / 'versions.json'

  @property
  def lock(self) -> pathlib.Path:
    """Held by the one process that writes here."""
    return self.path / '.lock'

  @property
  def alphabet(self) -> pathlib.Path:
    """What the labels of the run's checkpoints mean."""
    return self.path / 'alphabet.json'

  @property
  def skipped(self) -> pathlib.Path:
    """Utterances that are left out, or warned of, a line each."""
    return self.path / 'skipped_utterances.jsonl'

  @property
  def figures(self) -> pathlib.Path:
    """The folder of the plots."""
    return self.path / 'figures'

  # Of `train`.

  @property
  def history(self) -> pathlib.Path:
    """The last round that each numbered config holds for."""
    return self.path / 'history.json'

  @property
  def rollbacks(self) -> pathlib.Path:
    """Each time that the run diverged and went back, and by what step then."""
    return self.path / 'rollbacks.json'

  @property
  def statistics(self) -> pathlib.Path:
    """Mean and deviation of the features, for global normalisation."""
    return self.path / 'feature_statistics.json'

  @property
  def corpus(self) -> pathlib.Path:
    """Where the speech lay, and a fingerprint of it."""
    return self.path / 'corpus.json'

  @property
  def population(self) -> pathlib.Path:
    """Who the clients are and what each has, for figures."""
    return self.path / 'population.json'

  @property
  def metrics(self) -> pathlib.Path:
    """Losses and rates, a line a round."""
    return self.path / 'metrics.jsonl'

  @property
  def clients(self) -> pathlib.Path:
    """What each client of a round did, a line a round."""
    return self.path / 'clients.jsonl'

  @property
  def tensorboard(self) -> pathlib.Path:
    """The folder of the same as TensorBoard reads it."""
    return self.path / 'tensorboard'

  @property
  def checkpoints(self) -> pathlib.Path:
    """The folder of the rounds that are kept."""
    return self.path / 'checkpoints'

  @property
  def client_memory(self) -> pathlib.Path:
    """The folder of what clients keep from round to round, a row a file."""
    return self.path / 'client_memory'

  @property
  def client_rows(self) -> pathlib.Path:
    """Whose the rows are, and what lies in one."""
    return self.client_memory / 'rows.json'

  @property
  def noise_seed(self) -> pathlib.Path:
    """What the noise of a private run comes from; never to be published."""
    return self.path / 'noise_seed.secret'

  @property
  def speakers(self) -> pathlib.Path:
    """Scores of each held-out speaker; of an attack, who was recognised."""
    return self.path / 'speakers.json'

  @property
  def transcripts(self) -> pathlib.Path:
    """What was said and what was heard, also of `evaluate`."""
    return self.path / 'transcripts.json'

  @property
  def examples(self) -> pathlib.Path:
    """The folder of some held-out utterances, to be heard and drawn."""
    return self.path / 'examples'

  @property
  def example_records(self) -> pathlib.Path:
    """What was said and heard in each example, and its sound's name."""
    return self.examples / 'examples.json'

  @property
  def example_arrays(self) -> pathlib.Path:
    """Waveform, features and posteriors of the best, median and worst."""
    return self.examples / 'examples.h5'

  @property
  def example_events(self) -> pathlib.Path:
    """Figures and examples as TensorBoard reads them."""
    # Behind the names of those with scalars, in which a time comes here.
    return self.tensorboard / 'events.out.tfevents.examples'

  @property
  def training_figure(self) -> pathlib.Path:
    """Loss and error rates over the rounds."""
    return self.figures / 'training_progress.png'

  # Of `converge`.

  @property
  def iterations(self) -> pathlib.Path:
    """Loss, gradient norm and output change, a line an iteration."""
    return self.path / 'iterations.jsonl'

  @property
  def convergence(self) -> pathlib.Path:
    """What the iterations of each batch came to."""
    return self.path / 'convergence.json'

  @property
  def convergence_figure(self) -> pathlib.Path:
    """Every batch over its iterations."""
    return self.figures / 'batch_convergence.png'

  # Of `evaluate`.

  @property
  def evaluation(self) -> pathlib.Path:
    """Rates with intervals, of one evaluation, in its folder."""
    return self.path / 'evaluation.json'

  @property
  def summary(self) -> pathlib.Path:
    """A row for each evaluation here."""
    return self.path / 'summary.json'

  # Of `personalise`.

  @property
  def personalisation(self) -> pathlib.Path:
    """Error rates of each speaker before and after training on it."""
    return self.path / 'personalisation.json'

  # Of `export`.

  def program(self, name: str) -> pathlib.Path:
    """A model that JAX alone loads."""
    return self.path / f'{name}.stablehlo'

  @property
  def program_description(self) -> pathlib.Path:
    """What the programs are fed, and what comes out."""
    return self.path / 'forward.json'

  # Of `report`.

  def figure(self, name: str, form: str) -> pathlib.Path:
    """One of the run's figures, as `png` or `pdf`."""
    return self.figures / f'{name}.{form}'

  @property
  def report_html(self) -> pathlib.Path:
    """All of a run on a page for browsers."""
    return self.path / 'report.html'

  @property
  def report_md(self) -> pathlib.Path:
    """The same as Markdown, without curves and sound."""
    return self.path / 'report.md'

  @property
  def report_tex(self) -> pathlib.Path:
    """The same as LaTeX."""
    return self.path / 'report.tex'

  # Of `language_model`.

  @property
  def language_model(self) -> pathlib.Path:
    """N-grams, as ARPA."""
    return self.path / 'language_model.arpa'

  @property
  def lexicon(self) -> pathlib.Path:
    """The words of the language model, one a line."""
    return self.path / 'lexicon.txt'

  # Of `audit`.

  @property
  def audit(self) -> pathlib.Path:
    """What attacks on a run's promises reached, part by part."""
    return self.path / 'audit.json'

  # Of `attack`.

  @property
  def attack(self) -> pathlib.Path:
    """Scores of every victim's utterances by every method."""
    return self.path / 'attack.json'

  @property
  def reconstructions(self) -> pathlib.Path:
    """Features, reconstructed and original."""
    return self.path / 'reconstructions.h5'

  @property
  def spectra(self) -> pathlib.Path:
    """Singular values of updates by method and layer, and the rank found."""
    return self.path / 'spectra.json'

  @property
  def audio(self) -> pathlib.Path:
    """The folder of what can be listened to."""
    return self.path / 'audio'

  def progress(self, client: int) -> pathlib.Path:
    """How far the attack on a client is."""
    return self.path / f'progress_{client}.npz'

  def recording(self, utterance: str) -> pathlib.Path:
    """What the speaker said."""
    return self.audio / f'{_stem(utterance)}_recording.wav'

  def resynthesis(
    self, utterance: str, of: str, ending: str = ''
  ) -> pathlib.Path:
    """Features made audible: the original's or a method's."""
    return self.audio / f'{_stem(utterance)}_{of}_resynthesised{ending}.wav'

  def reconstruction_figure(self, utterance: str, method: str) -> pathlib.Path:
    """Original, reconstruction and error."""
    name = _stem(f'reconstruction_{utterance}_{method}')
    return self.figures / f'{name}.png'

  @property
  def scores_figure(self) -> pathlib.Path:
    """The scores of all reconstructions."""
    return self.figures / 'reconstruction_scores.png'

  @property
  def spectra_figure(self) -> pathlib.Path:
    """The singular values of the updates."""
    return self.figures / 'singular_values.png'

  @property
  def speakers_figure(self) -> pathlib.Path:
    """How often the speaker was identified."""
    return self.figures / 'speaker_identification.png'


def example_sound(rank: int, utterance: str) -> str:
  """What a recording among the examples is called; no two ranks the same."""
  return f'{rank:02}_{_stem(utterance)[:_STEM]}.mp3'


def numbered(file: pathlib.Path, number: int) -> pathlib.Path:
  """What a file was before the run's config was changed, the first is 1."""
  return file.with_name(f'{file.stem}.{number}{file.suffix}')


def _stem(name: str) -> str:
  """As every file system takes it."""
  return re.sub(r'[^\w.-]', '_', name)
