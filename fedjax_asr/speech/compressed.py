"""Recordings, small enough to be kept in a page and played from there.

MP3, of the three that soundfile writes and browsers may play. Five seconds
of noisy speech-like sound at 16 kHz are 20 kB of it, 17 kB of Ogg-Opus and
131 kB of FLAC, which is over any page's size with a few dozen of them. Opus
knows five sample rates (not 11,025 or 22,050 Hz), is played by Safari only
since 18.4, and what it plays is 6.5 ms longer than what was recorded. MP3 is
played by every browser, and its header says how many samples of its first and
last frame are not sound, so that decoders give back exactly as many as there
were.
"""

import io

import numpy as np
import soundfile
from jaxtyping import Float

from fedjax_asr.speech import resampling

# Those of MPEG-1, 2 and 2.5, without what no speech needs: at 48 kHz five
# seconds would be 48 kB.
_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000)


def mp3(samples: Float[np.ndarray, ' samples'], sample_rate: int) -> bytes:
  """A file that plays as long as the recording, to a sample.

  At the next rate that MP3 has, 24 kHz at most. Beyond -1 and 1 it is clipped.

  Raises:
    RuntimeError: soundfile's library was built without MP3.
  """
  rate = next((each for each in _RATES if each >= sample_rate), _RATES[-1])
  values = np.asarray(samples, np.float32)
  if rate != sample_rate:
    values = resampling.resampled(values, sample_rate, rate)
  file = io.BytesIO()
  values = np.clip(values, -1, 1)
  soundfile.write(file, values, rate, 'MPEG_LAYER_III', format='MP3')
  return file.getvalue()
