"""What other jobs compile of the shipped models: evaluation, export, the job
`converge`, a victim's message. Few utterances in a program, all optimisations.

Forward passes and slopes are held to float64 NumPy, whole gradients and
messages to the oracle of the round.
"""

import functools
import pathlib

import ctc_in_numpy
import jax
import jax.numpy as jnp
import jaxtyping
import kinks
import numpy as np
import optax
import oracle
import population
import pytest
import quick
import shipped
import transcription

from fedjax_asr import config, saved_run
from fedjax_asr.attacks import victim
from fedjax_asr.decoding import evaluation
from fedjax_asr.federated import algorithm, cohort
from fedjax_asr.jobs import batch_fit, exported_program

REPETITIONS = 5
# Of finite differences, in float64.
STEP = 1e-7
SMOOTH = 4
# Large, so that what parameters are rounded to is small beside a step.
RATE = 1.0
# Small enough for a second step not to amplify the rounding of the first.
CLIENT_RATE = 0.01
by_model = pytest.mark.parametrize('name', shipped.marked(shipped.MODELS))
by_default = pytest.mark.parametrize('name', shipped.DEFAULTS)


def weights(name):
  """(params, norm_state), whatever the seed."""
  return population.initialised(shipped.acoustic(name)).init(None)


def batch(positions, num_frames=64, num_labels=8):
  """Padding is garbage: a model must not read it."""
  padded = shipped.examples().batch(np.array(positions), num_frames, num_labels)
  made = cohort.Batch(*padded)
  for row, length in zip(made.features, made.num_frames, strict=True):
    row[length:] = 1e3
  return made


@functools.cache
def wanted_logits(name, position):
  return transcription.logits(
    shipped.MODELS[name],
    *transcription.in_float64(weights(name)),
    np.float64(shipped.examples().features(position)),
  )


def same_each_time(function, *given):
  """The result, on the host; equal to the bit however often it is asked."""
  first, *others = (
    jax.device_get(function(*given)) for _ in range(REPETITIONS)
  )
  for other in others:
    pairs = zip(jax.tree.leaves(other), jax.tree.leaves(first), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
  return first


def assert_near(found, wanted):
  atol = 1e-5 * max(1, np.abs(wanted).max())
  np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)


@by_model
@pytest.mark.parametrize('positions', [[2], [-1, 4, 3]])
def test_evaluation_is_the_transcription(name, positions):
  rows = []

  def decoder(logits, num_outputs):
    rows.append((logits, num_outputs))
    return [''] * len(logits)

  recognize = evaluation.decoded_by(decoder, shipped.acoustic(name))
  _, losses = same_each_time(
    lambda: recognize(*weights(name), *batch(positions))
  )
  real = [position for position in positions if position >= 0]
  for found, num_outputs in rows:
    for item, position in enumerate(real):
      wanted = wanted_logits(name, position)
      assert len(wanted) == num_outputs[item]
      assert_near(found[item, : len(wanted)], wanted)
  for loss, position in zip(losses, real, strict=True):
    labels = shipped.examples().labels[position]
    wanted = ctc_in_numpy.loss(wanted_logits(name, position), labels)
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)


@by_default
def test_export_is_the_transcription(name):
  params, norm_state = weights(name)
  saved = saved_run.SavedRun(
    path=pathlib.Path('.'),
    config=config.Config(
      model=shipped.MODELS[name],
      features=config.FeaturesConfig(num_features=shipped.NUM_FEATURES),
    ),
    acoustic=shipped.acoustic(name),
    params=params,
    norm_state=norm_state,
    round=0,
    statistics=None,
  )
  # Checks of shapes know numbers alone and no symbols.
  jaxtyping.config.update('jaxtyping_disable', True)
  try:
    serialized = exported_program.of_features(saved).serialize()
  finally:
    jaxtyping.config.update('jaxtyping_disable', False)
  program = jax.export.deserialize(serialized)
  for positions in ([2], [3, 2]):
    given = batch(positions)
    found, _ = same_each_time(program.call, given.features, given.num_frames)
    for row, position in zip(found, positions, strict=True):
      wanted = ctc_in_numpy.log_softmax(wanted_logits(name, position))
      assert_near(row[: len(wanted)], wanted)


@by_default
@pytest.mark.parametrize('positions', [[2], [4, 3, 5]])
def test_a_step_of_converge_is_that_of_the_oracle(name, positions):
  check_converge(name, positions, quick.jit)


@pytest.mark.slow
@pytest.mark.parametrize('name', shipped.MODELS)
def test_a_step_of_converge_is_the_uncompiled_gradient(name):
  check_converge(name, [2], oracle.eagerly)


def converge_step(name, positions):
  """(parameters before minus after, what was measured); of rate `RATE`."""
  fitting = batch_fit.fitting(shipped.acoustic(name), optax.sgd(RATE))
  given = jax.tree.map(jnp.asarray, (*weights(name), batch(positions)))
  fit, measured = same_each_time(
    jax.jit(fitting.step), fitting.start(*given), given[-1], jax.random.key(0)
  )
  params, _ = weights(name)
  return jax.tree.map(lambda a, b: a - b, params, fit.params), measured


def check_converge(name, positions, jit):
  found, measured = converge_step(name, positions)
  params, norm_state = weights(name)

  def is_so(draw, tolerance):
    gradient, (_, losses) = oracle.batch_gradient(
      shipped.acoustic(name),
      kinks.rounded(params, draw),
      norm_state,
      positions,
      [True] * len(positions),
      shipped.examples(),
      jit,
    )
    norm = population.norm(gradient)
    np.testing.assert_allclose(measured.loss, np.mean(losses), rtol=tolerance)
    np.testing.assert_allclose(measured.gradient_norm, norm, rtol=tolerance)
    wanted = jax.tree.map(lambda leaf: RATE * leaf, gradient)
    assert population.distance(found, wanted) < tolerance * RATE * norm

  kinks.hold(is_so)


@by_default
def test_gradient_is_the_slope_of_the_transcription(name):
  """Float64 NumPy, along the part of the gradient in each array.

  Of an utterance that brings no unit to within rounding of a kink.
  """
  found, _ = converge_step(name, [SMOOTH])
  params, norm_state = transcription.in_float64(weights(name))
  features = np.float64(shipped.examples().features(SMOOTH))
  labels = shipped.examples().labels[SMOOTH]
  leaves, tree = jax.tree.flatten(params)
  for index, leaf in enumerate(jax.tree.leaves(found)):
    length = population.norm(leaf)
    assert length > 0
    losses = []
    for step in (STEP, -STEP):
      moved = list(leaves)
      moved[index] = leaves[index] + step * np.float64(leaf) / length
      logits = transcription.logits(
        shipped.MODELS[name], tree.unflatten(moved), norm_state, features
      )
      losses.append(ctc_in_numpy.loss(logits, labels))
    slope = (losses[0] - losses[1]) / (2 * STEP)
    np.testing.assert_allclose(RATE * slope, length, rtol=1e-4)


@by_default
@pytest.mark.parametrize(
  ('observed', 'steps'), [('gradient', [[2]]), ('delta', [[2, 3], [5, 4]])]
)
def test_a_message_is_that_of_the_oracle(name, observed, steps):
  acoustic, (params, norm_state) = shipped.acoustic(name), weights(name)
  settings = population.federated(client={'learning_rate': CLIENT_RATE})
  send = victim.make_send(
    acoustic, settings, config.AugmentConfig(), config.Observed(observed), 1
  )
  given = cohort.Batch(*shipped.examples().batch(np.array(steps), 64, 8))
  sent = same_each_time(
    send,
    algorithm.Broadcast(params, norm_state, (), np.float32(CLIENT_RATE)),
    algorithm.Participant(0),
    (),
    given,
    jax.random.key(0),
  )
  scale = 1 / CLIENT_RATE if observed == 'gradient' else 1.0
  assert sent.weight == sum(map(len, steps))

  def is_so(draw, tolerance):
    server = oracle.start(kinks.rounded(params, draw), norm_state)
    client = oracle.train(acoustic, settings, server, steps, shipped.examples())
    wanted = jax.tree.map(
      lambda old, new: scale * (np.float64(old) - new),
      server.params,
      client.params,
    )
    distance = population.distance(sent.update.params, wanted)
    assert distance < tolerance * population.norm(wanted)

  kinks.hold(is_so)
