"""What a finished run leaves to be seen and heard, from its directory.

Training is over and saved: whatever fails here is told and fails nothing.
"""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence

import matplotlib.figure

from fedjax_asr import config, run_example, run_files, saved_run
from fedjax_asr.figures import drawn_run, gallery, style
from fedjax_asr.jobs import heldout, run_corpus, run_examples
from fedjax_asr.run_log import example_events

# Of a figure where TensorBoard shows it.
_SMALL_DPI = 60


Hear = Callable[[saved_run.SavedRun], Sequence[heldout.Heard]]


def catch_up(
  cfg: config.Config, files: run_files.RunFiles, num_rounds: int
) -> str:
  """Does for a finished run what it was killed before; what to say of it."""
  # Written last of all.
  if example_events.round_of(files.example_events) == num_rounds:
    return 'nothing to do.'

  def hear(saved):
    data = run_corpus.prepare(saved, cfg.data, lambda done, total: None)
    held_out = heldout.HeldOut(
      saved.acoustic, data, saved.config.evaluation, files.path
    )
    held_out.hear(saved.params, saved.norm_state)
    return held_out.heard

  made = 'made the figures and examples that it lacked'
  return '; '.join([made, *leave(files, hear)])


def leave(files: run_files.RunFiles, hear: Hear) -> list[str]:
  """Writes `examples/`, every figure, and both for TensorBoard.

  Returns a sentence for each of them that is not there now, and why.
  """
  drawing = drawn_run.DrawnRun(files.path)
  untold: list[str] = []

  def attempt(what: str, act: Callable[[], None]) -> None:
    try:
      act()
    except Exception as error:
      reason = str(error).splitlines()[:1] or ['']
      untold.append(f'{what}: {type(error).__name__}: {reason[0]}')

  attempt(
    'no examples',
    lambda: run_examples.write(drawing.saved, hear(drawing.saved), files),
  )
  images: dict[str, bytes] = {}
  for name in gallery.of_run(drawing):
    attempt(f'no figure {name}', lambda name=name: _draw(drawing, name, images))
  attempt('nothing for TensorBoard', lambda: _log(drawing, images))
  return untold


def _draw(
  drawing: drawn_run.DrawnRun, name: str, images: dict[str, bytes]
) -> None:
  """As a PNG, and small in `images`; what is missing is said in the figure."""
  figure = gallery.one(drawing, name).figure
  style.save(figure, drawing.files.figure(name, 'png'))
  images[name] = _small(figure)


def _small(figure: matplotlib.figure.Figure) -> bytes:
  """As a PNG on white: TensorBoard's own ground is light or dark.

  Laid out as it was drawn before, which takes most of the time.
  """
  file = io.BytesIO()
  figure.set_layout_engine('none')
  figure.savefig(file, dpi=_SMALL_DPI, facecolor='white', format='png')
  return file.getvalue()


def _log(drawing: drawn_run.DrawnRun, images: Mapping[str, bytes]) -> None:
  files = drawing.files
  with example_events.replacing(
    files.example_events, drawing.metrics[-1]['round']
  ) as events:
    for name, png in images.items():
      events.image(f'figures/{name}', png)
    # Without them, what there is to say of it was said.
    with contextlib.suppress(drawn_run.Missing):
      _log_examples(events, drawing)


def _log_examples(
  events: example_events.ExampleEvents, drawing: drawn_run.DrawnRun
) -> None:
  for rank, each in enumerate(drawing.examples):
    role = each['role'] or f'{rank:02}'
    # In TensorBoard's Markdown, indented text is as it is.
    events.text(
      f'examples/{role}',
      f'{each["group"]}, WER {each["wer"]:.1%}, CER {each["cer"]:.1%}\n\n'
      f'    said   {each["reference"]}\n    heard  {each["hypothesis"]}\n',
    )
    sound = run_example.RunExample(**each).audio
    if sound:
      file = drawing.files.examples / sound
      events.sound(f'examples/{role}', file.read_bytes())
