"""DeepSpeech 2 (Amodei et al. 2015), every output by itself; evaluation."""

import numpy as np
from recurrence_in_numpy import affine, clipped_relu, summed_directions, times

EPSILON = 1e-5


def logits(params, norm_state, features, *, cell, strides, num_groups):
  """[..., outputs, vocab] of one utterance's [frames, features].

  `strides` has a (time, frequency) for each convolution; `num_groups` is of
  norms without running averages, 1 being layer norm.
  """
  values = features[..., None]
  for index, stride in enumerate(strides):
    frames = convolution(values, params[f'conv_{index}'], stride)
    name = f'conv_norm_{index}'
    norm = params.get(name), norm_state.get(name), num_groups
    frames = [clipped_relu(normalised(frame, *norm)) for frame in frames]
    values = np.stack(frames, axis=-3)
  flat = values.reshape(*values.shape[:-2], -1)
  frames = [flat[..., t, :] for t in range(flat.shape[-2])]
  for index in range(sum(name.startswith('recurrent_') for name in params)):
    name = f'recurrent_{index}'
    averages = norm_state.get(name, {}).get('norm')
    frames = recurrent(cell, frames, params[name], averages, num_groups)
  return np.stack([affine(h, params['output']) for h in frames], axis=-2)


def convolution(inputs, params, strides):
  """Frames [..., bins, out] of [..., frames, bins, in]; zeros at the ends."""
  kernel = params['kernel']
  sizes = kernel.shape[-4:-2]
  before = [(size - 1) // 2 for size in sizes]
  around = [(b, size) for b, size in zip(before, sizes, strict=True)]
  padded = np.pad(inputs, [(0, 0)] * (inputs.ndim - 3) + around + [(0, 0)])
  frames = []
  for t in range(0, inputs.shape[-3], strides[0]):
    bins = []
    for f in range(0, inputs.shape[-2], strides[1]):
      seen = padded[..., t : t + sizes[0], f : f + sizes[1], :]
      bins.append(
        np.einsum('...tfc,...tfcd->...d', seen, kernel) + params['bias']
      )
    frames.append(np.stack(bins, axis=-2))
  return frames


def normalised(frame, params, averages, num_groups):
  """One frame [..., bins, channels], by whichever norm has these params."""
  if params is None:
    return frame
  if averages is not None:
    mean, variance = averages['mean'], averages['variance']
  else:
    size = frame.shape[-1] // num_groups
    groups = [frame[..., size * g : size * (g + 1)] for g in range(num_groups)]
    moments = [(g.mean((-2, -1)), g.var((-2, -1))) for g in groups]
    mean, variance = (
      np.stack(m, axis=-1).repeat(size, -1)[..., None, :]
      for m in zip(*moments, strict=True)
    )
  normal = (frame - mean) / np.sqrt(variance + EPSILON)
  return normal * params['scale'][..., None, :] + params['bias'][..., None, :]


def recurrent(cell, values, params, averages, num_groups):
  """Norm on the input path only; each direction has its own weights."""
  kernel = params['recurrent_kernel']
  projected = []
  for frame in values:
    frame = times(frame, params['input_kernel'])[..., None, :]
    frame = normalised(frame, params.get('norm'), averages, num_groups)
    projected.append(frame[..., 0, :])
  directions = [
    [np.split(frame, kernel.shape[-3], -1)[d] for frame in projected]
    for d in range(kernel.shape[-3])
  ]
  return summed_directions(cell, directions, kernel, params['bias'])
