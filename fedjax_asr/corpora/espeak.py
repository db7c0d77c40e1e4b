"""eSpeak NG through ctypes: text and a voice-variant file to a waveform.

The library is GPL-3 and comes with the `synthetic` extra; nothing of it is
part of this package, and the feature store calls it in worker processes.
"""

import _ctypes
import ctypes
import pathlib
import tempfile
import threading
from typing import NamedTuple

import numpy as np
from jaxtyping import Int16

from fedjax_asr.corpora import languages, utterance

# Files below lang/. With a variant, the plain name (en-gb) is refused.
ACCENTS = (
  'gmw/en-US',
  'gmw/en',
  'gmw/en-GB-x-rp',
  'gmw/en-GB-scotland',
  'gmw/en-GB-x-gbclan',
  'gmw/en-GB-x-gbcwmd',
  'gmw/en-029',
  'gmw/en-US-nyc',
)
_DATA_FILES = (
  'phondata',
  'phonindex',
  'phontab',
  'intonations',
  'en_dict',
  *(f'lang/{accent}' for accent in ACCENTS),
)

# espeak_PARAMETER, and flags, of espeak-ng/speak_lib.h.
_RATE, _PITCH, _RANGE, _WORD_GAP = 1, 3, 4, 7
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1

_Callback = ctypes.CFUNCTYPE(
  ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)
# The library is one set of C globals.
_LOCK = threading.Lock()


def accents(language: str) -> tuple[str, ...]:
  """Files below lang/: of English several, of others one."""
  if language == languages.ENGLISH:
    return ACCENTS
  return (languages.LANGUAGES[language].voice,)


def _data_files(language: str) -> list[str]:
  """Those of English too, in which other languages say what they cannot."""
  own = [f'{language}_dict', *(f'lang/{name}' for name in accents(language))]
  return [*dict.fromkeys([*_DATA_FILES, *own])]


class Prosody(NamedTuple):
  """How a speaker says one utterance."""

  rate: int  # Words per minute.
  pitch: int  # 0..100, 50 is the voice's own.
  pitch_range: int  # 0..100, 50 is the voice's own.
  word_gap: int  # Units of 10 ms.


class Speech(NamedTuple):
  samples: Int16[np.ndarray, ' samples']
  sample_rate: int


class Synthesizer:
  """Loads the library afresh for each utterance (5 ms).

  So the samples are a function of the arguments and the library's build, bit
  for bit, whatever was rendered before.
  """

  def __init__(self, language: str = languages.ENGLISH) -> None:
    self._library_path, installed = locate(language)
    self._directory = tempfile.TemporaryDirectory(prefix='fedjax_asr_')
    self._data = pathlib.Path(self._directory.name) / 'espeak-ng-data'
    # One variant file, rewritten: beyond 349 voices, names are refused.
    self._variant = self._data / 'voices' / '!v' / 'speaker'
    self._variant.parent.mkdir(parents=True)
    for name in _data_files(language):
      link = self._data / name
      link.parent.mkdir(parents=True, exist_ok=True)
      link.symlink_to(installed / name)

  def speech(
    self, accent: str, variant: str, prosody: Prosody, text: str, seed: int
  ) -> Speech:
    """Says `text` in the voice that the variant file describes."""
    with _LOCK:
      self._variant.write_text(variant)
      library = ctypes.CDLL(self._library_path)
      try:
        return self._render(library, accent, prosody, text, seed)
      finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)

  def _render(
    self,
    library: ctypes.CDLL,
    accent: str,
    prosody: Prosody,
    text: str,
    seed: int,
  ) -> Speech:
    sample_rate = library.espeak_Initialize(
      _AUDIO_OUTPUT_SYNCHRONOUS,
      0,
      str(self._data).encode(),
      _INITIALIZE_DONT_EXIT,
    )
    if sample_rate <= 0:
      raise utterance.CorpusError(f'espeak_Initialize returned {sample_rate}.')
    chunks = []
    callback = _Callback(lambda *arguments: _collect(chunks, *arguments))
    library.espeak_SetSynthCallback(callback)
    voice = f'{accent}+{self._variant.name}'.encode()
    _check('SetVoiceByName', library.espeak_SetVoiceByName(voice))
    # After the voice, which resets them.
    for parameter, value in zip(
      (_RATE, _PITCH, _RANGE, _WORD_GAP), prosody, strict=True
    ):
      library.espeak_SetParameter(parameter, value, 0)
    _seed(library, seed)
    _check('Synth', _synthesize(library, text.encode() + b'\0'))
    library.espeak_Synchronize()
    return Speech(np.frombuffer(b''.join(chunks), np.int16), sample_rate)


def locate(
  language: str = languages.ENGLISH,
) -> tuple[str, pathlib.Path]:
  """The shared library and its data directory, which has the language.

  Raises:
    CorpusError: if the extra is not installed, or its build lacks a file.
  """
  try:
    import espeakng_loader  # Optional, hence here.
  except ImportError:
    raise utterance.CorpusError(
      'config.data.corpus=synthetic needs eSpeak NG: pip install '
      "'fedjax_asr[synthetic]', or pip install -e '.[synthetic]' in a checkout."
    ) from None
  library = espeakng_loader.get_library_path()
  data = pathlib.Path(espeakng_loader.get_data_path())
  files = (data / name for name in _data_files(language))
  for path in (pathlib.Path(library), *files):
    if not path.exists():
      raise utterance.CorpusError(
        f'{path}: not in this build of espeakng-loader; install the version '
        'that the synthetic extra names.'
      )
  return library, data


def _synthesize(library: ctypes.CDLL, text: bytes) -> int:
  return library.espeak_Synth(
    text,
    ctypes.c_size_t(len(text)),
    0,
    _POSITION_CHARACTER,
    0,
    _CHARS_UTF8,
    None,
    None,
  )


def _seed(library: ctypes.CDLL, seed: int) -> None:
  """Breath and flutter are random: from 1.52 on with a generator of its own."""
  if hasattr(library, 'espeak_ng_SetRandSeed'):
    library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
  else:
    ctypes.CDLL(None).srand(seed)


def _collect(chunks: list[bytes], samples, num_samples: int, _events) -> int:
  if samples and num_samples > 0:
    chunks.append(ctypes.string_at(samples, 2 * num_samples))
  return 0


def _check(function: str, status: int) -> None:
  if status:
    raise utterance.CorpusError(f'espeak_{function} returned {status}.')
