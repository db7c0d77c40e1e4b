"""A federated round in PyTorch, one client after another.

What simulators do that train each client by itself: the server's parameters are
copied into one model, local SGD runs, the delta is added to a running sum. Only
its lean parts are here: batches are given ready, on the device, and parameters
move by PyTorch's multi-tensor calls.
"""

import contextlib

import torch
import torch_models

from fedjax_asr.speech import alphabets


class Rounds:
  """`run(clients)` of [[batch, ...] of a client, ...]; the mean loss of it all.

  A batch is (features, num_frames, labels, num_labels), the last three on the
  CPU, which is where PyTorch wants them.
  """

  def __init__(self, module, client, server_rate, half):
    self._module = module
    self._client = client
    self._server = [leaf.detach().clone() for leaf in module.parameters()]
    self._optimizer = torch.optim.Adam(self._server, lr=server_rate)
    self._half = half

  def run(self, clients):
    local = list(self._module.parameters())
    total = [torch.zeros_like(leaf) for leaf in self._server]
    losses = []
    for batches in clients:
      with torch.no_grad():
        torch._foreach_copy_(local, self._server)
      for batch in batches:
        losses.append(self._step(local, batch))
      with torch.no_grad():
        torch._foreach_add_(total, torch._foreach_sub(self._server, local))
    for leaf, delta in zip(self._server, total, strict=True):
      leaf.grad = delta / len(clients)
    self._optimizer.step()
    return float(torch.stack(losses).mean())

  def _step(self, local, batch):
    half = contextlib.nullcontext()
    if self._half:
      half = torch.autocast('cuda', torch.bfloat16)
    with half:
      loss = torch_models.loss(self._module, *batch, alphabets.BLANK)
    gradients = torch.autograd.grad(loss, local, allow_unused=True)
    pairs = [
      (leaf, slope)
      for leaf, slope in zip(local, gradients, strict=True)
      if slope is not None
    ]
    leaves, slopes = map(list, zip(*pairs, strict=True))
    with torch.no_grad():
      if self._client.clip_norm:
        norm = torch.linalg.vector_norm(
          torch.stack(torch._foreach_norm(slopes))
        )
        torch._foreach_mul_(
          slopes, (self._client.clip_norm / norm).clamp(max=1)
        )
      torch._foreach_add_(leaves, slopes, alpha=-self._client.learning_rate)
    return loss.detach()
