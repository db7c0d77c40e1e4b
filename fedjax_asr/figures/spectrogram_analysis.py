"""The best, the median and the worst held-out utterance of a run, from the
waveform to what was heard of it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.colors
import matplotlib.figure
import matplotlib.patches
import numpy as np

from fedjax_asr import config
from fedjax_asr.decoding import scores, word_times
from fedjax_asr.figures import (
  drawn_run,
  edited_text,
  example_arrays,
  feature_axes,
  style,
)
from fedjax_asr.speech import alphabets

_PAGE = 2 * style.WIDTH
# Inches: of the panels along time, and between them.
_LEFT, _WIDTH, _BAR, _TEXT_WIDTH = 0.95, 7.85, 0.12, 9.0
_GAP, _TITLE, _AXIS, _BETWEEN, _MARGIN = 0.1, 0.32, 0.5, 0.2, 0.1
_WAVEFORM, _FEATURES, _POSTERIORS, _WORDS, _KEY = 0.75, 1.6, 2.3, 1.0, 0.3
# What has a letter's height there.
_MOST_SYMBOLS = 24
_LIKELY = 0.1
_MOST_JOINED = 150
# A picture of so many samples and more is one of their extremes.
_MOST_POINTS = 4000
_HALF = 0.42  # Of a row of words.


class _Block(NamedTuple):
  """An utterance as it is drawn."""

  record: dict[str, Any]
  heard: example_arrays.Heard
  text: edited_text.Text

  @property
  def height(self) -> float:
    """Inches."""
    panels = _WAVEFORM + _FEATURES + _POSTERIORS + _WORDS + 3 * _GAP
    return _TITLE + panels + _AXIS + self.text.height + _BETWEEN


def draw(run: drawn_run.DrawnRun) -> matplotlib.figure.Figure:
  """For each: waveform, features, posteriors with the greedy path, when each
  word is said and heard, and both texts with what differs.

  What was said is aligned by the likeliest path that spells it.

  Raises:
    Missing: the run has no examples, or they cannot be read.
  """
  alphabet = run.alphabet
  with style.context():
    blocks = [
      _block(run, record, alphabet.has_words)
      for record in run.examples
      if record['role']
    ]
    if not blocks:
      raise drawn_run.Missing('no example is the best, median or worst.')
    height = sum(each.height for each in blocks) + _KEY + _MARGIN
    figure = matplotlib.figure.Figure(figsize=(_PAGE, height))
    column = _Column(figure, height)
    for block in blocks:
      _draw_block(column, block, run.config.features, alphabet)
    axes = column.axes(_KEY, left=_LEFT, width=_TEXT_WIDTH - _LEFT)
    axes.set_axis_off()
    axes.set_xlim(0, _TEXT_WIDTH - _LEFT)
    axes.set_ylim(_KEY, 0)
    edited_text.key(axes, 0, _KEY / 2)
    return figure


class _Column:
  """Axes from the top of a figure down, in inches."""

  def __init__(self, figure: matplotlib.figure.Figure, height: float):
    self.figure = figure
    self._height, self._top = height, height

  def skip(self, height: float) -> None:
    self._top -= height

  def axes(
    self, height: float, *, left: float = _LEFT, width: float = _WIDTH
  ) -> Any:
    """The next, which take so much of the height."""
    self._top -= height
    place = (left / _PAGE, self._top / self._height)
    return self.figure.add_axes((*place, width / _PAGE, height / self._height))

  def bar(self, image: Any, height: float, label: str) -> None:
    """Of colours, beside the axes that were made last."""
    left = (_LEFT + _WIDTH + _GAP) / _PAGE
    axes = self.figure.add_axes(
      (left, self._top / self._height, _BAR / _PAGE, height / self._height)
    )
    bar = self.figure.colorbar(image, cax=axes)
    bar.set_label(label, fontsize=9)
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=8)


def _block(
  run: drawn_run.DrawnRun, record: dict[str, Any], has_words: bool
) -> _Block:
  said = scores.Transcript(
    utterance=record['utterance'],
    speaker=record['speaker'],
    reference=record['reference'],
    hypothesis=record['hypothesis'],
  )
  text = edited_text.laid_out(
    scores.pairs(said, has_words), _TEXT_WIDTH - _LEFT
  )
  heard = example_arrays.read(run.files, record['role'])
  return _Block(record, heard, text)


def _draw_block(
  column: _Column,
  block: _Block,
  cfg: config.FeaturesConfig,
  alphabet: alphabets.Alphabet,
) -> None:
  heard = block.heard
  column.skip(_TITLE)
  panels = [column.axes(_WAVEFORM)]
  panels[0].set_title(_title(block.record), fontsize=11, parse_math=False)
  _draw_waveform(panels[0], heard)
  column.skip(_GAP)
  panels.append(column.axes(_FEATURES))
  _draw_features(column, panels[1], heard, cfg)
  column.skip(_GAP)
  panels.append(column.axes(_POSTERIORS))
  labels = alphabet.encode(block.record['reference'])
  _draw_posteriors(column, panels[2], heard, labels, alphabet)
  column.skip(_GAP)
  panels.append(column.axes(_WORDS))
  _draw_words(panels[3], heard, labels, alphabet)
  for axes in panels:
    axes.set_xlim(0, heard.seconds)
    axes.tick_params(labelsize=8, labelbottom=axes is panels[-1])
    axes.set_xlabel('time (s)' if axes is panels[-1] else '', fontsize=9)
    axes.yaxis.label.set_size(9)
    # One below the other, wherever their numbers end.
    axes.yaxis.set_label_coords(-0.62 / _WIDTH, 0.5)
  column.skip(_AXIS)
  width = _TEXT_WIDTH - _LEFT
  axes = column.axes(block.text.height, width=width)
  edited_text.draw(axes, block.text, width)
  column.skip(_BETWEEN)


def _title(record: dict[str, Any]) -> str:
  name = style.drawable(record['utterance'])
  name = name if len(name) <= 40 else f'{name[:39]}\u2026'
  return (
    f'{record["role"]}: {name}, WER {record["wer"]:.1%}, '
    f'CER {record["cer"]:.1%}, {record["seconds"]:.2f} s'
  )


def _draw_waveform(axes: Any, heard: example_arrays.Heard) -> None:
  axes.set_ylabel('waveform')
  axes.set_yticks([])
  waveform = heard.waveform
  if waveform is None:
    axes.grid(visible=False)
    said = 'no recording: the corpus has features alone'
    axes.text(0.5, 0.5, said, transform=axes.transAxes, ha='center', fontsize=9)
    return
  step = max(1, 2 * len(waveform) // _MOST_POINTS)
  starts = np.arange(0, max(len(waveform), 1), step)
  axes.fill_between(
    starts / heard.sample_rate,
    np.minimum.reduceat(waveform, starts),
    np.maximum.reduceat(waveform, starts),
    color=style.BLUE,
    linewidth=0.4,
  )


def _draw_features(
  column: _Column,
  axes: Any,
  heard: example_arrays.Heard,
  cfg: config.FeaturesConfig,
) -> None:
  axes.grid(visible=False)
  values = feature_axes.shown(heard.features, heard.features, cfg)
  finite = values[np.isfinite(values)]
  low, high = np.percentile(finite, (0.5, 99.5)) if len(finite) else (0, 1)
  image = axes.imshow(
    values.T,
    aspect='auto',
    origin='lower',
    interpolation='nearest',
    norm=matplotlib.colors.Normalize(low, high),
    extent=(0, len(values) * heard.frame_seconds, 0, values.shape[1]),
  )
  feature_axes.label(axes, [axes], values.shape[1], cfg)
  column.bar(image, _FEATURES, feature_axes.unit(cfg))


def _draw_posteriors(
  column: _Column,
  axes: Any,
  heard: example_arrays.Heard,
  labels: np.ndarray,
  alphabet: alphabets.Alphabet,
) -> None:
  axes.grid(visible=False)
  axes.set_ylabel('posteriors')
  posteriors = np.exp(heard.log_posteriors)
  path = word_times.greedy_path(heard.log_posteriors)
  symbols = shown_symbols(posteriors, path, labels)
  seconds = heard.output_seconds
  image = axes.imshow(
    posteriors[:, symbols].T,
    aspect='auto',
    origin='lower',
    interpolation='nearest',
    norm=matplotlib.colors.Normalize(0, 1),
    extent=(0, len(path) * seconds, -0.5, len(symbols) - 0.5),
  )
  rows = np.full(alphabet.size, np.nan)
  rows[symbols] = np.arange(len(symbols))
  axes.plot(
    (np.arange(len(path)) + 0.5) * seconds,
    rows[path],
    '.-',
    color=style.ORANGE,
    # Of many outputs, lines would hide what they join.
    linewidth=0.6 if len(path) <= _MOST_JOINED else 0.0,
    markersize=5,
    markeredgecolor='white',
    markeredgewidth=0.3,
  )
  axes.set_yticks(
    range(len(symbols)), [_symbol(each, alphabet) for each in symbols]
  )
  # Behind `_draw_block`'s size of the numbers of other panels.
  for label in axes.get_yticklabels():
    label.set_parse_math(False)
  axes.set_ylim(-0.5, len(symbols) - 0.5)
  if not np.isfinite(heard.log_posteriors).all():
    said = 'posteriors that are not finite'
    axes.text(0.5, 0.5, said, transform=axes.transAxes, ha='center')
  column.bar(image, _POSTERIORS, 'probability;\ndots: likeliest')


def shown_symbols(
  posteriors: np.ndarray, path: np.ndarray, labels: np.ndarray
) -> list[int]:
  """The blank, and what is said, heard or likely anywhere, in the alphabet's
  order; of too many, the likeliest."""
  peaks = np.nan_to_num(posteriors, nan=0.0).max(0, initial=0.0)
  wanted = {*path.tolist(), *labels.tolist()}
  wanted |= set(np.flatnonzero(peaks >= _LIKELY).tolist())
  wanted.discard(alphabets.BLANK)
  ranked = sorted(wanted, key=lambda each: -peaks[each])
  return [alphabets.BLANK, *sorted(ranked[: _MOST_SYMBOLS - 1])]


def _symbol(label: int, alphabet: alphabets.Alphabet) -> str:
  if label == alphabets.BLANK:
    return 'blank'
  if label == alphabet.space:
    return 'space'
  return style.drawable(alphabet.symbols[label])[:8]


def _draw_words(
  axes: Any,
  heard: example_arrays.Heard,
  labels: np.ndarray,
  alphabet: alphabets.Alphabet,
) -> None:
  axes.grid(axis='y', visible=False)
  axes.set_yticks([1, 0], ['said', 'heard'])
  axes.set_ylim(-0.5, 1.5)
  axes.set_ylabel('words')
  forced = word_times.forced_path(heard.log_posteriors, labels)
  greedy = word_times.greedy_path(heard.log_posteriors)
  for row, path, color in ((1, forced, style.GREEN), (0, greedy, style.ORANGE)):
    words = [] if path is None else word_times.words(path, alphabet)
    _draw_spans(axes, row, words, heard, color)
    if not words:
      said = 'nothing' if path is not None else 'cannot be aligned'
      axes.text(heard.seconds / 2, row, said, ha='center', fontsize=8)


def _draw_spans(
  axes: Any,
  row: int,
  words: Sequence[word_times.Word],
  heard: example_arrays.Heard,
  color: str,
) -> None:
  """Upright where they would not fit beside one another."""
  inches = heard.output_seconds * _WIDTH / heard.seconds
  centers = [(each.start + each.end) / 2 * inches for each in words]
  texts = [style.drawable(each.text) for each in words]
  widths = [style.width(text, 8) for text in texts]
  needed = (np.array(widths[:-1]) + np.array(widths[1:])) / 2
  is_upright = bool((np.diff(centers) < needed + 0.08).any())
  for word, text in zip(words, texts, strict=True):
    start = word.start * heard.output_seconds
    seconds = (word.end - word.start) * heard.output_seconds
    axes.add_patch(
      matplotlib.patches.Rectangle(
        (start, row - _HALF),
        seconds,
        2 * _HALF,
        facecolor=(*matplotlib.colors.to_rgb(color), 0.2),
        edgecolor=color,
        linewidth=0.8,
      )
    )
    axes.text(
      start + seconds / 2,
      row,
      text,
      ha='center',
      va='center',
      fontsize=6 if is_upright else 8,
      rotation=90 if is_upright else 0,
      parse_math=False,
      clip_on=True,
    )
