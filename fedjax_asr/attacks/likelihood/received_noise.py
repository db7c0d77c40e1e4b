"""How far from what a client made the numbers are that the attacker sees.

Noise that privacy adds, and what a code rounds away, whose settings are public.
"""

import numpy as np

from fedjax_asr.attacks import observation

# Of float32: of a parameter, of which a delta is a difference, and of sums.
_ROUNDOFF = 2.0**-24
_OF_SUMS = 8.0


def deviation(observed: observation.Observation, name: str) -> float:
  """Of the noise in each entry of the parameter's update, in its units.

  Raises:
    observation.Refused: a code's error is not independent of what it rounds
      (signs, the largest entries).
  """
  update = observation.needed(observed, name)
  treatment = observed.treatment
  noise = treatment.clip_norm * np.hypot(
    treatment.local_noise_multiplier, treatment.central_noise_multiplier
  )
  rounded = _of_code(treatment.compression, update)
  return float(np.sqrt(noise**2 + rounded**2 + _of_arithmetic(observed, name)))


def _of_arithmetic(observed: observation.Observation, name: str) -> float:
  """Squared: what float32 leaves of a difference of parameters, and of sums."""
  update = observation.needed(observed, name)
  values = np.asarray(observation.flat(observed.params)[name], np.float64)
  of_parameters = _ROUNDOFF**2 * np.mean(values**2)
  return float(of_parameters + (_OF_SUMS * _ROUNDOFF) ** 2 * np.mean(update**2))


def _of_code(code: str, update: np.ndarray) -> float:
  """Effective value of a code's error; 0 without one."""
  name, *settings = code.split() or ['']
  match name:
    case '':
      return 0.0
    case 'float16' | 'bfloat16':
      bits = {'float16': 11, 'bfloat16': 8}[name]
      # Uniform within a unit of the last place, of numbers over an octave.
      place = 2.0 ** np.floor(np.log2(np.abs(update) + 1e-300)) * 2.0 ** (
        1 - bits
      )
      return float(np.sqrt(np.mean(place**2) / 12))
    case 'int8' | 'quantized':
      bits = 8 if name == 'int8' else int(settings[0])
      if bits > 2:
        step = np.abs(update).max() / (2 ** (bits - 1) - 1)
        # To a neighbour at random: variance p (1 - p) of a step, a sixth.
        return float(step * np.sqrt(1 / 6 if 'stochastic' in code else 1 / 12))
  raise observation.Refused(
    f'compression {code}: its error is not noise that adds to the update.'
  )
