"""Ours beside PyTorch's: that both are one model, and its rounds."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch_models
import torch_round

from fedjax_asr import config
from fedjax_asr.models import ctc, model
from fedjax_asr.speech import alphabets


def same_loss(cfg: config.ModelConfig, num_features: int) -> dict:
  """The loss of one random batch by both, without norms, in float32.

  Raises:
    AssertionError: they are not the same model.
  """
  cfg = copy.deepcopy(cfg)
  cfg.ds2.norm = config.Norm.NONE
  cfg.ds1.dtype = cfg.ds2.dtype = config.Dtype.FLOAT32
  acoustic = model.acoustic(cfg, num_features)
  params, norm_state = acoustic.init(jax.random.key(0))
  rng = np.random.default_rng(0)
  num_frames = np.array([80, 45, 61])
  features = rng.standard_normal((3, 80, num_features)).astype(np.float32)
  features[np.arange(80) >= num_frames[:, None]] = 0
  labels, num_labels = rng.integers(1, 28, (3, 6)), np.array([6, 3, 4])

  @jax.jit
  def ours(params):
    logits, num_outputs, _ = acoustic.apply(
      params, norm_state, features, jnp.asarray(num_frames), train=True
    )
    losses = ctc.loss(
      logits, num_outputs, jnp.asarray(labels), jnp.asarray(num_labels)
    )
    return losses.mean()

  module = torch_models.model(cfg, num_features, alphabets.ENGLISH.size)
  module.load(jax.device_get(params))
  arrays = map(torch.tensor, (features, num_frames, labels, num_labels))
  with torch.no_grad():
    theirs = torch_models.loss(module, *arrays, alphabets.BLANK)
  with jax.default_matmul_precision('highest'):
    losses = {'fedjax_asr': float(ours(params)), 'pytorch': float(theirs)}
  np.testing.assert_allclose(*losses.values(), rtol=1e-4)
  return losses


def torch_rounds(
  cfg: config.Config, params, num_features: int, device: str, *, half=False
) -> torch_round.Rounds:
  """Rounds that start from these parameters; `half`: bfloat16 autocast."""
  module = torch_models.model(cfg.model, num_features, alphabets.ENGLISH.size)
  module = module.to(device)
  module.load(jax.device_get(params))
  return torch_round.Rounds(
    module,
    cfg.federated.client,
    cfg.federated.server.learning_rate,
    half=half,
  )
