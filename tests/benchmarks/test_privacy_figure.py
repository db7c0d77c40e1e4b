"""WER by epsilon, of a record of benchmarks/privacy.py."""

import json

import privacy_figure
import pytest


def row(name, noise, wer, seed=0, rate=0.01, epsilon=None):
  return {
    'point': {
      'name': name,
      'federated.privacy.central_noise_multiplier': noise,
      'federated.server.learning_rate': rate,
      'seed': seed,
    },
    'final': {'eval/wer': wer},
    'privacy': {
      'epsilon_pld': None,
      'epsilon_rdp': None,
      'extrapolated_epsilon_pld': epsilon,
      'extrapolated_epsilon_rdp': epsilon and 2 * epsilon,
    },
  }


ROWS = [
  row('flat', 1.0, 0.25, seed=0, epsilon=4.0),
  row('flat', 1.0, 0.35, seed=1, epsilon=4.0),
  # The lowest of all, and yet its mean is not.
  row('flat', 1.0, 0.2, seed=0, rate=0.1, epsilon=4.0),
  row('flat', 1.0, 0.6, seed=1, rate=0.1, epsilon=4.0),
  row('flat', 2.0, 0.5, epsilon=2.0),
  row('lamb', 1.0, 0.4, epsilon=4.0),
  row('flat', 0.0, 0.1),
]


def test_a_way_is_the_setting_with_the_lowest_mean_at_each_epsilon():
  (axes,) = privacy_figure.draw(ROWS).axes
  flat, lamb, without = axes.lines
  assert list(flat.get_xdata()) == [4.0, 2.0]
  assert list(flat.get_ydata()) == pytest.approx([0.3, 0.5])
  assert lamb.get_label() == 'lamb'
  assert without.get_label() == 'lowest without noise: 10.0%'


def test_the_command_draws_a_record(tmp_path):
  record, output = tmp_path / 'record.json', tmp_path / 'out.png'
  record.write_text(json.dumps({'points': ROWS}))
  assert privacy_figure.main(['x', str(record), str(output)]) == 0
  assert output.read_bytes().startswith(b'\x89PNG')
  record.write_text('[]')
  assert privacy_figure.main(['x', str(record), str(output)]) == 2
