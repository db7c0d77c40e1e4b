"""FedAvg the slow way: the specification that the jitted round is held to.

One client after another, one batch after another, each at its own size and
length; losses from optax, everything after the gradient in NumPy float64.
"""

import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import quick

from fedjax_asr import config


class Server(NamedTuple):
  """The server between rounds; `slots` are the optimizer's moments."""

  params: dict
  norm_state: dict
  slots: dict
  round: int


class Report(NamedTuple):
  delta: dict
  loss: float
  num_utterances: int
  num_frames: int
  num_infeasible: int


class Client(NamedTuple):
  """A client after its local training."""

  params: dict
  norm_state: dict
  losses: list[float]
  frames: list[int]
  num_infeasible: int
  batch_losses: list[float]


def start(params, norm_state) -> Server:
  params, norm_state = jax.device_get((params, norm_state))
  return Server(params, norm_state, {}, 0)


def run_round(acoustic, settings, server, drawn, examples, jit=quick.jit):
  """(server, report) after the clients of `drawn` have trained.

  `jit` is what gradients are compiled by: `eagerly` is not at all.
  """
  clients = [
    train(acoustic, settings, server, steps, examples, jit)
    for steps in drawn.utterances
  ]
  weights = [weight(settings.weighting, client) for client in clients]
  deltas = [
    clipped(_minus(server.params, c.params), settings.privacy.clip_norm)
    for c in clients
  ]
  delta = weighted_mean(deltas, weights)
  norm_state = weighted_mean([c.norm_state for c in clients], weights)
  rate = learning_rate(settings.server, settings.num_rounds, server.round)
  slots, params = server_step(
    settings.server, rate, server.slots, server.params, delta
  )
  losses = [loss for client in clients for loss in client.losses]
  report = Report(
    delta=delta,
    loss=float(np.mean(losses)),
    num_utterances=len(losses),
    num_frames=sum(sum(client.frames) for client in clients),
    num_infeasible=sum(client.num_infeasible for client in clients),
  )
  return Server(params, norm_state, slots, server.round + 1), report


def eagerly(function):
  """One operation after another, as they are written."""
  return lambda *given: function(*jax.tree.map(jnp.asarray, given))


def train(acoustic, settings, server, steps, examples, jit=quick.jit) -> Client:
  """Local training of one client; `steps` are its batches, -1 is nobody."""
  optimizer = client_optimizer(settings, server.round)
  params = jax.tree.map(np.float32, server.params)
  norm_state = jax.tree.map(np.float32, server.norm_state)
  opt_state = optimizer.init(params)
  losses, frames, num_infeasible, means = [], [], 0, []
  for step in steps:
    batch = [int(index) for index in step if index >= 0]
    usable = [has_alignment(acoustic, examples, index) for index in batch]
    num_infeasible += len(batch) - sum(usable)
    if not any(usable):
      continue
    gradient, (norm_state, batch_losses) = batch_gradient(
      acoustic, params, norm_state, batch, usable, examples, jit
    )
    gradient = clipped(gradient, settings.client.clip_norm)
    updates, opt_state = optimizer.update(gradient, opt_state, params)
    params = optax.apply_updates(params, updates)
    real_losses = [
      x for x, real in zip(batch_losses, usable, strict=True) if real
    ]
    losses += real_losses
    means.append(float(np.mean(real_losses)))
    frames += [
      int(examples.num_frames[index])
      for index, real in zip(batch, usable, strict=True)
      if real
    ]
  return Client(
    *jax.device_get((params, norm_state)), losses, frames, num_infeasible, means
  )


def has_alignment(acoustic, examples, index) -> bool:
  """CTC puts a blank between equal neighbours."""
  labels = list(examples.labels[index])
  repeats = sum(a == b for a, b in itertools.pairwise(labels))
  outputs = acoustic.num_output_frames(int(examples.num_frames[index]))
  return len(labels) > 0 and len(labels) + repeats <= outputs


def batch_gradient(
  acoustic, params, norm_state, batch, usable, examples, jit=quick.jit
):
  """Of the mean loss over the usable utterances; (norm state, losses)."""
  num_frames = examples.num_frames[batch]
  width = examples.features(batch[0]).shape[-1]
  features = np.zeros((len(batch), max(num_frames), width), np.float32)
  # Wide enough for any transcript of the tests: one compiled shape the fewer.
  labels = np.zeros((len(batch), 8), np.int32)
  label_padding = np.ones((len(batch), 8), np.float32)
  for row, index in enumerate(batch):
    features[row, : num_frames[row]] = examples.features(index)
    labels[row, : len(examples.labels[index])] = examples.labels[index]
    label_padding[row, : len(examples.labels[index])] = 0
  gradient, (norm_state, losses) = _gradient(acoustic, jit)(
    params,
    norm_state,
    features,
    np.asarray(num_frames, np.int32),
    labels,
    label_padding,
    np.asarray(usable),
  )
  return gradient, (norm_state, [float(loss) for loss in losses])


@functools.cache
def _gradient(acoustic, jit):
  def mean_loss(
    params, norm_state, features, num_frames, labels, label_padding, usable
  ):
    logits, outputs, norm_state = acoustic.apply(
      params, norm_state, features, num_frames, train=True, key=None
    )
    padding = jnp.arange(logits.shape[1]) >= outputs[:, None]
    losses = optax.ctc_loss(
      logits, padding.astype(jnp.float32), labels, label_padding
    )
    losses = jnp.where(usable, losses, 0)
    return losses.sum() / usable.sum(), (norm_state, losses)

  return jit(jax.grad(mean_loss, has_aux=True))


def clipped(gradient, clip_norm: float):
  """A gradient or delta of at most this global norm; 0: as it is."""
  squares = [np.square(np.float64(g)).sum() for g in jax.tree.leaves(gradient)]
  norm = math.sqrt(sum(squares))
  if not clip_norm or norm <= clip_norm:
    return gradient
  return jax.tree.map(lambda g: g * np.float32(clip_norm / norm), gradient)


def client_optimizer(settings, round_index: int):
  rate = learning_rate(settings.client, settings.num_rounds, round_index)
  return {
    config.ClientOptimizer.SGD: optax.sgd(rate),
    config.ClientOptimizer.MOMENTUM: optax.sgd(
      rate, momentum=settings.client.momentum
    ),
    config.ClientOptimizer.ADAM: optax.adam(rate),
  }[settings.client.optimizer]


def learning_rate(settings, num_rounds: int, round_index: int) -> float:
  """Of a client or server config: warm-up, then the decay."""
  warmup = getattr(settings, 'warmup_rounds', 0)
  if round_index < warmup:
    return settings.learning_rate * (round_index + 1) / (warmup + 1)
  done = (round_index - warmup) / (num_rounds - warmup)
  factor = {
    config.Schedule.CONSTANT: 1.0,
    config.Schedule.LINEAR: 1 - done,
    config.Schedule.COSINE: (1 + math.cos(math.pi * done)) / 2,
  }[settings.schedule]
  return settings.learning_rate * factor


def weight(weighting, client: Client) -> float:
  return {
    config.Weighting.UTTERANCES: len(client.losses),
    config.Weighting.FRAMES: sum(client.frames),
    config.Weighting.UNIFORM: float(len(client.losses) > 0),
  }[weighting]


def weighted_mean(trees, weights):
  total = sum(weights)
  return jax.tree.map(
    lambda *leaves: (
      sum(w * np.float64(leaf) for w, leaf in zip(weights, leaves, strict=True))
      / total
    ),
    *trees,
  )


def _minus(left, right):
  return jax.tree.map(lambda a, b: np.float64(a) - np.float64(b), left, right)


def server_step(server, rate: float, slots: dict, params, delta):
  """(slots, params); each parameter array by itself."""
  paths, treedef = jax.tree.flatten_with_path(params)
  deltas = jax.tree.leaves(delta)
  moved, after = [], {}
  for (path, value), gradient in zip(paths, deltas, strict=True):
    name = jax.tree_util.keystr(path)
    step = _SERVER_STEPS[server.optimizer]
    update, after[name] = step(
      server, rate, slots.get(name, {}), np.float64(value), gradient
    )
    moved.append(value - update)
  return after, jax.tree.unflatten(treedef, moved)


def _sgd(server, rate, slot, value, gradient):
  return rate * gradient, slot


def _momentum(server, rate, slot, value, gradient):
  trace = server.momentum * slot.get('trace', 0.0) + gradient
  return rate * trace, {'trace': trace}


def _adagrad(server, rate, slot, value, gradient):
  total = slot.get('total', server.epsilon**2) + gradient**2
  return rate * gradient / np.sqrt(total + server.epsilon), {'total': total}


def _moments(server, slot, gradient, initial, second_moment):
  """Bias-corrected moments, Adam's form."""
  count = slot.get('count', 0) + 1
  first = slot.get('first', initial)
  first = server.momentum * first + (1 - server.momentum) * gradient
  second = second_moment(slot.get('second', initial), gradient**2)
  slot = {'count': count, 'first': first, 'second': second}
  first = first / (1 - server.momentum**count)
  second = second / (1 - server.beta2**count)
  return first / (np.sqrt(second) + server.epsilon), slot


def _decay(server):
  return lambda second, square: (
    server.beta2 * second + (1 - server.beta2) * square
  )


def _adam(server, rate, slot, value, gradient):
  step, slot = _moments(server, slot, gradient, 0.0, _decay(server))
  return rate * step, slot


def _yogi(server, rate, slot, value, gradient):
  def second_moment(second, square):
    return second - (1 - server.beta2) * np.sign(second - square) * square

  step, slot = _moments(
    server, slot, gradient, server.epsilon**2, second_moment
  )
  return rate * step, slot


def _lamb(server, rate, slot, value, gradient):
  step, slot = _moments(server, slot, gradient, 0.0, _decay(server))
  lengths = np.linalg.norm(value), np.linalg.norm(step)
  trust = lengths[0] / lengths[1] if all(lengths) else 1.0
  return rate * trust * step, slot


_SERVER_STEPS = {
  config.ServerOptimizer.SGD: _sgd,
  config.ServerOptimizer.MOMENTUM: _momentum,
  config.ServerOptimizer.ADAM: _adam,
  config.ServerOptimizer.YOGI: _yogi,
  config.ServerOptimizer.ADAGRAD: _adagrad,
  config.ServerOptimizer.LAMB: _lamb,
}
