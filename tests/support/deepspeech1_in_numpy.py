"""DeepSpeech 1, transcribed from Hannun et al. 2014, equations 1 to 5.

Mozilla's DeepSpeech 0.9 is the same with one LSTM in the recurrence's place.
"""

import numpy as np
from recurrence_in_numpy import affine, clipped_relu, summed_directions


def logits(params, features, *, cell, context_frames, time_stride):
  """[..., outputs, vocab] of one utterance's [frames, features]."""
  third = []
  for centre in range(0, len(features), time_stride):
    values = window(features, centre, context_frames)
    for name in ('dense_0', 'dense_1', 'dense_2'):
      values = clipped_relu(affine(values, params[name]))
    third.append(values)
  fourth = recurrent(cell, third, params['recurrent'])
  fifth = [clipped_relu(affine(h, params['final'])) for h in fourth]
  return np.stack([affine(h, params['output']) for h in fifth], axis=-2)


def window(features, centre, context):
  """The frames around one, in order, zeros where there are none."""
  frames = [
    features[t] if 0 <= t < len(features) else np.zeros_like(features[0])
    for t in range(centre - context, centre + context + 1)
  ]
  return np.concatenate(frames)


def recurrent(cell, values, params):
  """Equations 2 and 3: both directions use the same W and b."""
  kernel = params['recurrent_kernel']
  projected = [affine(frame, params['input']) for frame in values]
  directions = kernel.shape[-3]
  no_bias = np.zeros((directions, kernel.shape[-1]))
  return summed_directions(cell, [projected] * directions, kernel, no_bias)
