"""Client and server optimizers and their schedules, all from optax."""

from typing import NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from fedjax_asr import config

# What a learning rate is multiplied by; None: it is as configured.
Scale = float | Float[Array, ''] | None


class StepScale(NamedTuple):
  """After rollbacks."""

  client: Scale
  server: Scale


def step_scale(federated: config.FederatedConfig, scale: Scale) -> StepScale:
  """Whose rate is multiplied, to make a smaller step of a round.

  The clients' where the server takes their mean as it is (sgd at rate 1): what
  diverges there are the clients, and half of a mean is half of the work for
  nothing. Else the server's, as always with FedSGD, whose clients have none.
  """
  server = federated.server
  takes_the_mean = (
    server.optimizer is config.ServerOptimizer.SGD
    and server.learning_rate == 1.0
    and federated.algorithm is not config.AlgorithmName.FEDSGD
  )
  if takes_the_mean:
    return StepScale(client=scale, server=None)
  return StepScale(client=None, server=scale)


def schedule(
  kind: config.Schedule,
  peak: float,
  num_rounds: int,
  warmup_rounds: int = 0,
  exponential: config.DecayConfig | None = None,
) -> optax.Schedule:
  """Learning rate of each round: linear warm-up, then the decay, to zero but
  for `exponential`, which that kind wants."""
  decay_rounds = num_rounds - warmup_rounds
  match kind:
    case config.Schedule.CONSTANT:
      decay = optax.constant_schedule(peak)
    case config.Schedule.LINEAR:
      decay = optax.linear_schedule(peak, 0.0, decay_rounds)
    case config.Schedule.COSINE:
      decay = optax.cosine_decay_schedule(peak, decay_rounds)
    case config.Schedule.EXPONENTIAL:
      if exponential is None:
        raise ValueError('exponential=None; want its settings.')
      decay = optax.exponential_decay(
        peak, exponential.every, exponential.factor, exponential.begin
      )
  if not warmup_rounds:
    return decay
  # Round 0 already moves: it is the first of `warmup_rounds` equal steps.
  step = peak / (warmup_rounds + 1)
  warmup = optax.linear_schedule(step, peak, warmup_rounds)
  return optax.join_schedules([warmup, decay], [warmup_rounds])


def client_rate(
  federated: config.FederatedConfig,
  round_index: int | Int[Array, ''],
  scale: Scale = None,
) -> Float[Array, '']:
  """A client's learning rate in that round."""
  rate = schedule(
    federated.client.schedule,
    federated.client.learning_rate,
    federated.num_rounds,
  )
  return jnp.asarray(_scaled(rate, scale)(round_index), jnp.float32)


def server_rate(
  federated: config.FederatedConfig,
  round_index: int | Int[Array, ''],
  scale: Scale = None,
) -> Float[Array, '']:
  """The server's learning rate in that round."""
  rate = _server_schedule(federated.server, federated.num_rounds, scale)
  return jnp.asarray(rate(round_index), jnp.float32)


def client_optimizer(
  client: config.ClientConfig, learning_rate: optax.ScalarOrSchedule
) -> optax.GradientTransformation:
  """The local optimizer, behind clipping by global norm where configured."""
  match client.optimizer:
    case config.ClientOptimizer.SGD:
      optimizer = optax.sgd(learning_rate)
    case config.ClientOptimizer.MOMENTUM:
      optimizer = optax.sgd(learning_rate, momentum=client.momentum)
    case config.ClientOptimizer.ADAM:
      optimizer = optax.adam(learning_rate)
  if client.clip_norm:
    clip = optax.clip_by_global_norm(client.clip_norm)
    return optax.chain(clip, optimizer)
  return optimizer


def server_optimizer(
  server: config.ServerConfig, num_rounds: int, scale: Scale = None
) -> optax.GradientTransformation:
  """The server's step along the mean delta (Reddi et al. 2021).

  SGD with learning rate 1 is FedAvg, with momentum FedAvgM (Hsu et al. 2019);
  adam, yogi and adagrad are FedAdam, FedYogi and FedAdagrad, with `epsilon` as
  its tau, whose square is where the squares of the latter two start (Algorithm
  2): those of updates are far below what optax starts from. (That of adagrad is
  under the root, as in optax.) lamb (You et al. 2020) and lars (You et
  al. 2017) scale the step of each array by its norm.
  """
  rate = _server_schedule(server, num_rounds, scale)
  b1, b2 = server.momentum, server.beta2
  start = server.epsilon**2
  match server.optimizer:
    case config.ServerOptimizer.SGD:
      return optax.sgd(rate)
    case config.ServerOptimizer.MOMENTUM:
      return optax.sgd(rate, momentum=server.momentum)
    case config.ServerOptimizer.ADAM:
      return optax.adam(rate, b1, b2, server.epsilon)
    case config.ServerOptimizer.YOGI:
      yogi = optax.scale_by_yogi(
        b1, b2, server.epsilon, initial_accumulator_value=start
      )
      return optax.chain(yogi, optax.scale_by_learning_rate(rate))
    case config.ServerOptimizer.ADAGRAD:
      return optax.adagrad(rate, start, server.epsilon)
    case config.ServerOptimizer.LAMB:
      return optax.lamb(rate, b1, b2, server.epsilon)
    case config.ServerOptimizer.LARS:
      # A step is this share of each array's norm: no second coefficient.
      return optax.lars(rate, trust_coefficient=1.0, momentum=server.momentum)


def _server_schedule(
  server: config.ServerConfig, num_rounds: int, scale: Scale
) -> optax.Schedule:
  rate = schedule(
    server.schedule,
    server.learning_rate,
    num_rounds,
    server.warmup_rounds,
    server.decay,
  )
  return _scaled(rate, scale)


def _scaled(rate: optax.Schedule, scale: Scale) -> optax.Schedule:
  """The rate and not the step is scaled: at 1, no bit of a round changes."""
  if scale is None:
    return rate
  return lambda round_index: rate(round_index) * scale
