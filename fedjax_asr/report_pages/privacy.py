"""What a run guarantees its clients, by what, and what that leaves open."""

from collections.abc import Iterator, Mapping
from typing import Any

from fedjax_asr import config
from fedjax_asr.federated import sampling
from fedjax_asr.figures import drawn_run
from fedjax_asr.report_pages import blocks, said

_CLIPPING = {
  config.Clipping.FLAT: 'clipped to a norm of {norm:g}',
  config.Clipping.PER_LAYER: (
    'clipped layer by layer, all together to a norm of {norm:g}'
  ),
  config.Clipping.ADAPTIVE: (
    "clipped to a norm that begins with {norm:g} and follows the clients' own"
  ),
}
_NOISE = {
  config.Mechanism.INDEPENDENT: (
    'the server adds Gaussian noise to their sum, {noise:.4g} times that norm, '
    'each round anew'
  ),
  config.Mechanism.BANDED: (
    'the server adds Gaussian noise to their sum, {noise:.4g} times that norm '
    'and correlated over {bands} rounds (banded matrix factorisation), in '
    'which a client takes part once'
  ),
  config.Mechanism.DISTRIBUTED: (
    'the clients add noise in shares, {noise:.4g} times that norm on their '
    'sum, so that the server sees no sum without'
  ),
}
_COLUMNS = (
  blocks.Column('whose'),
  blocks.Column('epsilon, PLD', is_number=True),
  blocks.Column('epsilon, RDP', is_number=True),
  blocks.Column('mu', is_number=True),
  blocks.Column('best TPR at 1% FPR', is_number=True),
)


def section(run: drawn_run.DrawnRun) -> Iterator[blocks.Block]:
  """One sentence of a run without noise."""
  privacy = run.config.federated.privacy
  if not privacy.has_noise:
    yield blocks.Text(
      'No noise was added: differential privacy guarantees its clients nothing.'
    )
    return
  last = run.metrics[-1]
  yield blocks.Text(_guarantee(run, last))
  yield blocks.Text(_mechanism(run))
  if privacy.is_central:
    yield blocks.Table(
      name='epsilons',
      caption=(
        f'Epsilons of {run.name} after {said.count(last["round"], "round")}, '
        f'at delta {privacy.delta:g}'
      ),
      columns=_COLUMNS,
      rows=[*_rows(privacy, last)],
      is_sorted=False,
    )
  if privacy.local_noise_multiplier:
    yield blocks.Text(_local(privacy, last))
  yield blocks.Group('What that does not cover', [*_open(run)])


def _guarantee(run: drawn_run.DrawnRun, last: Mapping[str, Any]) -> str:
  federated = run.config.federated
  spent = epsilon(last)
  whose = (
    'what any one client says'
    if federated.sampling is config.Sampling.FIXED
    else 'whether any one client took part'
  )
  delta = federated.privacy.delta
  if spent is None:
    if not federated.privacy.is_central:
      return (
        'The server adds no noise: the models promise nothing beyond what each '
        'client promises itself by its own.'
      )
    return (
      f'No finite epsilon is known for delta {delta:g}: there is noise, but '
      f'too little to promise anything of {whose}.'
    )
  return (
    f'Whoever sees the models of all {last["round"]:,} rounds, and nothing '
    f'else, learns of {whose} no more than differential privacy with epsilon '
    f'{spent:.3g} and delta {delta:g} allows (the lower of two ways of '
    'accounting, both of which hold).'
  )


def epsilon(last: Mapping[str, Any], prefix: str = '') -> float | None:
  """Of the server's noise, by the way that gives the lower one."""
  found = [last.get(f'privacy/{prefix}epsilon_{way}') for way in ('pld', 'rdp')]
  return min((each for each in found if each is not None), default=None)


def _mechanism(run: drawn_run.DrawnRun) -> str:
  federated = run.config.federated
  privacy = federated.privacy
  parts = [
    f'Updates are {_CLIPPING[privacy.clipping].format(norm=privacy.clip_norm)}'
  ]
  if privacy.local_noise_multiplier:
    parts.append(
      'each client adds Gaussian noise of its own to what it sends, '
      f'{privacy.local_noise_multiplier:.4g} times that norm'
    )
  if privacy.is_central:
    parts.append(
      _NOISE[privacy.mechanism].format(
        noise=privacy.central_noise_multiplier, bands=privacy.num_bands
      )
    )
  return f'{said.joined(parts)}. {_drawn(run)}'


def _drawn(run: drawn_run.DrawnRun) -> str:
  """How clients come into a round."""
  federated = run.config.federated
  try:
    count = run.population['num_clients']
  except drawn_run.Missing:
    return f'How many clients there are, {run.files.population.name} would say.'
  if federated.sampling is config.Sampling.FIXED:
    return (
      f'A round draws {federated.cohort_size:,} of '
      f'{said.count(count, "client")}; neighbours differ by what one of them '
      'says, for which noise counts half.'
    )
  eligible = sampling.group_size(federated, count)
  rate = sampling.rate(federated, count)
  whom = (
    f'Each of {said.count(count, "client")}'
    if eligible == count
    else f'Each of the {eligible:,} whose turn it is, of {count:,} clients,'
  )
  return f'{whom} is in a round with probability {rate:.4g} (Poisson sampling).'


def _rows(
  privacy: config.PrivacyConfig, last: Mapping[str, Any]
) -> Iterator[list[blocks.Cell]]:
  """What this run gives, and apart from it what it does not."""
  yield _row('this run', last, '')
  if privacy.population:
    yield _row(
      f'extrapolated to {privacy.population:,} clients', last, 'extrapolated_'
    )


def _local(privacy: config.PrivacyConfig, last: Mapping[str, Any]) -> str:
  spent = last.get('privacy/local_epsilon')
  return (
    'Whoever sees all that a client sends, the server too, learns of what it '
    'says no more than (local) differential privacy with epsilon '
    f'{said.number(spent)} and delta {privacy.delta:g} allows; that is of the '
    'client that took part most.'
  )


def _cohort(federated: config.FederatedConfig) -> int:
  return federated.privacy.population_cohort or federated.cohort_size


def _row(whose: str, last: Mapping[str, Any], prefix: str) -> list[blocks.Cell]:
  def value(name: str) -> float | None:
    return last.get(f'privacy/{prefix}{name}')

  tpr = value('tpr_at_1_percent')
  return [
    blocks.Cell(whose),
    *(
      blocks.Cell(said.number(value(name)), value(name))
      for name in ('epsilon_pld', 'epsilon_rdp', 'mu')
    ),
    blocks.Cell(said.percent(tpr), tpr),
  ]


def _open(run: drawn_run.DrawnRun) -> Iterator[blocks.Text]:
  """Each in a sentence or two."""
  files, privacy = run.files, run.config.federated.privacy
  if privacy.noise_seed >= 0:
    yield blocks.Text(
      f'The seed of the noise stands in {files.config_json.name}, and on this '
      'page: whoever has it takes the noise away. The run is an experiment.'
    )
  else:
    yield blocks.Text(
      f'{files.noise_seed.name}: whoever has it takes the noise away. It is '
      'not to be published, and not on this page.'
    )
  yield blocks.Text(
    f'What the run writes beside its models: {files.clients.name} has exact '
    f'losses and norms of each client, {files.metrics.name} means of them, '
    f'{files.population.name} who took part. They are for whoever runs the '
    'simulation, without noise, and not to be published with the models.'
  )
  yield blocks.Text(
    'Evaluations on held-out utterances of the same speakers, and settings '
    'that were chosen by other runs on the same clients.'
  )
  if privacy.is_central and privacy.mechanism is not (
    config.Mechanism.DISTRIBUTED
  ):
    yield blocks.Text(
      'The server itself, which sees the sum before its noise, and single '
      'updates unless they are summed securely.'
    )
  if privacy.population:
    yield blocks.Text(
      f'The extrapolation to {privacy.population:,} clients is no guarantee of '
      'this run: it is what the same training would give if there were so '
      f'many, {_cohort(run.config.federated):,} of them expected in a round, '
      'with as much noise on their mean, and if the model came out the same.'
    )
