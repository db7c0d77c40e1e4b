"""A run that keeps an average of its rounds."""

import numpy as np
import tiny_run

from fedjax_asr.decoding import evaluation


def _leaves(saved, start):
  return {
    name.removeprefix(start): np.asarray(leaf)
    for name, leaf in saved.items()
    if name.startswith((start + 'params', start + 'norm_state'))
  }


def test_the_average_is_evaluated_and_saved_and_clients_do_not_see_it(
  main, finished, tmp_path, monkeypatch
):
  evaluated = []
  evaluate = evaluation.Evaluator.__call__

  def seen(self, params, norm_state, *report):
    evaluated.append(params)
    return evaluate(self, params, norm_state, *report)

  monkeypatch.setattr(evaluation.Evaluator, '__call__', seen)
  status, _, errors = main(
    tmp_path,
    '--config.federated.server.ema_decay=0.75',
    '--config.checkpoint.every_rounds=1',
    '--config.checkpoint.keep_last=6',
  )
  assert (status, errors) == (0, [])
  saved = tiny_run.checkpoints(tmp_path)
  plain = _leaves(tiny_run.checkpoints(finished[0])['6'], '')
  last = _leaves(saved['6'], '')
  assert last.keys() == plain.keys()
  for name, leaf in plain.items():
    np.testing.assert_allclose(last[name], leaf, rtol=1e-3, atol=1e-5)
  average = _leaves(saved['6'], 'average.')
  want = _leaves(saved['1'], '')
  for number, weight in enumerate((1 / 2, 1 / 3, 1 / 4, 1 / 4, 1 / 4), 2):
    values = _leaves(saved[str(number)], '')
    want = {
      name: old + weight * (values[name] - old) for name, old in want.items()
    }
  for name, leaf in want.items():
    np.testing.assert_allclose(average[name], leaf, rtol=1e-4, atol=1e-6)
  evaluated_last = sorted(
    float(np.abs(leaf).sum()) for leaf in _flat(evaluated[-1])
  )
  of_average = sorted(
    float(np.abs(leaf).sum())
    for name, leaf in average.items()
    if name.startswith('params')
  )
  assert evaluated_last == of_average


def _flat(tree):
  if not isinstance(tree, dict):
    return [np.asarray(tree)]
  return [leaf for part in tree.values() for leaf in _flat(part)]


def test_an_average_is_not_begun_on_the_way(main, stopped):
  status, _, (error,) = main(
    stopped,
    '--config.federated.server.ema_decay=0.75',
    '--allow_config_change',
  )
  assert status == 2
  assert 'is of another model or optimizer: average.' in error
