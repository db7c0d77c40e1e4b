"""What the NumPy transcriptions of both DeepSpeech papers share.

Frame by frame and unpadded, in whatever precision the weights have. A weight
may have axes ahead of its own, for many models at once: results have them too.
"""

import numpy as np


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def clipped_relu(x):
  return np.minimum(np.maximum(x, 0), 20)


def times(vector, matrix):
  """x W, of [..., in] and [..., in, out]."""
  return np.einsum('...i,...io->...o', vector, matrix)


def affine(vector, layer):
  return times(vector, layer['kernel']) + layer['bias']


def gru(inputs, recurrent, state):
  """Cho et al. 2014, reset after the product; reset, update, candidate."""
  x, h = np.split(inputs, 3, -1), np.split(recurrent, 3, -1)
  reset, update = sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1])
  candidate = np.tanh(x[2] + reset * h[2])
  state = (1 - update) * candidate + update * state
  return state, state


def lstm(inputs, recurrent, cell):
  """TensorFlow's without peepholes, which Mozilla's is; forget bias 0."""
  enter, forget, leave, candidate = np.split(inputs + recurrent, 4, -1)
  cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
  return sigmoid(leave) * np.tanh(cell), cell


def rnn(inputs, recurrent, state):
  del state
  output = clipped_relu(inputs + recurrent)
  return output, output


# (x's part, h's part, what is carried on) -> (h, what is carried on)
CELLS = {'gru': gru, 'lstm': lstm, 'rnn': rnn}


def outputs(cell, inputs, kernel, bias):
  """h of each frame, from zeros; `inputs` are frames of W x."""
  output = state = np.zeros(kernel.shape[-2])
  found = []
  for frame in inputs:
    output, state = CELLS[cell](frame, times(output, kernel) + bias, state)
    found.append(output)
  return found


def summed_directions(cell, inputs, kernel, bias):
  """The sum of one or two directions' h, frame by frame.

  `inputs` has the frames of W x for each direction, `kernel` is [...,
  directions, size, gates] and `bias` [..., directions, gates].
  """
  total = outputs(cell, inputs[0], kernel[..., 0, :, :], bias[..., 0, :])
  if len(inputs) == 2:
    backward = outputs(
      cell, inputs[1][::-1], kernel[..., 1, :, :], bias[..., 1, :]
    )
    total = [a + b for a, b in zip(total, backward[::-1], strict=True)]
  return total
