"""What a model that has learned to listen hears in a reconstruction."""

import dataclasses

import jax
import numpy as np

from fedjax_asr import config, run_error, saved_run
from fedjax_asr.decoding import text_decoder
from fedjax_asr.jobs import attacked_run
from fedjax_asr.speech import features as features_lib
from fedjax_asr.speech import inversion

# Lengths are padded to a multiple, so that few shapes are compiled.
_FRAMES = 64


class Transcriber:
  """Greedy decoding by a trained run, of features in a victim's units."""

  def __init__(
    self, run: saved_run.SavedRun, normalization: config.Normalization
  ) -> None:
    """`normalization`: that of the features to come."""
    self._run = run
    self._normalization = normalization
    self._logits = jax.jit(
      lambda features, num_frames: run.acoustic.apply(
        run.params, run.norm_state, features, num_frames, train=False
      )[:2]
    )
    self._decoder = text_decoder.chosen(config.DecodeConfig(), run.alphabet)

  @property
  def takes_statistics(self) -> bool:
    """Whether it undoes the normalisation of what it is given."""
    both = {self._normalization, self._run.config.features.normalization}
    is_normalised = self._normalization is not config.Normalization.NONE
    return is_normalised and both != {config.Normalization.UTTERANCE}

  def __call__(
    self, values: np.ndarray, statistics: features_lib.Statistics | None
  ) -> str | None:
    """The text; None in no frames.

    `statistics` undo the normalisation of `values`, where that is done.
    """
    if not len(values):
      return None
    features = self._in_own_units(values, statistics)
    padding = -len(features) % _FRAMES
    padded = np.pad(features, ((0, padding), (0, 0)))[None]
    logits, num_outputs = jax.device_get(
      self._logits(padded, np.array([len(features)], np.int32))
    )
    return self._decoder(logits, num_outputs)[0]

  def _in_own_units(
    self, values: np.ndarray, statistics: features_lib.Statistics | None
  ) -> np.ndarray:
    own = self._run.config.features.normalization
    of_utterances = config.Normalization.UTTERANCE
    if own is self._normalization is of_utterances:
      return values.astype(np.float32)
    if self.takes_statistics and statistics is not None:
      values = inversion.denormalized(values, statistics)
    return features_lib.normalize(values, own, self._run.statistics)


def chosen(
  attack: config.AttackConfig, attacked: attacked_run.AttackedRun
) -> Transcriber | None:
  """Of `config.attack.transcriber`, or else of the victim's own model.

  None where that has not been trained: whatever it hears says nothing.

  Raises:
    UserError: there is no such run, or it was trained on other features.
  """
  victim = attacked.saved
  normalization = victim.config.features.normalization
  if attack.transcriber:
    run = saved_run.load(attack.transcriber, 'attack.transcriber')
    _check_features(run, victim.config.features)
    return Transcriber(run, normalization)
  return Transcriber(victim, normalization) if victim.round else None


def _check_features(
  run: saved_run.SavedRun, wanted: config.FeaturesConfig
) -> None:
  """All but the normalisation, which is undone and made anew."""
  for field in dataclasses.fields(wanted):
    own = getattr(run.config.features, field.name)
    value = getattr(wanted, field.name)
    if field.name != 'normalization' and own != value:
      raise run_error.RunError(
        f'config.attack.transcriber={str(run.path)!r} was trained on '
        f'features.{field.name}={config.plain(own)!r}; want a run on the '
        f"victim's features.{field.name}={config.plain(value)!r}."
      )
