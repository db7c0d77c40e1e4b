"""The model of a run: its stages, and what each holds and computes."""

import textwrap
from typing import Any

import jax
import matplotlib.colors
import matplotlib.figure
import matplotlib.patches
import matplotlib.ticker
import numpy as np

from fedjax_asr import config, saved_run, streams
from fedjax_asr.figures import drawn_run, style
from fedjax_asr.models import model, stages

# Of the speech that shapes and counts are told for.
SECONDS = 10.0
_BINS = 60


def draw(run: drawn_run.DrawnRun) -> matplotlib.figure.Figure:
  """A box a stage, from the features down to the logits, beside its parameters,
  its matrix products, and how its parameters are distributed, now and before
  the first round.

  Raises:
    Missing: the run's config or alphabet cannot be read.
  """
  cfg = run.config
  num_frames = round(1000 * SECONDS / cfg.features.hop_ms)
  found = stages.stages(
    cfg.model, cfg.features.num_features, run.alphabet.size, num_frames
  )
  with style.context():
    figure = matplotlib.figure.Figure(
      figsize=(2 * style.WIDTH, 1.6 + 0.62 * len(found)), layout='constrained'
    )
    panels = figure.subplots(
      1, 4, sharey=True, width_ratios=(2.6, 1.0, 1.0, 1.4)
    )
    _draw_boxes(panels[0], found, cfg, num_frames)
    _draw_bars(panels[1], [each.num_parameters for each in found])
    panels[1].set_title('parameters')
    _draw_bars(panels[2], [each.flops for each in found])
    panels[2].set_title('FLOP')
    _draw_histograms(panels[3], run, [each.name for each in found])
    panels[0].set_ylim(len(found) - 0.4, -1.7)
    figure.suptitle(_summary(cfg, found), x=0.01, ha='left', fontsize=11)
    return figure


def _summary(cfg: config.Config, found: list[stages.Stage]) -> str:
  seen, hop = stages.receptive_frames(cfg.model)
  hop_ms = cfg.features.hop_ms
  total = sum(each.num_parameters for each in found)
  flops = sum(each.flops for each in found)
  names = {config.Architecture.DS1: 1, config.Architecture.DS2: 2}
  return (
    f'DeepSpeech {names[cfg.model.architecture]}, {total:,} parameters; '
    f'{SECONDS:g} s of speech are {flops / 1e9:.2f} GFLOP forward\n'
    f'an output every {hop * hop_ms:g} ms sees '
    f'{((seen - 1) * hop_ms + _window(cfg.features)) / 1000:.3g} s before the '
    'recurrence'
  )


def _window(cfg: config.FeaturesConfig) -> float:
  """Milliseconds under one frame; of precomputed ones nobody knows."""
  if cfg.kind is config.FeatureKind.PRECOMPUTED:
    return cfg.hop_ms
  return cfg.window_ms


def _draw_boxes(
  axes: Any,
  found: list[stages.Stage],
  cfg: config.Config,
  num_frames: int,
) -> None:
  axes.set_axis_off()
  axes.set_xlim(0, 1)
  features = (num_frames, cfg.features.num_features)
  _box(axes, -1, _KIND_NAMES[cfg.features.kind], '', style.INK)
  previous = features
  for index, stage in enumerate(found):
    _arrow(axes, index, previous)
    color = style.DISTINCT[_KINDS.get(stage.kind, len(style.DISTINCT) - 1)]
    _box(axes, index, stage.name, stage.kind, color)
    previous = stage.outputs
  axes.text(
    0.5, len(found) - 0.55, _shape(previous), ha='center', va='top', fontsize=9
  )


_KIND_NAMES = {
  config.FeatureKind.LOG_MEL: 'log-mel features',
  config.FeatureKind.LOG_SPECTROGRAM: 'log spectrogram',
  config.FeatureKind.MFCC: 'MFCC',
  config.FeatureKind.PRECOMPUTED: 'precomputed features',
}
_KINDS = {
  'BandedConv': 0,
  'RecurrentLayer': 1,
  'DenseLayer': 2,
  'Dense': 2,
  'Lookahead': 4,
}


def _box(axes: Any, y: float, name: str, kind: str, color: str) -> None:
  axes.add_patch(
    matplotlib.patches.FancyBboxPatch(
      (0.06, y - 0.25),
      0.88,
      0.5,
      boxstyle='round,pad=0,rounding_size=0.06',
      facecolor=(*matplotlib.colors.to_rgb(color), 0.18),
      edgecolor=color,
    )
  )
  axes.text(0.1, y, name, va='center', fontsize=10)
  axes.text(0.9, y, kind, va='center', ha='right', fontsize=9)


def _arrow(axes: Any, index: int, shape: tuple[int, ...]) -> None:
  axes.annotate(
    '',
    (0.5, index - 0.25),
    (0.5, index - 0.75),
    arrowprops={'arrowstyle': '-|>', 'color': style.INK},
  )
  axes.text(0.54, index - 0.5, _shape(shape), va='center', fontsize=9)


def _shape(shape: tuple[int, ...]) -> str:
  return ' x '.join(f'{size:,}' for size in shape)


def _draw_bars(axes: Any, values: list[int]) -> None:
  axes.barh(range(len(values)), values, height=0.5, color=style.BLUE)
  for index, value in enumerate(values):
    if value:
      said = f' {_briefly(value)}'
      axes.text(value, index, said, va='center', fontsize=9)
  axes.set_xlim(0, 1.5 * max(*values, 1))
  axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(2))
  axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=''))
  axes.tick_params(left=False, labelleft=False, labelsize=9)
  axes.grid(axis='y', visible=False)


def _briefly(value: int) -> str:
  if value < 1000:
    return str(value)
  return matplotlib.ticker.EngFormatter(places=1, sep='')(value)


def _draw_histograms(
  axes: Any, run: drawn_run.DrawnRun, names: list[str]
) -> None:
  axes.set_title('values')
  axes.tick_params(left=False, labelleft=False, labelsize=9)
  try:
    saved = run.saved
  except drawn_run.Missing as missing:
    said = textwrap.fill(str(missing), 24)
    axes.text(0.5, 0.5, said, transform=axes.transAxes, ha='center', fontsize=8)
    return
  shown = [(saved.params, 'now', style.BLUE)]
  if not saved.config.federated.init_from:
    shown.insert(0, (initial(saved), 'initially', style.INK))
  limit = max(_spread(params, names) for params, _, _ in shown)
  edges = np.linspace(-limit, limit, _BINS + 1)
  for params, label, color in shown:
    for index, name in enumerate(names):
      counts, _ = np.histogram(_values(params[name]), edges)
      heights = 0.7 * counts / max(counts.max(), 1)
      axes.stairs(
        index + 0.35 - heights,
        edges,
        baseline=index + 0.35,
        color=color,
        label=label if not index else None,
        linewidth=1.2,
      )
  axes.legend(
    loc='upper left', fontsize=9, title=f'round {saved.round}', title_fontsize=9
  )
  axes.grid(axis='y', visible=False)


def initial(saved: saved_run.SavedRun) -> model.Params:
  """Before the first round of a run that starts from nothing."""
  key = streams.key(saved.config.seed, streams.Stream.INITIAL_PARAMETERS)
  # One program, which is kept, for a hundred small ones.
  params, _ = jax.jit(saved.acoustic.init)(key)
  return params


def _spread(params: model.Params, names: list[str]) -> float:
  """Within it are 99% of each stage's values."""
  return max(
    float(np.quantile(np.abs(_values(params[name])), 0.99)) for name in names
  )


def _values(tree: Any) -> np.ndarray:
  return np.concatenate(
    [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)]
  )
