"""CTC by its definition, in float64; knows nothing of the package."""

import numpy as np


def log_softmax(logits):
  logits = np.asarray(logits, np.float64)
  shifted = logits - logits.max(-1, keepdims=True)
  return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def loss(logits, labels):
  """-log p(labels | logits [..., frames, vocab]) of one utterance, as [...].

  The forward algorithm, Graves et al. 2006, equations 6 to 8, in logarithms;
  0 is the blank.
  """
  log_probs = log_softmax(logits)
  extended = np.zeros(2 * len(labels) + 1, int)
  extended[1::2] = labels
  skips = np.zeros(len(extended), bool)
  skips[2:] = (extended[2:] != 0) & (extended[2:] != extended[:-2])
  alpha = np.full((*log_probs.shape[:-2], len(extended)), -np.inf)
  alpha[..., :2] = log_probs[..., 0, extended[:2]]
  for t in range(1, log_probs.shape[-2]):
    step = np.full_like(alpha, -np.inf)
    step[..., 1:] = alpha[..., :-1]
    skip = np.full_like(alpha, -np.inf)
    skip[..., 2:] = np.where(skips[2:], alpha[..., :-2], -np.inf)
    arriving = np.logaddexp(np.logaddexp(alpha, step), skip)
    alpha = arriving + log_probs[..., t, extended]
  return -np.logaddexp(alpha[..., -1], alpha[..., -2])
