"""What a client with a tiny model sends; the truth beside it."""

import dataclasses

import derivatives
import jax
import jax.numpy as jnp
import numpy as np
import quick

from fedjax_asr import config
from fedjax_asr.attacks import client_gradient, observation
from fedjax_asr.models import model
from fedjax_asr.speech import alphabets

NUM_FEATURES = 3
DS1 = config.DeepSpeech1Config(
  context_frames=1,
  dense_sizes=(20, 20, 20),
  recurrent_size=8,
  final_size=12,
)
DS2 = config.DeepSpeech2Config(
  conv_channels=(6,),
  conv_time_kernels=(3,),
  conv_frequency_kernels=(3,),
  conv_time_strides=(1,),
  conv_frequency_strides=(1,),
  num_recurrent_layers=1,
  recurrent_size=10,
)


def model_config(architecture='ds1', **fields):
  cfg = config.ModelConfig(architecture=config.Architecture(architecture))
  cfg.ds1 = dataclasses.replace(DS1, **fields if architecture == 'ds1' else {})
  cfg.ds2 = dataclasses.replace(DS2, **fields if architecture == 'ds2' else {})
  return cfg


def unsent(
  architecture='ds1',
  frames=(5,),
  texts=('ab',),
  *,
  seed=0,
  observed=config.Observed.GRADIENT,
  num_steps=1,
  client=None,
  speech=None,
  **fields,
):
  """(an observation without an update, features one after another)."""
  cfg = model_config(architecture, **fields)
  acoustic = model.acoustic(cfg, NUM_FEATURES)
  shapes, norm_shapes = jax.eval_shape(acoustic.init, jax.random.key(0))
  params = jax.tree.map(
    lambda leaf: leaf / np.sqrt(max(1, leaf.size / leaf.shape[-1])),
    derivatives.direction_like(shapes, seed),
  )
  norm_state = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), norm_shapes)
  rng = np.random.default_rng(seed)
  features = rng.standard_normal((sum(frames), NUM_FEATURES))
  made = observation.Observation(
    update={},
    params=params,
    norm_state=norm_state,
    acoustic=acoustic,
    model=cfg,
    features=config.FeaturesConfig(
      num_features=NUM_FEATURES, num_mels=NUM_FEATURES
    ),
    client=client or config.ClientConfig(),
    observed=observed,
    num_steps=num_steps,
    learning_rate=0.1,
    round=0,
    declared=observation.Declared(
      labels=tuple(alphabets.ENGLISH.encode(item) for item in texts),
      num_frames=frames,
      speech=speech,
    ),
  )
  return made, features.astype(np.float32)


def sent(*arguments, **fields):
  """(what the attacker sees, the features that it does not see)."""
  made, features = unsent(*arguments, **fields)
  return made._replace(update=update_of(made, features)), features


def update_of(made, features):
  """Like the parameters."""
  spoken = client_gradient.transcripts(made)
  names = observation.selected(made.params, ())

  def update(start, features):
    return client_gradient.update(
      made,
      client_gradient.attacked_model(made),
      names,
      start,
      client_gradient.batch(features, spoken),
    )

  start = client_gradient.Start(made.params, made.norm_state)
  leaves = quick.jit(update)(start, jnp.asarray(features))
  structure = jax.tree.structure(made.params)
  return jax.tree.unflatten(structure, list(leaves.values()))
