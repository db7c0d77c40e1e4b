"""An audit: what was promised, and how far attacks came, in tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedjax_asr import config
from fedjax_asr.figures import (
  canary_bounds,
  drawn_audit,
  drawn_run,
  membership_curves,
  speaker_links,
)
from fedjax_asr.report_pages import blocks, said, summary


def opening(run: drawn_run.DrawnRun) -> list[blocks.Block]:
  """What was audited, and whether by the versions that trained it."""
  try:
    found = drawn_audit.DrawnAudit(run.path).found
  except drawn_run.Missing as missing:
    return [blocks.Absent(str(missing)), *summary.of_job(run)]
  parts = [part.value for part in config.AuditPart if part in found]
  text = (
    f'Audited was the run {found["run"]} at round {found["round"]:,}: '
    f'{said.joined(parts) or "nothing yet"}.'
  )
  return [
    blocks.Text(text),
    *_versions(found),
    *summary.of_job(run),
  ]


def _versions(found: Mapping[str, Any]) -> Iterator[blocks.Block]:
  """Where the audit repeats a training by another program than the run's."""
  own, trained = found['versions'], found['run_versions']
  if trained is None:
    yield blocks.Absent('By which versions the run was trained is not known.')
    return
  rows = [
    [
      blocks.Cell(name),
      *(blocks.Cell(_shown(name, each.get(name))) for each in (trained, own)),
    ]
    for name in dict.fromkeys([*trained, *own])
    if trained.get(name) != own.get(name)
  ]
  if not rows:
    yield blocks.Text(
      'The audit was made by the versions that the run was trained by.'
    )
    return
  yield blocks.Text(
    'The audit was made by other versions than the run was trained by: what '
    'it trains again may differ from what the run did.'
  )
  yield blocks.Table(
    name='versions',
    caption='Versions that differ',
    columns=(
      blocks.Column('of'),
      blocks.Column('the run'),
      blocks.Column('the audit'),
    ),
    rows=rows,
    is_sorted=False,
  )


def _shown(name: str, value: Any) -> str:
  if value is None:
    return said.NONE
  if isinstance(value, bool):
    return 'yes' if value else 'no'
  return str(value)[:10] if name == 'commit' else str(value)


def canaries(run: drawn_run.DrawnRun) -> Iterator[blocks.Block]:
  audit = drawn_audit.DrawnAudit(run.path)
  part = audit.part(config.AuditPart.CANARIES)
  promised = canary_bounds.epsilon(part)
  is_broken = promised is not None and part['proven'] > promised
  rounds = said.count(part['num_rounds'], 'round')
  yield blocks.Text(
    f'The training was repeated for {rounds} with canaries of norm '
    f'{part["norm"]:.3g}. Accounted: epsilon '
    f'{said.number(promised)}{_delta(part)}. Proven: at least '
    f'{part["proven"]:.3g}.'
    + (' The promise is broken.' if is_broken else '')
    + _bug(part)
  )
  yield blocks.Table(
    name='canaries',
    caption=(
      'Lower bounds of epsilon by score, which hold for all of them together, '
      f'of {_numbers(part)}; and the estimate of Gaussian scores, which is none'
    ),
    columns=(
      blocks.Column('score'),
      *(
        blocks.Column(label, is_number=True)
        for label in (
          'thresholds',
          'one run',
          'Gaussian noise',
          'estimate',
          'AUC',
          'TPR at 1% FPR',
        )
      ),
    ),
    rows=[_canary(name, each) for name, each in part['scores'].items()],
  )


def _numbers(part: Mapping[str, Any]) -> str:
  """The same for all scores."""
  score = next(iter(part['scores'].values()))
  return f'{score["num_in"]:,} canaries in and {score["num_out"]:,} out'


def _delta(part: Mapping[str, Any]) -> str:
  accounted = part['accounted']
  return f' at delta {accounted["delta"]:g}' if accounted else ''


def _bug(part: Mapping[str, Any]) -> str:
  if part['planted_bug'] == config.PlantedBug.NONE.value:
    return ''
  return (
    f' A bug was planted in the repeated training ({part["planted_bug"]}), to '
    'see whether canaries find it.'
  )


def _canary(name: str, score: Mapping[str, Any]) -> list[blocks.Cell]:
  estimate = score.get('gaussian')
  told = said.NONE
  if estimate:
    told = (
      f'{estimate["epsilon"]:.3g} ({estimate["low"]:.3g} to '
      f'{estimate["high"]:.3g})'
    )
  return [
    blocks.Cell(name.replace('_', ' ')),
    *(
      blocks.Cell(said.number(score[key]), score[key])
      for key, _, _, _ in canary_bounds.BOUNDS
    ),
    blocks.Cell(told, estimate['epsilon'] if estimate else None),
    blocks.Cell(f'{score["auroc"]:.3f}', score['auroc']),
    blocks.Cell(
      said.percent(score['tpr_at_1_percent']), score['tpr_at_1_percent']
    ),
  ]


def membership(run: drawn_run.DrawnRun) -> Iterator[blocks.Block]:
  audit = drawn_audit.DrawnAudit(run.path)
  part = audit.part(config.AuditPart.MEMBERSHIP)
  yield blocks.Text(
    f'Shadow trainings: {part["num_shadows"]} without half of the utterances, '
    f'{part["num_speaker_shadows"]} without half of the speakers. Intervals '
    f'({part["confidence"]:.0%}) take scores for independent, which those of '
    'one speaker are not: they are then too narrow.'
  )
  if part['shadows_missing']:
    yield blocks.Absent(f'No shadow models: {part["shadows_missing"]}')
  for kind, title in membership_curves.PARTS:
    found = part[kind]
    if 'missing' in found:
      yield blocks.Absent(f'{title}: {found["missing"]}')
    else:
      yield from _members(kind, title, found['scores'])


def _members(
  kind: str, title: str, scores: Mapping[str, Any]
) -> Iterator[blocks.Block]:
  known = {name: each for name, each in scores.items() if 'auc' in each}
  if known:
    yield blocks.Table(
      name=f'membership-{kind}',
      caption=(
        f'{title.capitalize()}: the share of members that is found (TPR) at '
        'low false positive rates; a guess has an AUC of 0.5'
      ),
      columns=(
        blocks.Column('score'),
        *(
          blocks.Column(label, is_number=True)
          for label in (
            'members',
            'others',
            'AUC',
            'TPR at 0.1%',
            'at 1%',
            'balanced acc.',
          )
        ),
      ),
      rows=[
        _member(membership_curves.NAMES[name], each)
        for name, each in known.items()
      ],
    )
  for name, each in scores.items():
    if name not in known:
      label = membership_curves.NAMES[name]
      yield blocks.Absent(f'{title}, {label}: {each["missing"]}')


def _member(label: str, score: Mapping[str, Any]) -> list[blocks.Cell]:
  accuracy, area = score['balanced_accuracy'], score['auc']
  low, high = score['auc_interval']
  return [
    blocks.Cell(label),
    _count(score['num_members']),
    _count(score['num_nonmembers']),
    blocks.Cell(f'{area:.3f} ({low:.3f} to {high:.3f})', area),
    *(_low(each) for each in score['tpr_at_fpr']),
    blocks.Cell(said.percent(accuracy), accuracy),
  ]


def _low(each: Mapping[str, Any]) -> blocks.Cell:
  if each['tpr'] is None:
    return blocks.Cell('too few')
  return _rate(each['tpr'], each['interval'])


def speakers(run: drawn_run.DrawnRun) -> Iterator[blocks.Block]:
  audit = drawn_audit.DrawnAudit(run.path)
  part = audit.part(config.AuditPart.SPEAKERS)
  yield blocks.Text(
    f'{said.count(part["num_speakers"], "speaker")}, two updates of '
    f'{part["num_utterances"]} utterances each; left out: '
    f'{part["num_left_out"]} with too few utterances, '
    f'{part["num_not_finite"]} whose updates are not finite. Intervals: '
    f'{part["confidence"]:.0%}. The inputs and the speech behind the updates '
    'are a ceiling, which no attacker sees.'
  )
  yield _links(
    'linkage',
    'Two updates of one speaker told from two of two speakers; a guess has an '
    'equal error rate of 50%',
    [
      _linked(source, method, each)
      for source, methods in part['linkage'].items()
      for method, each in methods.items()
    ],
  )
  unseen = part['unseen']
  if 'missing' in unseen:
    yield blocks.Absent(f'Speakers never trained on: {unseen["missing"]}')
  else:
    yield _links(
      'unseen',
      'The same of speakers that the run never trained on, by those it did',
      [_linked(source, 'trained', each) for source, each in unseen.items()],
    )
  yield from _attributes(part['attributes'])


def _links(
  name: str, caption: str, rows: Sequence[Sequence[blocks.Cell]]
) -> blocks.Table:
  return blocks.Table(
    name=name,
    caption=caption,
    columns=(
      blocks.Column('of'),
      blocks.Column('method'),
      *(
        blocks.Column(label, is_number=True)
        for label in (
          'pairs of one',
          'of two',
          'equal error rate',
          'right speaker first',
          'by chance',
        )
      ),
    ),
    rows=rows,
  )


def _linked(
  source: str, method: str, each: Mapping[str, Any]
) -> list[blocks.Cell]:
  return [
    blocks.Cell(speaker_links.SOURCES[source]),
    blocks.Cell(method),
    _count(each['num_genuine']),
    _count(each['num_impostor']),
    _rate(each['eer'], each['eer_interval']),
    _rate(each['top1'], each['top1_interval']),
    blocks.Cell(said.percent(each['top1_chance']), each['top1_chance']),
  ]


def _attributes(found: Mapping[str, Any]) -> Iterator[blocks.Block]:
  for name, each in found.items():
    if 'missing' in each:
      yield blocks.Absent(f'{name}: {each["missing"]}')
      continue
    yield blocks.Table(
      name=f'attributes-{name}',
      caption=(
        f'{name.capitalize()} ({each["unit"]}) of '
        f'{said.count(each["num_speakers"], "speaker")}; a guess is right in '
        f'{said.percent(each["accuracy_chance"])}, and in 50% of each class'
      ),
      columns=(
        blocks.Column('of'),
        *(
          blocks.Column(label, is_number=True)
          for label in ('of each class', 'of all', 'R^2', 'rank correlation')
        ),
      ),
      rows=[
        _attribute(label, each[source])
        for source, label in speaker_links.SOURCES.items()
      ],
    )


def _attribute(label: str, own: Mapping[str, Any]) -> list[blocks.Cell]:
  rank, told = own.get('spearman'), said.NONE
  if rank is not None:
    low, high = own['spearman_interval']
    told = f'{rank:.2f} ({low:.2f} to {high:.2f})'
  return [
    blocks.Cell(label),
    _rate(own['balanced_accuracy'], own['balanced_interval']),
    _rate(own['accuracy'], own['accuracy_interval']),
    blocks.Cell(said.number(own.get('r2'), '.2f'), own.get('r2')),
    blocks.Cell(told, rank),
  ]


def exposure(run: drawn_run.DrawnRun) -> Iterator[blocks.Block]:
  audit = drawn_audit.DrawnAudit(run.path)
  part = audit.part(config.AuditPart.EXPOSURE)
  yield blocks.Text(
    f'Sentences of random symbols were planted on speech of clients, and the '
    f'training went on for {said.count(part["num_rounds"], "round")}. Each '
    f'stands among {part["num_candidates"]:,} random ones: at most '
    f'{part["most_bits"]:.2f} bits, and {part["expected_bits_unplanted"]:.2f} '
    'on average where it was never seen.'
  )
  if part['beam_missing']:
    yield blocks.Absent(f'No beam search: {part["beam_missing"]}')
  yield blocks.Table(
    name='exposure',
    caption='Means over the sentences whose client was drawn',
    columns=tuple(
      blocks.Column(label, is_number=True)
      for label in (
        'times planted',
        'sentences',
        'trained on',
        'bits',
        'bits without planting',
        'read greedily',
        'read by beam search',
      )
    ),
    rows=[_repeats(each) for each in part['by_repeats']],
  )
  yield blocks.Group(
    'Every sentence', [_sentences(part['sentences'])], is_folded=True
  )


def _repeats(each: Mapping[str, Any]) -> list[blocks.Cell]:
  return [
    _count(each['repeats']),
    _count(each['num_sentences']),
    _count(each['num_trained']),
    *(
      blocks.Cell(said.number(each[key], '.2f'), each[key])
      for key in ('mean_bits', 'mean_bits_without')
    ),
    _count(each['num_read_greedily']),
    _count(each['num_read_by_beam']),
  ]


def _sentences(rows: Sequence[Mapping[str, Any]]) -> blocks.Table:
  return blocks.Table(
    name='sentences',
    caption='What was planted, and what is read by the model that had it',
    columns=(
      blocks.Column('client'),
      blocks.Column('planted'),
      blocks.Column('times', is_number=True),
      blocks.Column('local steps', is_number=True),
      blocks.Column('bits', is_number=True),
      blocks.Column('bits without', is_number=True),
      blocks.Column('read greedily'),
    ),
    rows=[
      [
        blocks.Cell(row['client']),
        blocks.Cell(row['planted']),
        _count(row['repeats']),
        _count(row['times_trained']),
        *(
          blocks.Cell(f'{each["bits"]:.2f}', each['bits'])
          for each in (row['exposure']['planted'], row['exposure']['without'])
        ),
        blocks.Cell(row['greedy'] or '(nothing)'),
      ]
      for row in rows
    ],
    printed=40,
  )


def _count(value: int | None) -> blocks.Cell:
  return blocks.Cell(said.NONE if value is None else f'{value:,}', value)


def _rate(value: float, interval: Sequence[float]) -> blocks.Cell:
  low, high = map(said.percent, interval)
  return blocks.Cell(f'{said.percent(value)} ({low} to {high})', value)
