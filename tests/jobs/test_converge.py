import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedjax_asr import config
from fedjax_asr.federated import cohort
from fedjax_asr.jobs import batch_fit, converge
from fedjax_asr.models import ctc, model

_FLAGS = (
  '--config.job=converge',
  '--config.converge.num_batches=2',
  '--config.converge.batch_size=2',
  # Without what is random or needs statistics.
  '--config.model.ds2.dropout=0',
  '--config.model.ds2.norm=layer',
)


def _read(path):
  lines = (path / 'iterations.jsonl').read_text().splitlines()
  table = json.loads((path / 'convergence.json').read_text())
  return [json.loads(line) for line in lines], table


@pytest.fixture
def converged(main, tmp_path):
  """Table and iterations of two batches that were fitted to the end."""
  status, output, errors = main(
    tmp_path,
    *_FLAGS,
    '--config.converge.num_iterations=150',
    '--config.converge.learning_rate=0.02',
    '--config.model.ds2.recurrent_size=24',
  )
  assert status == 0, errors
  return *_read(tmp_path), output, tmp_path


def test_single_batches_are_fitted_to_the_limit(converged):
  records, table, output, path = converged
  assert len(table) == 2
  for row in table:
    assert row['has_converged']
    assert row['final_loss'] < 0.0013
    assert row['improvement'] >= 0.9997
    assert row['cer'] == 0.0
  assert len({name for row in table for name in row['utterances']}) == 4
  assert len(records) == 2 * 151
  assert (path / 'figures' / 'batch_convergence.png').is_file()
  for index, row in enumerate(table):
    losses = [r['loss'] for r in records if r['batch'] == index]
    reached = row['loss_iteration']
    assert losses[0] == row['initial_loss']
    assert losses[-1] == row['final_loss']
    assert losses[reached - 1] >= 0.0013
    assert max(losses[reached:]) < 0.0013
    assert f'{row["initial_loss"]:.2f}' in output


def test_batches_that_do_not_converge_are_said_so(main, tmp_path):
  flags = '--config.converge.num_iterations=6'
  status, output, _ = main(tmp_path, *_FLAGS, flags)
  assert status == 0
  records, table = _read(tmp_path)
  assert [row['has_converged'] for row in table] == [False, False]
  assert [row['loss_iteration'] for row in table] == [None, None]
  assert output.count('not converged') == 2
  assert len(records) == 2 * 7
  # The same seed draws and fits the same batches.
  assert main(tmp_path, *_FLAGS, flags)[0] == 0
  again, table_again = _read(tmp_path)
  for row in table + table_again:
    assert row.pop('fitting_seconds') > 0
  assert (again, table_again) == (records, table)


def test_too_few_utterances_are_one_line(main, tmp_path):
  status, _, errors = main(tmp_path, *_FLAGS, '--config.converge.batch_size=50')
  assert status == 2
  assert len(errors) == 1
  assert 'want 100 for 2 batches of 50' in errors[0]


def test_results_that_cannot_be_written_are_one_line(main, tmp_path):
  (tmp_path / 'iterations.jsonl').mkdir()
  status, _, errors = main(tmp_path, *_FLAGS)
  assert status == 2
  assert len(errors) == 1
  assert 'iterations.jsonl: Is a directory.' in errors[0]


def _problem():
  """A model, and a batch with garbage in its padding."""
  cfg = config.DeepSpeech2Config(
    conv_channels=(2,),
    conv_time_kernels=(3,),
    conv_frequency_kernels=(3,),
    conv_time_strides=(1,),
    conv_frequency_strides=(2,),
    num_recurrent_layers=1,
    recurrent_size=4,
    cell=config.Cell.RNN,
    bidirectional=False,
  )
  rng = np.random.default_rng(0)
  features = rng.normal(size=(2, 12, 6)).astype(np.float32)
  features[1, 7:] = np.nan
  labels = np.array([[3, 4, 5], [6, 7, 0]], np.int32)
  batch = cohort.Batch(
    jnp.asarray(features),
    jnp.array([12, 7]),
    jnp.asarray(labels),
    jnp.array([3, 2]),
  )
  return model.deepspeech2(cfg, 6), batch


def test_an_iteration_is_measured_before_its_update():
  acoustic, batch = _problem()
  fitting = batch_fit.fitting(acoustic, optax.sgd(0.1))
  params, norm_state = jax.jit(acoustic.init)(jax.random.key(0))
  step = jax.jit(fitting.step)

  @functools.partial(jax.value_and_grad, has_aux=True)
  def loss(params):
    logits, outputs, _ = acoustic.apply(
      params, norm_state, batch.features, batch.num_frames, train=False
    )
    losses = ctc.loss(logits, outputs, batch.labels, batch.num_labels)
    return losses.mean(), (losses, jax.nn.softmax(logits))

  fit = fitting.start(params, norm_state, batch)
  before = None
  for _ in range(2):
    (want, (losses, outputs)), gradient = jax.jit(loss)(fit.params)
    moved = jax.tree.map(lambda p, g: p - 0.1 * g, fit.params, gradient)
    fit, got = step(fit, batch, jax.random.key(0))
    np.testing.assert_allclose(got.loss, want, rtol=1e-5)
    per_label = (losses[0] / 3 + losses[1] / 2) / 2
    np.testing.assert_allclose(got.loss_per_label, per_label, rtol=1e-5)
    norm = np.sqrt(sum((g**2).sum() for g in jax.tree.leaves(gradient)))
    np.testing.assert_allclose(got.gradient_norm, norm, rtol=1e-4)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
      fit.params,
      moved,
    )
    # Over the 12 and 7 real frames, in NumPy.
    real = np.concatenate([outputs[0], outputs[1, :7]])
    if before is None:
      assert got.output_change == got.path_change == 1
    else:
      change = np.abs(real - before).sum(1).mean() / 2
      np.testing.assert_allclose(got.output_change, change, rtol=1e-3)
      other = (real.argmax(1) != before.argmax(1)).mean()
      np.testing.assert_allclose(got.path_change, other, atol=1e-6)
    before = real


def test_learning_rate_warms_up_and_decays_to_its_fraction():
  fit = config.ConvergeConfig(
    num_iterations=20,
    learning_rate=1.0,
    warmup_iterations=4,
    final_learning_rate_fraction=0.25,
    clip_norm=0.0,
  )
  optimizer = converge.optimizer(fit)
  state = optimizer.init(jnp.zeros(()))
  rates = []
  for _ in range(21):
    # Adam's step along a constant gradient is the learning rate.
    update, state = optimizer.update(jnp.ones(()), state)
    rates.append(-float(update))
  np.testing.assert_allclose(rates[:5], [0.2, 0.4, 0.6, 0.8, 1.0], rtol=1e-3)
  assert all(np.diff(rates[4:]) < 0)
  np.testing.assert_allclose(rates[20], 0.25, rtol=1e-3)
