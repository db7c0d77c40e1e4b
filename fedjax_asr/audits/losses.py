"""CTC losses of candidates by one model or several, in eval mode."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from fedjax_asr.corpora import dataset
from fedjax_asr.federated import cohort, server
from fedjax_asr.models import convolution, ctc, model

# (batches done, all)
Report = Callable[[int, int], None]
_FRAME_QUANTUM = 64
_LABEL_QUANTUM = 16


class Losses:
  """Of whole sets of utterances; compiled once for each padded length."""

  def __init__(
    self,
    acoustic: model.Model,
    batch_size: int,
    num_perturbations: int = 0,
    perturbation_scale: float = 0.0,
  ):
    self._batch_size = batch_size

    def of_model(values, batch):
      logits, num_outputs, _ = acoustic.apply(
        values.params,
        values.norm_state,
        batch.features,
        batch.num_frames,
        train=False,
      )
      usable = ctc.feasible(num_outputs, batch.labels, batch.num_labels)
      losses = ctc.loss(logits, num_outputs, batch.labels, batch.num_labels)
      return jnp.where(usable, losses, jnp.nan)

    def of_models(values, batch):
      return jax.lax.map(lambda each: of_model(each, batch), values)

    def perturbed(values, batch, key):
      keys = jax.random.split(key, num_perturbations)
      scale = perturbation_scale * _deviations(batch)[:, None, None]

      def with_noise(key):
        noise = jax.random.normal(key, batch.features.shape)
        features = batch.features + scale * noise
        return of_model(values, batch._replace(features=features))

      return jax.lax.map(with_noise, keys)

    self._of_models = jax.jit(of_models)
    self._perturbed = jax.jit(perturbed)

  def __call__(
    self, models: server.Values, examples: dataset.Dataset, report: Report
  ) -> Float[np.ndarray, 'models utterances']:
    """Nats of each whole transcript; NaN where it has no alignment.

    `models`: outermost axis of each leaf are the models.
    """
    count = len(jax.tree.leaves(models)[0])
    found = np.zeros((count, len(examples)), np.float32)
    batches = list(_batches(examples, self._batch_size))
    models = jax.device_put(models)
    for index, (positions, batch) in enumerate(batches):
      report(index, len(batches))
      losses = np.asarray(self._of_models(models, batch))
      real = positions >= 0
      found[:, positions[real]] = losses[:, real]
    return found

  def perturbed(
    self,
    values: server.Values,
    examples: dataset.Dataset,
    key: jax.Array,
    report: Report,
  ) -> Float[np.ndarray, 'perturbations utterances']:
    """The same of one model, with Gaussian noise on the features.

    Teixeira et al. 2024 (arXiv 2405.01207): members lie in narrower minima.
    """
    found = []
    batches = list(_batches(examples, self._batch_size))
    for index, (positions, batch) in enumerate(batches):
      report(index, len(batches))
      own = jax.random.fold_in(key, index)
      real = positions >= 0
      losses = np.asarray(self._perturbed(values, batch, own))[:, real]
      found.append((positions[real], losses))
    order = np.argsort(np.concatenate([positions for positions, _ in found]))
    return np.concatenate([losses for _, losses in found], 1)[:, order]


def _deviations(batch: cohort.Batch) -> Float[jax.Array, ' batch']:
  """Standard deviation of all features of each utterance."""
  lengths = jnp.asarray(batch.num_frames)
  mask = convolution.frame_mask(lengths, batch.features.shape[1])
  mask = mask[..., None] * jnp.ones_like(batch.features)
  count = jnp.maximum(mask.sum((1, 2)), 1)
  means = (mask * batch.features).sum((1, 2)) / count
  squares = mask * jnp.square(batch.features - means[:, None, None])
  return jnp.sqrt(squares.sum((1, 2)) / count)


def _batches(
  examples: dataset.Dataset, size: int
) -> Iterator[tuple[Int[np.ndarray, ' batch'], cohort.Batch]]:
  """In order of length, padded to few shapes; -1 is padding."""
  longest = max(map(len, examples.labels), default=1)
  num_labels = -(-longest // _LABEL_QUANTUM) * _LABEL_QUANTUM
  order = np.argsort(examples.num_frames, kind='stable')
  padded = np.concatenate([np.full(-len(order) % size, -1), order])
  for positions in padded.reshape(-1, size):
    frames = int(examples.num_frames[positions[positions >= 0]].max())
    frames = -(-frames // _FRAME_QUANTUM) * _FRAME_QUANTUM
    yield (
      positions,
      cohort.Batch(*examples.batch(positions, frames, num_labels)),
    )
