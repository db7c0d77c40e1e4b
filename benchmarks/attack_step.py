"""A step of second-order gradient matching against a training step.

  python benchmarks/attack_step.py RESULT.json [--model=ds1_privacy|ds2_base]
      [--restarts=1,4,16] [--frames=300] [--rounds=5]

One utterance of random features. First order: the gradient of the loss by the
parameters, which is a client's step. Second order: `jax.grad` of the distance
between that gradient and an observed one by the features, all layers, as
`gradient_matching` takes at each iteration; restarts are vmapped. Steps of
1,000 iterations make a reconstruction, hence `reconstructions_per_minute`
(of one utterance from so many restarts, without compilation).
"""

import json
import pathlib
import sys

import main_job
import round as round_benchmark
import timing

ITERATIONS = 1000


def main(argv: list[str]) -> int:
  if len(argv) < 2 or argv[1].startswith('-'):
    print(__doc__, file=sys.stderr)
    return 2
  from fedjax_asr import environment

  own = [flag for flag in argv[2:] if flag.startswith('--restarts=')]
  others = [flag for flag in argv[2:] if flag not in own]
  restarts = (own or ['--restarts=1,4,16'])[-1].partition('=')[2]
  chosen = round_benchmark.options(
    ['--model=ds1_privacy', '--dtype=float32', '--rounds=5', *others]
  )
  record = {
    'command': ' '.join(['attack_step.py', 'RESULT.json', *argv[2:]]),
    'machine': main_job.machine(),
    'versions': environment.versions(),
  }
  counts = [int(count) for count in restarts.split(',')]
  for part in measured(chosen, counts):
    # Kept from the first row on: a later one may not fit.
    record |= part
    pathlib.Path(argv[1]).write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(part), flush=True)
  return 0


def measured(chosen: dict, restarts: list[int]):
  """Yields parts of the record, `second_order` growing."""
  import jax

  from fedjax_asr.attacks.matching import gradient_distance
  from fedjax_asr.models import model

  params, gradient, objective, shape = problem(chosen)
  keys = jax.random.split(jax.random.key(2), 1 + max(restarts))
  points = jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
  first = jax.jit(gradient)
  target = gradient_distance.target(
    jax.device_get(first(params, points[0])), 1.0
  )
  base = _milliseconds(first, (params, points[0]), chosen)
  yield {
    'model': chosen['model'],
    'num_parameters': model.num_parameters(params),
    'frames': shape[0],
    'dtype': chosen['dtype'],
    'first_order_ms': round(base, 3),
  }
  slopes = jax.jit(
    jax.vmap(jax.value_and_grad(objective, argnums=2), (None, None, 0))
  )
  rows = []
  for count in restarts:
    taken = _milliseconds(
      slopes, (params, target, points[1 : 1 + count]), chosen
    )
    rows.append(
      {
        'restarts': count,
        'second_order_ms': round(taken, 3),
        'ms_per_restart': round(taken / count, 3),
        'times_first_order': round(taken / count / base, 2),
        'reconstructions_per_minute': round(60e3 / (taken * ITERATIONS), 3),
      }
    )
    yield {'second_order': rows}


def problem(chosen: dict):
  """(params, gradient, objective, shape of the features) of one utterance.

  gradient(params, features) is by parameter; objective(params, target,
  features) is its distance from the target.
  """
  import jax
  import jax.numpy as jnp

  from fedjax_asr import config
  from fedjax_asr.attacks.matching import gradient_distance
  from fedjax_asr.models import ctc, model

  cfg, width, frames = round_benchmark.configured(chosen, 1, 1, 1)
  acoustic = model.acoustic(cfg.model, width)
  params, norm_state = acoustic.init(jax.random.key(0))
  labels = jax.random.randint(jax.random.key(1), (1, 40), 1, 28)

  def loss(params, features):
    logits, num_outputs, _ = acoustic.apply(
      params, norm_state, features[None], jnp.array([frames]), train=False
    )
    return ctc.loss(logits, num_outputs, labels, jnp.array([40])).sum()

  def gradient(params, features):
    leaves = jax.tree.leaves(jax.grad(loss)(params, features))
    return {str(index): leaf for index, leaf in enumerate(leaves)}

  def objective(params, target, features):
    return gradient_distance.distance(
      config.Distance.COSINE,
      gradient(params, features),
      target,
      per_layer=False,
    )

  return params, gradient, objective, (frames, width)


def _milliseconds(function, arguments, chosen):
  import jax

  def run(_):
    jax.block_until_ready(function(*arguments))

  run(0)
  taken = timing.seconds(run, range(int(chosen['rounds'])))
  return 1e3 * timing.spread(taken)['median']


if __name__ == '__main__':
  sys.exit(main(sys.argv))
