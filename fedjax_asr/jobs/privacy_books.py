"""What a private run has spent, round by round."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fedjax_asr import config


class PrivacyBooks:
  """Epsilons of a run under the names that `metrics.jsonl` has for them.

  Of the server's noise `epsilon_rdp` and `epsilon_pld`, and
  `extrapolated_epsilon_rdp` and `_pld` where `privacy.population` is given; of
  clients' own `local_epsilon`, of the client that took part most.
  """

  def __init__(
    self,
    federated: config.FederatedConfig,
    num_clients: int,
    participants: Sequence[np.ndarray],
    num_params: int,
  ):
    """Books without a round.

    Args:
      federated: of the run.
      num_clients: in the population.
      participants: clients of each round, where there is noise.
      num_params: of the model.
    """
    self._num_params = num_params
    self._privacy = federated.privacy
    self._num_clients = num_clients
    self._federated = federated
    self._participants = participants
    self._accountants: dict[str, Any] = {}
    self._counts = np.zeros(num_clients, int)
    self._counted = 0
    self._last = ''
    if not federated.privacy.central_noise_multiplier or self._is_distributed:
      return
    # Not on top: it takes a second to import, and most runs do without.
    from fedjax_asr.federated import accountant

    own = accountant.of_config(federated, num_clients)
    delta = federated.privacy.delta
    self._accountants['privacy/'] = accountant.Accountant(own, delta)
    if federated.privacy.population:
      self._accountants['privacy/extrapolated_'] = accountant.Accountant(
        accountant.extrapolated(own, federated.cohort_size, federated.privacy),
        delta,
      )

  def metrics(
    self, num_rounds: int, *, is_whole: bool = False
  ) -> dict[str, float | None]:
    """After so many rounds; {} of a run without noise.

    `is_whole`: also mu, and an attacker's best TPR at a FPR of 1%, which take a
    moment.
    """
    if not self._privacy.has_noise:
      return {}
    found: dict[str, float | None] = {'privacy/delta': self._privacy.delta}
    if self._is_distributed:
      found['privacy/epsilon_rdp'] = self._distributed(num_rounds)
    for prefix, books in self._accountants.items():
      spent = books.after(num_rounds)
      found[f'{prefix}epsilon_rdp'] = spent.epsilon_rdp
      found[f'{prefix}epsilon_pld'] = spent.epsilon_pld
    if self._privacy.local_noise_multiplier:
      found['privacy/local_epsilon'] = self._local(num_rounds)
    if is_whole:
      found |= self._curves(num_rounds)
    self._last = _sentence(found, num_rounds)
    return found

  def ending(self) -> str:
    """What was spent when it was asked for last; '' without noise."""
    return self._last

  def _curves(self, num_rounds: int) -> dict[str, float]:
    found = {}
    for prefix, books in self._accountants.items():
      curve = books.curve(num_rounds)
      if curve is not None:
        found[f'{prefix}mu'] = curve.mu
        found[f'{prefix}tpr_at_1_percent'] = curve.tpr
    return found

  @property
  def _is_distributed(self) -> bool:
    return self._privacy.mechanism is config.Mechanism.DISTRIBUTED

  def _distributed(self, num_rounds: int) -> float | None:
    """Of noise that clients share, by RDP, as if all were in each round."""
    from fedjax_asr.federated import skellam_accounting

    noise = skellam_accounting.of_config(self._federated, self._num_params)
    epsilon = skellam_accounting.epsilon(
      noise, 1.0, num_rounds, self._privacy.delta
    )
    return epsilon if np.isfinite(epsilon) else None

  def _local(self, num_rounds: int) -> float:
    from fedjax_asr.federated import accountant

    if num_rounds < self._counted:
      self._counts[:] = self._counted = 0
    for clients in self._participants[self._counted : num_rounds]:
      self._counts[clients] += 1
    self._counted = num_rounds
    return accountant.local_epsilon(
      self._privacy.local_noise_multiplier,
      int(self._counts.max(initial=0)),
      self._privacy.delta,
    )

  def promise(self, num_rounds: int) -> list[str]:
    """Before training: what it will have spent, and what speaks against it."""
    if not self._privacy.has_noise:
      return []
    self.metrics(num_rounds)
    lines = [self._last]
    delta = self._privacy.delta
    if delta > 1 / self._num_clients:
      lines.append(
        f'warning: config.federated.privacy.delta={delta:g} is more than one '
        f'in {self._num_clients} clients: to give one away whole is within it'
      )
    if self._privacy.noise_seed >= 0:
      lines.append(
        'warning: config.federated.privacy.noise_seed is in config.json, and '
        'whoever has it takes the noise away: for experiments only'
      )
    return lines


def _sentence(found: dict[str, float | None], num_rounds: int) -> str:
  """What a guarantee is, in one line."""
  delta = found['privacy/delta']
  parts = []
  for name, what in _NAMES.items():
    value = found.get(f'privacy/{name}')
    if value is not None:
      parts.append(f'{what} {value:.4g}')
  told = '; '.join(parts) or 'no finite epsilon'
  return (
    f'privacy of a client after {num_rounds} rounds, delta {delta:g}: {told}'
  )


_NAMES = {
  'epsilon_pld': 'epsilon',
  'epsilon_rdp': 'by RDP',
  'extrapolated_epsilon_pld': 'extrapolated population',
  'extrapolated_epsilon_rdp': 'extrapolated, by RDP',
  'local_epsilon': 'of what a client sends itself, local epsilon',
  'mu': 'mu',
  'tpr_at_1_percent': 'best TPR of any attack at 1% FPR',
}
